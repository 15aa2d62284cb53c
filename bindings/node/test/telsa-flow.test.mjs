// What Telsa's signers, alerts and streams of bytes are held to: rows T24, T26, T27 and T33 to T36.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import * as pki from './support/pki.mjs';
import { recorded, tcpServer, tlsServer, until } from './support/peers.mjs';
import { DRAINING, meet, telsa } from './support/telsa.mjs';

const echo = (stream) => stream.pipe(stream);
const privateKey = createPrivateKey(pki.client.key);
const signature = (data) => sign('sha256', data, privateKey);

test('T24 every queued write is settled once, and none as done behind the ending', async (t) => {
  const { telsa: stream, told, way } = await meet(t, 'idle');
  way.client.pause();
  const order = [];
  let ended = false;
  stream.once('error', () => (ended = true));
  for (let count = 0; count < 200; count += 1) {
    const bytes = Buffer.alloc(256 * 1024, count);
    stream.write(bytes, (error) => order.push({ count, error, ended }));
  }
  await until(() => order.length > 0);
  way.client.resetAndDestroy();
  await told.closed;
  await until(() => order.length === 200);
  assert.deepEqual(order.map(({ count }) => count), Array.from({ length: 200 }, (_, count) => count));
  const failed = order.findIndex(({ error }) => error);
  assert.ok(failed > 0);
  for (const { error, ended: behind } of order.slice(0, failed)) assert.ok(!error && !behind);
  for (const { error } of order.slice(failed)) assert.equal(error.code, 'ECONNRESET');
});

/** What a server of raw bytes answers to a ClientHello, and the alert that we send about it. */
const CAUSES = {
  'a ServerHello of TLS 1.1': { answer: serverHello(0x0302), alert: 70 },
  'a record of a type that there is none of': { answer: Buffer.from([99, 3, 3, 0, 1, 0]), alert: null },
  'a Finished where a ServerHello is due': { answer: Buffer.from([22, 3, 3, 0, 4, 20, 0, 0, 0]), alert: 10 },
  'a handshake message that cannot be read': { answer: Buffer.from([22, 3, 3, 0, 5, 2, 0, 0, 1, 9]), alert: 50 },
};

function serverHello(version) {
  const body = Buffer.concat([Buffer.from([version >> 8, version & 255]), randomBytes(32),
    Buffer.from([0, 0xc0, 0x13, 0, 0, 0])]);
  const head = Buffer.from([22, 3, 2, 0, body.length + 4, 2, 0, 0, body.length]);
  return Buffer.concat([head, body]);
}

for (const [cause, { answer, alert }] of Object.entries(CAUSES)) {
  test(`T26 ${cause}: the alert is ${alert ?? 'none'}, and it is out before the FIN`, async (t) => {
    let got = Buffer.alloc(0);
    let finished;
    const server = await tcpServer(t, (socket) => {
      socket.once('data', () => {
        socket.on('data', (data) => (got = Buffer.concat([got, data])));
        finished = once(socket, 'end');
        socket.write(answer);
      });
    });
    const told = recorded(telsa(t, server.port));
    await told.closed;
    assert.equal(told.error.code, 'ERR_TLS_FATAL_ERROR');
    await finished;
    assert.deepEqual([...got], alert === null ? [] : [21, 3, 3, 0, 2, 2, alert]);
  });
}

for (const [name, server, alert] of [
  ['an authority that is not trusted', { cert: pki.stranger.cert, key: pki.stranger.key }, /UNKNOWN_CA/],
  ['a certificate for another name', { cert: pki.elsewhere.cert, key: pki.elsewhere.key }, /BAD_CERTIFICATE/],
]) {
  test(`T26 ${name}: the server reads the alert ${alert.source}`, async (t) => {
    const listener = await tlsServer(t, server);
    const met = once(listener, 'tlsClientError');
    const told = recorded(telsa(t, listener.port));
    await told.closed;
    const [error] = await met;
    assert.match(error.code, alert);
  });
}

/** Signers that fail. */
const FAILING = {
  'calls back with an error': (_data, callback) => callback(new Error('no card in the slot')),
  throws: () => {
    throw new Error('no card in the slot');
  },
  'rejects its promise': async () => {
    throw new Error('no card in the slot');
  },
  'gives no signature in time': () => {},
  'gives something else': (_data, callback) => callback(null, 'a string'),
  'signs something else': (_data, callback) => callback(null, signature(Buffer.from('else'))),
};

for (const [name, key] of Object.entries(FAILING)) {
  test(`T27 a signer that ${name}: alert 80, and the error says why`, async (t) => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
      const server = await tlsServer(t, { maxVersion });
      const met = once(server, 'tlsClientError');
      const told = recorded(telsa(t, server.port, { key, signerTimeout: 200 }));
      await told.closed;
      assert.equal(told.error.code, 'ERR_TLS_FATAL_ERROR');
      assert.match(told.error.message, /the private key could not sign: .*internal_error \(80\)/);
      if (!/signs|gives/.test(name)) assert.match(told.error.message, /no card in the slot/);
      const [error] = await met;
      assert.match(error.code, /ALERT_INTERNAL_ERROR/);
    }
  });
}

test('a signer is given the whole data and the scheme, and may call back or give a promise', async (t) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    const server = await tlsServer(t, { maxVersion }, echo);
    const asked = [];
    const signers = [
      (data, callback, info) => {
        asked.push([data, info.scheme]);
        setTimeout(() => callback(null, signature(data)), 5);
      },
      async (data) => signature(data),
      async (data, callback) => callback(null, signature(data)),
    ];
    for (const key of signers) {
      const stream = telsa(t, server.port, { key });
      await once(stream, 'connect');
      assert.equal(stream.facts.tls.identityAsked, true);
    }
    const [[data, scheme]] = asked;
    assert.equal(scheme, 'ecdsa_secp256r1_sha256');
    // In TLS 1.2 the transcript, from the ClientHello on; in 1.3 what RFC 8446 section 4.4.3 says.
    if (maxVersion === 'TLSv1.2') assert.equal(data[0], 1);
    else assert.match(String(data.subarray(64, 97)), /TLS 1.3, client CertificateVerify/);
  }
});

test('T33 a signer is heard once, and not at all behind the end', async (t) => {
  const server = await tlsServer(t, {}, echo);
  let late;
  const slow = telsa(t, server.port, { key: (data, callback) => (late = [data, callback]) });
  const told = recorded(slow);
  await until(() => late);
  slow.destroy();
  await told.closed;
  const [data, callback] = late;
  callback(null, signature(data));
  callback(new Error('and again'));
  assert.deepEqual(told.events, ['close']);
  const twice = telsa(t, server.port, {
    key(data, callback) {
      callback(null, signature(data));
      callback(new Error('a second answer'));
      callback(null, Buffer.from('a third'));
    },
  });
  await once(twice, 'connect');
});

test('T34 a slow signer stalls no other stream', async (t) => {
  const server = await tlsServer(t, {}, echo);
  const waiting = [];
  const slow = telsa(t, server.port, { key: (data, callback) => waiting.push([data, callback]) });
  await until(() => waiting.length > 0);
  for (let count = 0; count < 3; count += 1) {
    const other = telsa(t, server.port);
    other.write('meanwhile');
    const [data] = await once(other, 'data');
    assert.equal(String(data), 'meanwhile');
  }
  assert.equal(slow.state, 'connecting');
  for (const [data, callback] of waiting) callback(null, signature(data));
  await once(slow, 'connect');
});

test('T35 who stops reading stops the transport, and goes on where it stopped', async (t) => {
  const size = 64 * 1024 * 1024;
  const server = await tlsServer(t, {}, (peer) => {
    server.peer = peer;
    peer.end(Buffer.alloc(size, 'x'));
  });
  const stream = telsa(t, server.port);
  stream.once('readable', () => {});
  await once(stream, 'connect');
  await settled(() => stream.facts.bytes.read);
  const { read } = stream.facts.bytes;
  assert.ok(read < 1024 * 1024, `${read} bytes were read that nobody wanted`);
  let total = 0;
  for await (const chunk of stream) total += chunk.length;
  assert.equal(total, size);
});

test('T36 a write is called back when its bytes have left, and not when they are queued', async (t) => {
  const { telsa: stream, way } = await meet(t, 'idle');
  way.client.pause();
  let done = false;
  stream.write(DRAINING, () => (done = true));
  await settled(() => stream.facts.bytes.wireWritten);
  assert.equal(done, false);
  assert.ok(stream.facts.bytes.wireWritten < DRAINING.length);
  way.client.resume();
  await until(() => done);
  assert.ok(stream.facts.bytes.wireWritten > DRAINING.length, 'all of it is with the kernel');
});

/** Until a figure grows no more. */
async function settled(figure) {
  for (let last = -1, same = 0; same < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    same = figure() === last ? same + 1 : 0;
    last = figure();
  }
}

test('pipe, pipeline, cork and async iteration work as on any stream', async (t) => {
  const server = await tlsServer(t, {}, echo);
  const sent = randomBytes(5 * 1024 * 1024 + 7);
  const stream = telsa(t, server.port);
  const got = [];
  await pipeline(Readable.from([sent.subarray(0, 3), sent.subarray(3)]), stream, async function take(source) {
    for await (const chunk of source) got.push(chunk);
  });
  assert.ok(Buffer.concat(got).equals(sent));

  const corked = telsa(t, server.port);
  corked.cork();
  for (const word of ['one ', 'two ', 'three']) corked.write(word);
  process.nextTick(() => corked.uncork());
  const [data] = await once(corked, 'data');
  assert.equal(String(data), 'one two three', 'written together');
});
