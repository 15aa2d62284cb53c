// npm's ws as the other end, asked as main.rs of these tests says: `serve`, or `connect URL`.
'use strict';
const assert = require('node:assert');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { WebSocket, WebSocketServer } = require('ws');

const SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 4 << 20];
const PATTERN = Buffer.alloc(1 << 21, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));

async function client(url) {
  const socket = new WebSocket(`${url}/echo`, ['unknown', 'binary']);
  const echo = [];
  let left = 2 * SIZES.reduce((sum, size) => sum + size);
  const all = new Promise((resolve) => socket.on('message', (data) => {
    echo.push(data);
    left -= data.length;
    if (left === 0) resolve();
  }));
  await once(socket, 'open');
  assert.strictEqual(socket.protocol, 'binary');
  const messages = SIZES.map((size) => randomBytes(size));
  const whole = Buffer.concat(messages);
  for (const message of messages) {
    socket.send(message);
    socket.ping('are you there');
    const [payload] = await once(socket, 'pong');
    assert.strictEqual(payload.toString(), 'are you there');
  }
  // One message in fragments, with a ping between them and one that is empty.
  socket.send(whole.subarray(0, 1000), { binary: true, fin: false });
  socket.ping();
  socket.send(Buffer.alloc(0), { fin: false });
  socket.send(whole.subarray(1000), { fin: true });
  await all;
  assert(Buffer.concat(echo).equals(Buffer.concat([whole, whole])));
  socket.close(4001, 'genug für heute');
  await once(socket, 'close');

  const bye = new WebSocket(`${url}/bye`);
  const data = [];
  bye.on('message', (message) => data.push(message));
  const [code, reason] = await once(bye, 'close');
  assert(Buffer.concat(data).equals(PATTERN));
  console.log('closed', code, reason.toString());
}

function answer(socket, request) {
  if (request.url === '/bye') {
    socket.send(PATTERN.subarray(0, 5), { binary: true, fin: false });
    socket.send(PATTERN.subarray(5, 70000), { fin: false });
    socket.send(PATTERN.subarray(70000), { fin: true });
    socket.ping('are you there');
    socket.once('pong', () => socket.close(4003, 'müde'));
  } else {
    socket.on('message', (data) => socket.send(data));
    socket.on('close', (code, reason) => console.log('closed', code, reason.toString()));
  }
}

if (process.argv[2] === 'connect') {
  client(process.argv[3]);
} else {
  const perMessageDeflate = (process.env.DEFLATE ?? 'off') !== 'off';
  const options = { host: '127.0.0.1', port: 0, handleProtocols: () => 'binary' };
  const server = new WebSocketServer({ ...options, perMessageDeflate });
  server.on('connection', answer);
  server.on('listening', () => console.log('port', server.address().port));
}
