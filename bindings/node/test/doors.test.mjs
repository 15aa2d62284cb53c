// connect and listen: the Levada stream as a Duplex, over the addresses of the grammar.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as levada from 'levada';
import * as pki from './support/pki.mjs';
import { recorded, tcpServer, until } from './support/peers.mjs';

const { connect, listen, LevadaError } = levada;

/** A listener that echoes. */
async function echoing(t, address) {
  const listener = listen(address, (stream) => stream.pipe(stream));
  t.after(() => listener.close());
  await once(listener, 'listening');
  return listener;
}

/** What comes back of what is sent, and the stream. */
async function exchanged(address, words) {
  const stream = connect(address);
  stream.end(words);
  let got = '';
  for await (const chunk of stream) got += chunk;
  if (!stream.closed) await once(stream, 'close');
  return [got, stream];
}

test('import and require give the same', () => {
  const required = createRequire(import.meta.url)('levada');
  for (const name of Object.keys(required)) assert.equal(levada[name], required[name], name);
});

test('every scheme of the grammar carries bytes both ways and ends cleanly', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'levada-doors-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const identity = `cert=${pki.server.file}.crt&key=${pki.server.file}.key`;
  const trust = `ca=${pki.caFile}`;
  const pairs = [
    ['tcp://127.0.0.1:0', (at) => `tcp://${at}`],
    [`tls://127.0.0.1:0?${identity}`, (at) => `tls://${at}?${trust}&name=localhost`],
    ['ws://127.0.0.1:0/path', (at) => `ws://${at}/path`],
    [`wss://127.0.0.1:0?${identity}`, (at) => `wss://${at}?${trust}&name=localhost`],
    [`unix:${folder}/socket`, () => `unix:${folder}/socket`],
    [`ws+unix:${folder}/ws`, () => `ws+unix:${folder}/ws`],
  ];
  for (const [there, here] of pairs) {
    const listener = await echoing(t, there);
    const [got, stream] = await exchanged(here(listener.local), `by ${there}`);
    assert.equal(got, `by ${there}`);
    assert.equal(stream.ending.clean, true, there);
  }
  assert.equal((await exchanged('echo:', 'hello'))[0], 'hello');
});

test('the events of a life, in order', async (t) => {
  const listener = await echoing(t, 'tcp://127.0.0.1:0');
  const stream = connect(`tcp://${listener.local}`);
  const told = [];
  stream.on('event', (event) => told.push([event.type, event.value].filter(Boolean).join(' ')));
  stream.on('connect', () => told.push('CONNECT'));
  stream.end('x').resume();
  await once(stream, 'close');
  assert.deepEqual(told, ['state connecting', 'attempt ' + listener.local, 'state connected', 'state established',
    'CONNECT', 'state closing', 'goodbye local', 'goodbye peer', 'ended']);
});

test('our direction stays open with allowHalfOpen, and closes with the peer’s without', async (t) => {
  for (const allowHalfOpen of [true, false]) {
    let got = '';
    const peer = await tcpServer(t, (socket) => {
      socket.end('the peer is done');
      socket.on('data', (data) => (got += data));
    });
    const stream = connect(`tcp://127.0.0.1:${peer.port}`, { allowHalfOpen });
    stream.resume();
    await once(stream, 'end');
    if (allowHalfOpen) {
      stream.write('and still ');
      stream.end('we write');
    }
    await once(stream, 'close');
    await until(() => got.length >= (allowHalfOpen ? 18 : 0));
    assert.equal(got, allowHalfOpen ? 'and still we write' : '');
    assert.equal(stream.ending.code, 'finished');
  }
});

test('what had come before an error is read before it', async (t) => {
  const peer = await tcpServer(t, (socket) => {
    socket.write('x'.repeat(100_000), () => socket.resetAndDestroy());
  });
  const stream = connect(`tcp://127.0.0.1:${peer.port}`);
  let got = 0;
  const reading = (async () => {
    for await (const chunk of stream) {
      got += chunk.length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await assert.rejects(reading, { code: 'ECONNRESET' });
  // A reset takes what the kernel still held; what we had, we were given.
  assert.equal(stream.ending.facts.bytes.read, got);
});

test('an error carries code, hint, blame and facts; what is wrong with an address throws', async () => {
  const [error] = await once(connect('tcp://127.0.0.1:1'), 'error');
  assert.ok(error instanceof LevadaError && error instanceof Error);
  assert.deepEqual([error.code, error.errno, error.blame, error.hint],
    ['ECONNREFUSED', -111, 'config', 'nothing listens there: check address and port']);
  assert.deepEqual([error.facts.role, error.ending.code], ['client', 'connectFailed']);
  for (const [address, code] of [['tcp://:0', 'ERR_LEVADA_ADDRESS'], ['tls://a:1?ca=/nowhere', 'ERR_LEVADA_FILE'],
    ['gopher://a:1', 'ERR_LEVADA_ADDRESS']]) {
    assert.throws(() => connect(address), (each) => each.code === code && each.hint.length > 0 && each.blame === 'config');
  }
  assert.throws(() => listen('tls://:0'), { code: 'ERR_LEVADA_ADDRESS' });
});

test('a listener tells who failed before it was a stream, and an address that is taken', async (t) => {
  const identity = `cert=${pki.server.file}.crt&key=${pki.server.file}.key`;
  const listener = await echoing(t, `tls://127.0.0.1:0?${identity}`);
  const failed = once(listener, 'connectionError');
  connect(`tls://${listener.local}?name=localhost&ca=${pki.client.file}.crt`).on('error', () => {});
  const [error, stream] = await failed;
  assert.match(error.code, /^ERR_TLS_FATAL_ALERT$/);
  assert.equal(stream.ending.facts.role, 'server');
  const second = listen(`tcp://${listener.local}`);
  const [taken] = await once(second, 'error');
  assert.equal(taken.code, 'EADDRINUSE');
});

test('bulk through a stream comes out as it went in', async (t) => {
  const listener = await echoing(t, 'tcp://127.0.0.1:0');
  const stream = connect(`tcp://${listener.local}`);
  const piece = Buffer.alloc(3 * 1024 * 1024 + 1, 'abc');
  let got = 0;
  await pipeline(async function* give() {
    for (let count = 0; count < 10; count += 1) yield piece;
  }, stream, async (source) => {
    for await (const chunk of source) {
      for (const at of [0, chunk.length - 1]) assert.equal(chunk[at], piece[(got + at) % piece.length]);
      got += chunk.length;
    }
  });
  assert.equal(got, 10 * piece.length);
});

test('a WebSocket can be destroyed at any time, and its peer is told', async (t) => {
  const peers = [];
  const listener = listen('ws://127.0.0.1:0', (peer) => peers.push(peer.resume()));
  t.after(() => listener.close());
  await once(listener, 'listening');
  const stream = connect(`ws://${listener.local}`);
  await once(stream, 'connect');
  for (const each of [stream, connect(`ws://${listener.local}`)]) {
    await once(each.destroy(), 'close');
    assert.equal(each.ending.code, 'aborted');
  }
  await until(() => peers[0]?.closed);
  assert.match(peers[0].ending.message, /closed the WebSocket with code 1001/);
});

test('an abort signal ends a stream', async () => {
  const controller = new AbortController();
  const stream = connect('tcp://never-answers.invalid:1', { signal: controller.signal });
  const told = recorded(stream);
  controller.abort();
  await told.closed;
  assert.equal(told.error.name, 'AbortError');
  assert.equal(stream.ending.code, 'aborted');
});
