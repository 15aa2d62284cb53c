// npm's ws with compression, in its four ways: `connect URL`, or `serve`, which takes one client each.
'use strict';
const assert = require('node:assert');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { WebSocket, WebSocketServer } = require('ws');

const WAYS = [
  {},
  { serverNoContextTakeover: true, clientNoContextTakeover: true },
  { serverMaxWindowBits: 10, clientMaxWindowBits: 9 },
  { serverNoContextTakeover: true, serverMaxWindowBits: 15 },
].map((way) => ({ ...way, threshold: 0 }));

const MESSAGES = [
  Buffer.alloc(0),
  Buffer.from('genug für heute '.repeat(10000)),
  randomBytes(100000),
  Buffer.from('genug für heute '.repeat(10000)),
  Buffer.alloc(1 << 20),
];

/** Sends all, and sees it come back. */
async function talk(socket) {
  assert.match(socket.extensions, /permessage-deflate/);
  for (const message of MESSAGES) {
    const answer = once(socket, 'message');
    socket.send(message);
    assert((await answer)[0].equals(message));
  }
  socket.close();
  await once(socket, 'close');
}

async function client(url) {
  for (const perMessageDeflate of WAYS) {
    const socket = new WebSocket(url, { perMessageDeflate });
    await once(socket, 'open');
    await talk(socket);
  }
}

/** One after the other at one port: the n-th client, at `/n`, meets the n-th way. */
async function server() {
  const http = require('node:http').createServer();
  const servers = WAYS.map((perMessageDeflate) => new WebSocketServer({ noServer: true, perMessageDeflate }));
  const all = servers.map((server) => once(server, 'connection').then(([socket]) => talk(socket)));
  http.on('upgrade', (request, tcp, head) => {
    const server = servers[Number(request.url.slice(1))];
    server.handleUpgrade(request, tcp, head, (socket) => server.emit('connection', socket, request));
  });
  http.listen(0, '127.0.0.1', () => console.log(http.address().port));
  await Promise.all(all);
  http.close();
}

const [, , role, url] = process.argv;
(role === 'connect' ? client(url) : server()).catch((error) => {
  console.error(error);
  process.exit(1);
});
