// Network.TCP in plain: rows S01 to S13, S24 to S28.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { once } from 'node:events';
import net from 'node:net';
import { Network } from 'levada';
import { tcpServer, until } from './support/peers.mjs';
import { client, freePort, names, server, text, watched } from './support/tcp.mjs';

const { TCP, Address } = Network;
const echo = (connection) => connection.on('message', (message) => connection.send(message));

test('S01 with or without new; (address), (address, options), (options), each with a message handler', async (t) => {
  const got = [];
  const message = (bytes, from) => got.push([Buffer.from(bytes).toString(), from instanceof Address]);
  const makers = [
    (port) => TCP(`127.0.0.1:${port}`, message),
    (port) => new TCP(`127.0.0.1:${port}`, message),
    (port) => TCP('127.0.0.1', { port }, message),
    (port) => TCP('127.0.0.1', { port, message }),
    (port) => TCP({ port, address: '127.0.0.1' }, message),
    (port) => new TCP({ port, address: '127.0.0.1', message }),
  ];
  for (const make of makers) {
    const port = await freePort();
    const listener = make(port);
    assert.ok(listener instanceof TCP);
    await until(() => listener.localAddress);
    const socket = new TCP({ toAddress: `127.0.0.1:${port}` });
    socket.send('hello');
    await until(() => got.length > 0);
    assert.deepEqual(got.splice(0), [['hello', true]]);
    socket.close();
    listener.close();
  }
});

test('S02 host, IP, IP:port, [v6] and [v6]:port; the port in the address counts more', async (t) => {
  const port = await freePort();
  for (const [address, given] of [
    ['localhost', port], ['127.0.0.1', port], [`127.0.0.1:${port}`, 9], ['[::1]', port], [`[::1]:${port}`, 9],
  ]) {
    const listener = TCP({ address, port: given });
    await until(() => listener.localAddress);
    assert.equal(listener.localAddress.port, port);
    const socket = TCP({ toAddress: address, toPort: given });
    await new Promise((resolve) => socket.on('ready', resolve));
    assert.equal(socket.remoteAddress.port, port);
    assert.equal(socket.remoteAddress.family, address.startsWith('[') ? 'IPv6' : socket.remoteAddress.family);
    socket.close();
    const closed = new Promise((resolve) => listener.on('close', resolve));
    listener.close();
    await closed;
  }
  for (const wrong of ['', 'a b:1', 'host:http', '1.2.3.4:70000', '[::1', 'a:1:2']) {
    assert.throws(() => TCP(wrong), (error) => /^ERR_(INVALID_ARG_VALUE|LEVADA_ADDRESS)$/.test(error.code), wrong);
  }
  assert.throws(() => TCP(), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('S03 S05 a server by address or port, a client by toAddress and toPort, bound where address says', async (t) => {
  const listener = await server(t);
  const { port } = listener.localAddress;
  const own = await freePort();
  const bound = client(t, listener, { toAddress: '127.0.0.1', toPort: port, address: `127.0.0.1:${own}` });
  await new Promise((resolve) => bound.on('ready', resolve));
  assert.equal(String(bound.localAddress), `127.0.0.1:${own}`);
  await until(() => listener.connections[0]?.remoteAddress);
  assert.equal(listener.connections[0].remoteAddress.port, own);
  const byName = await freePort();
  const named = client(t, listener, { port: byName, address: 'localhost' });
  await new Promise((resolve) => named.on('ready', resolve));
  assert.equal(named.localAddress.port, byName);
  const failed = new Promise((resolve) => {
    client(t, listener, { address: `127.0.0.1:${own}`, connect: (...values) => resolve(values) });
  });
  const [errno, error] = await failed;
  assert.equal(errno, constants.errno.EADDRINUSE);
  assert.equal(error.code, 'EADDRINUSE');
});

test('S04 the family chooses where a server without an address listens; an address decides itself', async (t) => {
  for (const [family, v4, v6] of [[undefined, true, true], ['IPv4', true, false], ['IPv6', false, true]]) {
    const port = await freePort();
    const listener = TCP({ port, family });
    await until(() => listener.localAddress);
    const reached = (host) => new Promise((resolve) => {
      const socket = net.connect(port, host);
      socket.once('connect', () => resolve(socket.destroy() && true)).once('error', () => resolve(false));
    });
    assert.deepEqual([await reached('127.0.0.1'), await reached('::1')], [v4, v6], family);
    listener.close();
  }
  assert.throws(() => TCP({ port: 1, family: 'IPv5' }), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('S06 reusePort lets two listeners share a port, and without it the second fails', async (t) => {
  const first = await server(t, { reusePort: true });
  const address = String(first.localAddress);
  const second = await server(t, { address, reusePort: true });
  assert.equal(String(second.localAddress), address);
  const third = await server(t, { address });
  assert.equal(third.localAddress, null);
  const [number, error] = third.failure;
  assert.deepEqual([number, error.code, error.blame], [TCP.ERROR.GENERIC, 'EADDRINUSE', 'config']);
  assert.ok(error.hint.length > 0);
});

test('S07 readStrings at construction, and flipped in the handler', async (t) => {
  const got = [];
  const listener = await server(t, { readStrings: true }, (connection) => {
    connection.on('message', (message) => {
      got.push(message);
      connection.readStrings = !connection.readStrings;
      connection.send('next');
    });
  });
  const socket = client(t, listener, { readStrings: true });
  socket.on('message', () => got.length < 4 && socket.send(`m${got.length}`));
  socket.send('m0');
  await until(() => got.length === 4);
  assert.deepEqual(got.map((message) => (typeof message === 'string' ? message : [...message])),
    ['m0', [109, 49], 'm2', [109, 51]]);
});

test('S08 large data comes in messages of 4096 bytes, and no character is cut in two', async (t) => {
  const sizes = [];
  const listener = await server(t, {}, (connection) => {
    connection.on('message', (message) => sizes.push([message.constructor.name, message.length]));
  });
  client(t, listener).send(Buffer.alloc(20000, 'x'));
  await until(() => sizes.reduce((sum, [, size]) => sum + size, 0) === 20000);
  assert.deepEqual(sizes, [...Array(4).fill(['Uint8Array', 4096]), ['Uint8Array', 3616]]);

  const words = 'aé€😀'.repeat(3000);
  let got = '';
  const texts = await server(t, { readStrings: true }, (connection) => {
    connection.on('message', (message) => {
      assert.ok(!message.includes('\ufffd'));
      got += message;
    });
  });
  const socket = client(t, texts);
  const bytes = Buffer.from(words);
  for (let at = 0; at < bytes.length; at += 777) socket.send(bytes.subarray(at, at + 777));
  await until(() => got.length === words.length);
  assert.equal(got, words);
});

test('S09 a message comes with the address that it is from', async (t) => {
  const got = [];
  const listener = await server(t, {}, (connection) => connection.on('message', (_, from) => got.push(from)));
  const socket = client(t, listener);
  socket.send('x');
  await until(() => got.length > 0);
  assert.deepEqual({ ...got[0] }, { address: '127.0.0.1', port: socket.localAddress.port, family: 'IPv4' });
  assert.equal(String(got[0]), String(socket.localAddress));
});

test('S10 handlers set in connect miss nothing, and those of the server are inherited', async (t) => {
  const inherited = [];
  const own = [];
  const listener = await server(t, { message: (message) => inherited.push(String(Buffer.from(message))) },
    (connection) => {
      if (listener.connections.length > 1) {
        connection.on('message', (message) => own.push(String(Buffer.from(message))));
      }
    });
  client(t, listener).send('first');
  await until(() => inherited.length > 0);
  client(t, listener).send('second');
  await until(() => own.length > 0);
  assert.deepEqual([inherited, own], [['first'], ['second']]);
});

test('S11 connect of a client gets nothing, or the number of the error and the error', async (t) => {
  const listener = await server(t);
  const outcome = (options) => new Promise((resolve) => {
    client(t, listener, { ...options, connect: (...values) => resolve(values) });
  });
  assert.deepEqual(await outcome({ toAddress: String(listener.localAddress) }), [undefined]);
  const [refused, error] = await outcome({ toAddress: `127.0.0.1:${await freePort()}` });
  assert.equal(refused, 111);
  assert.deepEqual([error.code, error.blame], ['ECONNREFUSED', 'config']);
  assert.equal((await outcome({ toAddress: 'nobody.invalid:1' }))[0], constants.errno.ENOENT);
  const [unreachable] = await outcome({ toAddress: '[fe80::1]:1', connectTimeout: 1000 });
  assert.ok([constants.errno.ENETUNREACH, constants.errno.EHOSTUNREACH, constants.errno.EINVAL,
    constants.errno.EADDRNOTAVAIL].includes(unreachable), unreachable);
});

test('S11 a connection that is never answered ends by the timeout, with ETIMEDOUT', async (t) => {
  // A queue that is full answers no more.
  const { spawn } = await import('node:child_process');
  const script = `
import socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(0)
port = listener.getsockname()[1]
waiting = []
for _ in range(4):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", port))
    waiting.append(one)
print(port, flush=True)
sys.stdin.read()
`;
  const python = spawn('python3', ['-c', script]);
  t.after(() => python.stdin.end());
  const [line] = await once(python.stdout, 'data');
  const [errno, error] = await new Promise((resolve) => {
    TCP({ toAddress: `127.0.0.1:${Number(line)}`, connectTimeout: 300, connect: (...values) => resolve(values) });
  });
  assert.deepEqual([errno, error.code], [constants.errno.ETIMEDOUT, 'timeout_connect']);
});

test('S12 the order on both sides: connect, ready, message, close', async (t) => {
  const there = [];
  const listener = await server(t, {}, (connection) => {
    there.push(['connect']);
    watched(connection, there);
    connection.send('welcome');
  });
  const here = [];
  const socket = client(t, listener, { connect: () => here.push(['connect']) });
  watched(socket, here);
  socket.send('hello');
  await until(() => here.length === 3 && there.length === 3);
  socket.close();
  await until(() => here.length === 4 && there.length === 4);
  assert.deepEqual(names(here), ['connect', 'ready', 'message', 'close']);
  assert.deepEqual(names(there), ['connect', 'ready', 'message', 'close']);
});

test('send honours the bounds of a view', async (t) => {
  const told = [];
  const listener = await server(t, {}, (connection) => watched(connection, told));
  const socket = client(t, listener);
  const bytes = new Uint8Array(100).fill(65);
  socket.send(bytes.subarray(3, 5));
  socket.send(bytes.buffer.slice(0, 1));
  socket.send(new DataView(bytes.buffer, 10, 2));
  await until(() => text(told).length >= 5);
  assert.equal(text(told), 'AAAAA');
  assert.throws(() => socket.send(5), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('S24 close() loses nothing of 64 MiB to a slow reader, and nothing is received behind it', async (t) => {
  const size = 64 * 1024 * 1024;
  let got = 0;
  const slow = await tcpServer(t, (peer) => {
    peer.write('before');
    peer.pause();
    setTimeout(() => peer.resume(), 200);
    peer.on('data', (data) => {
      got += data.length;
      peer.write('too late');
    });
    peer.on('end', () => peer.end());
  });
  const told = [];
  const socket = TCP({ toAddress: `127.0.0.1:${slow.port}` });
  watched(socket, told);
  await until(() => told.length === 2);
  for (let count = 0; count < 64; count += 1) socket.send(Buffer.alloc(size / 64, count));
  socket.close();
  await until(() => told.length === 3);
  assert.equal(got, size);
  assert.deepEqual(names(told), ['ready', 'message', 'close']);
  assert.equal(socket.ending.clean, true);
});

test('S24 close() before the connection is up sends what was sent before; without any it gives up', async (t) => {
  const told = [];
  const listener = await server(t, {}, (connection) => watched(connection, told));
  const socket = client(t, listener);
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.send('the last word');
  socket.close();
  await closed;
  await until(() => told.length === 3);
  assert.equal(text(told), 'the last word');
  const idle = TCP({ toAddress: 'never-answers.invalid:1' });
  const given = new Promise((resolve) => idle.on('close', (...values) => resolve(values)));
  idle.close();
  assert.deepEqual(await given, [], 'no parameters');
});

test('S25 an error that nobody handles is a warning, never uncaught', async (t) => {
  const listener = await server(t);
  const socket = client(t, listener);
  await new Promise((resolve) => socket.on('ready', resolve));
  const warned = once(process, 'warning');
  socket.send('x', new Address('127.0.0.1', 1));
  const [warning] = await warned;
  assert.equal(warning.code, 'LEVADA_TCP_GENERIC');
});

test('S26 ports lists our listener with our pid', async (t) => {
  const listener = await server(t);
  const ours = { port: listener.localAddress.port, pid: process.pid };
  for (const all of [TCP.ports, listener.ports]) {
    assert.ok(all.some(({ port, pid }) => port === ours.port && pid === ours.pid));
  }
});

test('S27 send with an address on a connection: an error event, and nothing is sent', async (t) => {
  const told = [];
  const listener = await server(t, {}, (connection) => watched(connection, told));
  const socket = client(t, listener);
  const errors = [];
  socket.on('error', (...values) => errors.push(values));
  await new Promise((resolve) => socket.on('ready', resolve));
  socket.send('to somebody else', new Address('127.0.0.1', 9));
  socket.send('to the peer');
  await until(() => told.length === 2);
  assert.equal(text(told), 'to the peer');
  assert.equal(errors[0][0], TCP.ERROR.GENERIC);
  socket.close();
  socket.send('too late');
  assert.equal(errors[1][1].code, 'EPIPE');
});

test('S28 a bare string listens there', async (t) => {
  const port = await freePort();
  const got = [];
  const listener = TCP(`localhost:${port}`, (message) => got.push(String(Buffer.from(message))));
  await until(() => listener.localAddress);
  const socket = TCP({ port: await freePort(), address: 'localhost', toAddress: `localhost:${port}` });
  socket.send('Hello World');
  await until(() => got.length > 0);
  assert.deepEqual(got, ['Hello World']);
  socket.close();
  listener.close();
});

test('an echo of many connections at once ends cleanly on both sides', async (t) => {
  const listener = await server(t, {}, echo);
  const done = Array.from({ length: 50 }, (_, count) => new Promise((resolve) => {
    const socket = client(t, listener, { readStrings: true });
    socket.on('message', (message) => {
      assert.equal(message, `number ${count}`);
      socket.close();
    });
    socket.on('close', () => resolve(socket.ending.clean));
    socket.send(`number ${count}`);
  }));
  assert.ok((await Promise.all(done)).every((clean) => clean));
});
