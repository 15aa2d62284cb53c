// What Node programs expect of a socket: addresses, options, a timeout, HTTP over it, STARTTLS.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createPrivateKey, sign } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import tls from 'node:tls';
import { connect, listen } from 'levada';
import * as pki from './support/pki.mjs';
import { recorded, tcpServer, until } from './support/peers.mjs';

const identity = `cert=${pki.server.file}.crt&key=${pki.server.file}.key`;
const trust = `ca=${pki.caFile}&name=localhost`;

/** A listener, and how to connect to it. */
async function listening(t, address, onStream) {
  const listener = listen(address, onStream);
  t.after(() => listener.close());
  await once(listener, 'listening');
  return listener;
}

async function connected(t, address, options) {
  const stream = connect(address, options);
  t.after(() => stream.destroy());
  await once(stream, 'connect');
  return stream;
}

test('both ends know their addresses by the names that Node has for them', async (t) => {
  let there;
  const listener = await listening(t, 'tcp://127.0.0.1:0', (stream) => (there = stream.resume()));
  const { port } = new URL(`tcp://${listener.local}`);
  const here = connect(`tcp://${listener.local}`);
  assert.deepEqual([here.connecting, here.pending, here.remoteAddress, here.address()], [true, true, undefined, {}]);
  await once(here, 'connect');
  await until(() => there);
  assert.deepEqual([here.connecting, here.remoteAddress, here.remotePort, here.remoteFamily],
    [false, '127.0.0.1', Number(port), 'IPv4']);
  assert.deepEqual([there.localAddress, there.localPort, there.localFamily], ['127.0.0.1', Number(port), 'IPv4']);
  assert.deepEqual(there.address(), { address: '127.0.0.1', port: Number(port), family: 'IPv4' });
  assert.deepEqual([there.remoteAddress, there.remotePort], [here.localAddress, here.localPort]);
  assert.deepEqual([here.encrypted, here.alpnProtocol], [false, false]);
  here.end('five!');
  await once(here, 'close');
  assert.deepEqual([here.bytesWritten, there.bytesRead, here.remotePort], [5, 5, Number(port)], 'also behind the end');
});

/** TCP_NODELAY, SO_KEEPALIVE and TCP_KEEPIDLE of a socket of this process, by who else can ask the kernel. */
function optionsOf({ localPort }) {
  const local = `0100007F:${localPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').map((row) => row.trim().split(/\s+/));
  const ESTABLISHED = '01';
  const inode = rows.find((row) => row[1] === local && row[3] === ESTABLISHED)[9];
  const fd = readdirSync('/proc/self/fd').find((each) => {
    try {
      return readlinkSync(`/proc/self/fd/${each}`) === `socket:[${inode}]`;
    } catch {
      return false;
    }
  });
  const program = `from socket import *; s = socket(fileno=3)
print([s.getsockopt(*o) for o in [(IPPROTO_TCP, TCP_NODELAY), (SOL_SOCKET, SO_KEEPALIVE), (IPPROTO_TCP, TCP_KEEPIDLE)]])`;
  const python = spawnSync('python3', ['-c', program], { stdio: ['ignore', 'pipe', 'inherit', Number(fd)] });
  return JSON.parse(python.stdout);
}

test('setNoDelay and setKeepAlive reach the system, also when they are called early', async (t) => {
  const listener = await listening(t, 'ws://127.0.0.1:0', () => {});
  const plain = await tcpServer(t, () => {});
  for (const address of [`ws://${listener.local}`, `tcp://127.0.0.1:${plain.port}`]) {
    const stream = connect(address).setNoDelay(false).setKeepAlive(true, 77_999);
    t.after(() => stream.destroy());
    await once(stream, 'connect');
    assert.deepEqual(optionsOf(stream), [0, 1, 77]);
    assert.equal(stream.setNoDelay().setKeepAlive(true), stream);
    assert.deepEqual(optionsOf(stream), [1, 1, 77], 'as long as before');
    stream.setKeepAlive();
    assert.deepEqual(optionsOf(stream), [1, 0, 77]);
  }
  const nowhere = connect('echo:').setNoDelay().setKeepAlive(true, 1000).end().resume();
  await once(nowhere, 'close');
});

test('timeout is emitted when nothing has moved, once, and again behind what moves then', async (t) => {
  const stream = await connected(t, 'echo:');
  let timeouts = 0;
  assert.equal(stream.setTimeout(500, () => (timeouts += 10)), stream);
  stream.on('timeout', () => (timeouts += 1));
  assert.equal(stream.timeout, 500);
  for (let count = 0; count < 8; count += 1) {
    stream.write('x');
    await once(stream, 'data');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(timeouts, 0, '800 ms, none of them quiet for 500');
  await once(stream, 'timeout');
  assert.equal(timeouts, 11);
  assert.ok(!stream.destroyed, 'what it means is for others to say');
  stream.write('x');
  await once(stream, 'timeout');
  assert.equal(timeouts, 12);
  stream.setTimeout(0);
  assert.equal(stream.timeout, 0);
  for (const wrong of [-1, NaN, Infinity, '5']) {
    assert.throws(() => stream.setTimeout(wrong), { code: 'ERR_INVALID_ARG_VALUE' });
  }
});

test('a write that does not leave is a silence, and ends nothing', async (t) => {
  let peer;
  const server = await tcpServer(t, (socket) => (peer = socket.pause()));
  const stream = await connected(t, `tcp://127.0.0.1:${server.port}`);
  await until(() => peer);
  stream.setTimeout(50);
  let timedOut = false;
  stream.on('timeout', () => (timedOut = true));
  let done = false;
  stream.write(Buffer.alloc(1024 * 1024 * 16), () => (done = true));
  await until(() => timedOut);
  assert.equal(done, false);
  peer.resume();
  await until(() => done);
});

for (const [kind, there, here] of [
  ['tcp', 'tcp://127.0.0.1:0', (at) => `tcp://${at}`],
  ['tls', `tls://127.0.0.1:0?${identity}`, (at) => `tls://${at}?${trust}`],
]) {
  test(`http.createServer and http.request run over ${kind} streams, with agents that keep them`, async (t) => {
    const seen = [];
    const server = http.createServer(async (request, response) => {
      seen.push(request.socket);
      let body = '';
      for await (const chunk of request) body += chunk;
      const { remoteAddress, encrypted } = request.socket;
      response.setHeader('x-from', `${remoteAddress} ${encrypted}`);
      response.end(`${request.method} ${request.url} ${body.length}`);
    });
    const listener = await listening(t, there, (stream) => server.emit('connection', stream));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = () => connect(here(listener.local));
    t.after(() => agent.destroy());
    const body = 'x'.repeat(300_000);
    const ask = (path, options = {}) => new Promise((resolve, reject) => {
      const request = http.request({ host: 'localhost', path, method: 'POST', agent, ...options }, async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve([response.statusCode, response.headers['x-from'], text, request.reusedSocket]);
      });
      request.on('error', reject).end(body);
    });
    const from = `127.0.0.1 ${kind === 'tls'}`;
    assert.deepEqual(await ask('/1'), [200, from, 'POST /1 300000', false]);
    assert.deepEqual(await ask('/2'), [200, from, 'POST /2 300000', true]);
    assert.equal(new Set(seen).size, 1, 'on one stream');
    const alone = await ask('/3', { agent: undefined, createConnection: () => connect(here(listener.local)) });
    assert.deepEqual(alone, [200, from, 'POST /3 300000', false]);
    const closed = seen.at(-1);
    if (!closed.closed) await once(closed, 'close');
    assert.equal(closed.ending.clean, true);
  });
}

test('a timeout of http is one of the stream', async (t) => {
  const silent = await tcpServer(t, () => {});
  const request = http.request({ createConnection: () => connect(`tcp://127.0.0.1:${silent.port}`) }).end();
  request.setTimeout(30);
  await once(request, 'timeout');
  request.destroy();
  const [error] = await once(request, 'error');
  assert.equal(error.message, 'socket hang up');
  const server = http.createServer(() => {});
  server.timeout = 30;
  const listener = await listening(t, 'tcp://127.0.0.1:0', (stream) => server.emit('connection', stream));
  const stream = await connected(t, `tcp://${listener.local}`);
  const told = recorded(stream);
  stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await told.closed;
});

test('HTTP/2 runs over them, by the protocol that TLS agreed on', async (t) => {
  const server = http2.createSecureServer();
  server.on('stream', (stream, headers) => stream.respond({ ':status': 200 }) ?? stream.end(headers[':path']));
  const listener = await listening(t, `tls://127.0.0.1:0?${identity}&alpn=h2`, (stream) => server.emit('secureConnection', stream));
  const stream = connect(`tls://${listener.local}?${trust}&alpn=h2`);
  const client = http2.connect('https://localhost', { createConnection: () => stream });
  const request = client.request({ ':path': '/by-http2' });
  let text = '';
  for await (const chunk of request) text += chunk;
  assert.deepEqual([text, stream.alpnProtocol], ['/by-http2', 'h2']);
  client.close();
  await once(client, 'close');
});

const tlsOfServer = { cert: pki.server.cert, key: pki.server.key };

/** A line-based server that puts TLS on when it is asked to, and echoes under it. */
function upgrading(stream) {
  stream.on('error', () => {});
  stream.once('data', (line) => {
    assert.equal(String(line), 'STARTTLS\r\n');
    stream.write('go ');
    stream.write('on\r\n');
    stream.startTls(tlsOfServer);
    stream.write('the first word under TLS\r\n');
    stream.pipe(stream);
  });
}

test('STARTTLS in both roles: what is written before goes in plaintext, what is written behind under TLS', async (t) => {
  const listener = await listening(t, 'tcp://127.0.0.1:0', upgrading);
  for (let round = 0; round < 20; round += 1) {
    const stream = await connected(t, `tcp://${listener.local}`);
    stream.write('STARTTLS\r\n');
    const [answer] = await once(stream, 'data');
    assert.equal(String(answer), 'go on\r\n');
    assert.equal(stream.encrypted, false);
    const told = [];
    stream.startTls({ ca: pki.ca, servername: 'localhost' }, () => told.push('called'));
    stream.on('secure', () => told.push('secure'));
    const words = 'x'.repeat(200_000);
    stream.end(words);
    let got = '';
    for await (const chunk of stream) got += chunk;
    assert.deepEqual(told, ['called', 'secure']);
    assert.equal(got, `the first word under TLS\r\n${words}`);
    assert.equal(stream.encrypted, true);
    assert.equal(stream.ending.facts.tls.verification, 'verified');
    assert.equal(stream.ending.clean, true);
  }
});

test('STARTTLS as a server of SMTP, for OpenSSL', async (t) => {
  const listener = await listening(t, 'tcp://127.0.0.1:0', (stream) => {
    stream.on('error', () => {});
    stream.write('220 here ESMTP\r\n');
    const answer = (line) => {
      if (line.startsWith('EHLO')) return void stream.write('250-here\r\n250 STARTTLS\r\n');
      if (!line.startsWith('STARTTLS')) return;
      stream.off('data', answers);
      stream.write('220 go on\r\n');
      stream.startTls(tlsOfServer, () => stream.pipe(stream));
    };
    const answers = (data) => String(data).split('\r\n').forEach(answer);
    stream.on('data', answers);
  });
  const openssl = spawn('openssl', ['s_client', '-starttls', 'smtp', '-connect', listener.local, '-CAfile', pki.caFile,
    '-verify_return_error', '-verify_hostname', 'localhost', '-quiet', '-no_ign_eof']);
  t.after(() => openssl.kill());
  let said = '';
  openssl.stdout.on('data', (data) => (said += data));
  openssl.stdin.write('through TLS\n');
  await until(() => said.includes('through TLS') || openssl.exitCode !== null);
  assert.match(said, /through TLS/);
});

test('STARTTLS as a client, of Node’s own TLS, which asks who we are', async (t) => {
  const server = await tcpServer(t, (socket) => {
    socket.once('data', () => {
      socket.write('go on');
      const secure = new tls.TLSSocket(socket, { isServer: true, ...tlsOfServer, ca: pki.ca, requestCert: true });
      secure.on('error', () => {});
      secure.on('secure', () => secure.write(secure.getPeerCertificate().subject.CN));
    });
  });
  const asked = [];
  const key = createPrivateKey(pki.client.key);
  for (const ours of [pki.client.key, async (data) => asked.push(data) && sign('sha256', data, key)]) {
    const stream = await connected(t, `tcp://localhost:${server.port}?family=4`);
    stream.write('STARTTLS');
    await once(stream, 'data');
    stream.startTls({ ca: pki.ca, cert: pki.client.cert, key: ours });
    const [name] = await once(stream, 'data');
    assert.equal(String(name), 'client');
    stream.on('error', () => {}).destroy();
  }
  assert.equal(asked.length, 1);
  const wrong = await connected(t, `tcp://127.0.0.1:${server.port}`);
  wrong.write('STARTTLS');
  await once(wrong, 'data');
  wrong.startTls({ ca: pki.otherCa, servername: 'localhost' });
  const told = recorded(wrong);
  await told.closed;
  assert.deepEqual([told.events, told.error.code], [['error', 'close'], 'ERR_TLS_FATAL_ERROR']);
});

test('what comes in plaintext where TLS begins ends the stream, and nobody gets it', async (t) => {
  let peer;
  const server = await tcpServer(t, (socket) => (peer = socket.setNoDelay()));
  const goOn = Buffer.from('go on\r\n');
  const cases = {
    'unread in the stream': ['ERR_LEVADA_INJECTION', async (stream) => {
      peer.write(goOn);
      await once(stream, 'readable');
    }],
    'read already, and on the way to us': ['ERR_LEVADA_INJECTION', async (stream) => {
      peer.write(goOn);
      await once(stream.on('data', () => {}), 'data');
      peer.write('INJECTED');
      // Without a turn of the loop.
      while (stream.bytesRead === goOn.length);
    }],
    'behind our ClientHello': ['ERR_TLS_FATAL_ERROR', async (stream) => {
      peer.write(goOn);
      await once(stream.on('data', () => {}), 'data');
      peer.once('data', () => peer.write('INJECTED'));
    }],
  };
  for (const [where, [code, inject]] of Object.entries(cases)) {
    peer = null;
    const stream = await connected(t, `tcp://127.0.0.1:${server.port}`);
    await until(() => peer);
    await inject(stream);
    stream.on('data', () => assert.fail(where));
    const told = recorded(stream);
    stream.startTls({ ca: pki.ca, servername: 'localhost' });
    await told.closed;
    assert.deepEqual([told.events, told.error.code], [['error', 'close'], code], where);
  }
});

test('TLS is put on once, on a plain stream that is up and open', async (t) => {
  const listener = await listening(t, 'tcp://127.0.0.1:0', upgrading);
  const secure = await listening(t, `tls://127.0.0.1:0?${identity}`, (stream) => stream.on('error', () => {}).resume());
  const refused = { code: 'ERR_LEVADA_START_TLS', blame: 'local' };
  const early = connect(`tcp://${listener.local}`);
  assert.throws(() => early.startTls({ ca: pki.ca }), refused);
  await once(early, 'connect');
  assert.throws(() => early.startTls({ ca: 'no PEM' }), { code: 'ERR_LEVADA_CA' });
  assert.throws(() => early.startTls({ isServer: true }), { code: 'ERR_INVALID_ARG_VALUE' });
  early.write('STARTTLS\r\n');
  await once(early, 'data');
  early.startTls({ ca: pki.ca, servername: 'localhost' });
  assert.throws(() => early.startTls({ ca: pki.ca }), refused);
  await once(early, 'secure');
  assert.throws(() => early.startTls({ ca: pki.ca }), refused);
  early.destroy();
  assert.throws(() => early.startTls({ ca: pki.ca }), refused);
  const stream = await connected(t, `tls://${secure.local}?${trust}`);
  assert.throws(() => stream.startTls({ ca: pki.ca }), refused);
});
