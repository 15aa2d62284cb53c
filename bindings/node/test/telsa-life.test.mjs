// The life of a Telsa from its construction to its end: rows T01 to T08, T30 to T32, T37 and T38.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { Telsa } from 'levada';
import * as pki from './support/pki.mjs';
import { Pen } from './support/pen.mjs';
import { alert, middle, recorded, tcpServer, tlsServer, until } from './support/peers.mjs';
import { meet, telsa } from './support/telsa.mjs';

const echo = (stream) => stream.pipe(stream);

test('T01 the constructor dials, and there is no connect method', async (t) => {
  const met = new Promise((resolve) => {
    tcpServer(t, (socket) => socket.once('data', resolve)).then((server) => {
      const stream = telsa(t, server.port);
      assert.equal(stream.connect, undefined);
      assert.ok(stream instanceof Duplex);
      stream.on('error', () => {});
    });
  });
  const hello = await met;
  assert.deepEqual([hello[0], hello[5]], [22, 1], 'a ClientHello');
});

test('T02 T03 T04 the states on the way, as they are at each event', async (t) => {
  const server = await tlsServer(t, {}, echo);
  const held = [];
  const way = await middle(t, server.port, (way) => {
    way.toClient = (bytes) => void held.push(bytes);
    held.way = way;
  });
  const stream = telsa(t, way.port);
  const told = recorded(stream);
  assert.deepEqual([stream.state, stream.internalState, stream.reason], ['connecting', 'connecting', null]);
  await until(() => held.length > 0);
  assert.deepEqual([stream.state, stream.internalState], ['connecting', 'handshaking']);
  assert.deepEqual(told.events, [], 'the peer has not been verified');
  held.way.toClient = (bytes) => bytes;
  for (const bytes of held) held.way.client.write(bytes);
  await once(stream, 'connect');
  assert.deepEqual([stream.state, stream.internalState, stream.reason], ['established', 'established', null]);
  assert.equal(stream.facts.tls.verification, 'verified');
  stream.end('all');
  stream.resume();
  await told.closed;
  assert.deepEqual(told.events, ['connect', 'finish', 'end', 'close']);
  assert.deepEqual([stream.state, stream.internalState, stream.reason],
    ['disconnected', 'disconnected', 'ended']);
  for (const state of told.states) assert.ok(['connecting', 'established', 'disconnected'].includes(state));
});

/** Ways to fail before the stream is established: a peer, options, the code. */
const FAILURES = {
  'a port where nobody listens': { port: refusedPort, code: 'ECONNREFUSED', reasonOnly: true },
  'an authority that is not trusted': { options: { ca: pki.otherCa }, code: 'ERR_TLS_FATAL_ERROR' },
  'a certificate for another name': { options: { servername: 'other.example' }, code: 'ERR_TLS_FATAL_ERROR' },
  'a name that does not exist': { options: { host: 'nobody.invalid' }, code: 'ENOTFOUND' },
  'a fatal alert': { peer: (socket) => socket.write(alert(2, 40)), code: 'ERR_TLS_FATAL_ALERT' },
  'a FIN after the ClientHello': { peer: (socket) => socket.end(), code: 'ERR_TLS_SOCKET_CLOSE' },
  'a peer that speaks no TLS': { peer: (socket) => socket.write('SSH-2.0-x\r\n'), code: 'ERR_TLS_FATAL_ERROR' },
};

async function refusedPort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

for (const [name, { peer, port, options, code }] of Object.entries(FAILURES)) {
  test(`T05 T25 ${name} fails with ${code} before anything is established`, async (t) => {
    const met = () => (peer ? tcpServer(t, (socket) => socket.once('data', () => peer(socket))) : tlsServer(t));
    const stream = telsa(t, port ? await port() : (await met()).port, options);
    const told = recorded(stream);
    await told.closed;
    assert.deepEqual(told.events, ['error', 'close']);
    assert.equal(told.error.code, code);
    assert.equal(stream.reason, 'connectFailed');
    assert.equal(stream.ending.code, 'connectFailed');
    const { hint, blame, facts, ending } = told.error;
    assert.ok(hint.length > 0 && blame.length > 0);
    assert.equal(facts.role, 'client');
    assert.equal(ending, stream.ending);
  });
}

test('T06 end() before the transport is up gives the stream up: connectFinalized, and no error', async (t) => {
  const stream = telsa(t, 1, { host: 'never-answers.invalid' });
  const told = recorded(stream);
  stream.end();
  await told.closed;
  assert.ok(!told.events.includes('error') && !told.events.includes('connect'), told.events);
  assert.equal(stream.reason, 'connectFinalized');
  assert.equal(stream.ending.clean, true);
});

test('T07 end() while the handshake runs gives the stream up', async (t) => {
  let gone;
  const server = await tcpServer(t, (socket) => {
    gone = once(socket, 'close');
    socket.on('data', () => (server.met = true));
    socket.on('end', () => socket.end());
  });
  const stream = telsa(t, server.port);
  const told = recorded(stream);
  await until(() => server.met);
  assert.equal(stream.internalState, 'handshaking');
  stream.end();
  await told.closed;
  assert.ok(!told.events.includes('error') && !told.events.includes('connect'), told.events);
  assert.equal(stream.reason, 'connectFinalized');
  await gone;
});

test('T08 end() behind a write is no cancel: the bytes and then a clean end reach the server', async (t) => {
  let got = '';
  const ended = new Promise((resolve, reject) => {
    tlsServer(t, {}, (peer) => {
      peer.on('error', reject);
      peer.on('data', (data) => (got += data));
      peer.on('end', resolve);
    }).then((server) => {
      const stream = telsa(t, server.port);
      stream.write('written first');
      stream.end(' and last');
      assert.equal(stream.state, 'connecting');
      stream.resume();
    });
  });
  await ended;
  assert.equal(got, 'written first and last');
});

test('T30 a warning alert does not end a handshake of TLS 1.2', async (t) => {
  const server = await tlsServer(t, { maxVersion: 'TLSv1.2' }, echo);
  const way = await middle(t, server.port, (way) => {
    way.toClient = (bytes) => {
      way.toClient = (bytes) => bytes;
      return Buffer.concat([alert(1, 90), bytes]);
    };
  });
  const stream = telsa(t, way.port);
  await once(stream, 'connect');
  stream.write('goes on');
  const [data] = await once(stream, 'data');
  assert.equal(String(data), 'goes on');
});

/** The peer's own words under TLS 1.3, once what it has just written is read. */
async function penOf({ way, peer, telsa: stream, secrets }) {
  const passed = [];
  way.toClient = (bytes) => {
    passed.push(bytes);
    return bytes;
  };
  peer.write('the last of its own');
  await once(stream, 'data');
  return new Pen(secrets, stream.facts.tls.suite, Buffer.concat(passed));
}

test('T30 T29 in TLS 1.3 every alert but close_notify and user_canceled is final, whatever its level', async (t) => {
  // close_notify as a warning is row 5; 100 was only ever a warning, 255 nobody has defined.
  for (const [level, number] of [[1, 40], [1, 100], [1, 112], [1, 255], [2, 80]]) {
    const scene = await meet(t, 'idle');
    const pen = await penOf(scene);
    scene.sent.length = 0;
    scene.way.client.write(pen.alert(level, number));
    await scene.told.closed;
    assert.deepEqual(scene.told.events, ['connect', 'error', 'close']);
    assert.equal(scene.told.error.code, 'ERR_TLS_FATAL_ALERT', `alert ${number} of level ${level}`);
    assert.match(scene.told.error.description, new RegExp(`\\b${number}\\b`));
    assert.equal(scene.telsa.reason, 'fatalAlert');
    assert.deepEqual(scene.sent, [], 'nothing more is said');
  }
});

test('T30 user_canceled ends no stream of TLS 1.3; close_notify behind it does', async (t) => {
  const scene = await meet(t, 'idle');
  const pen = await penOf(scene);
  const { client } = scene.way;
  client.write(Buffer.concat([pen.alert(1, 90), pen.seal(23, Buffer.from(' and it goes on'))]));
  await once(scene.telsa, 'data');
  assert.equal(String(scene.read), 'the last of its own and it goes on');
  assert.equal(scene.telsa.state, 'established');
  client.write(pen.alert(1, 0));
  await scene.told.closed;
  assert.deepEqual(scene.told.events, ['connect', 'end', 'finish', 'close']);
  assert.equal(scene.telsa.reason, 'closeNotify');
});

test('T31 data behind the close_notify is dropped', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const scene = await meet(t, 'idle', version);
    const { way, peer, telsa: stream, told } = scene;
    way.holdsEnd = true;
    way.server.once('end', () => {
      const late = Buffer.alloc(5 + 60, 7);
      late.set([23, 3, 3, 0, 60]);
      way.client.end(late);
    });
    peer.end('the last words');
    await told.closed;
    assert.equal(String(scene.read), 'the last words');
    assert.deepEqual(told.events, ['connect', 'end', 'finish', 'close']);
    assert.equal(stream.reason, 'closeNotify');
  }
});

test('T32 after the end a write fails with EPIPE, and end() is well', async (t) => {
  const { peer, telsa: stream, told } = await meet(t, 'idle');
  peer.end();
  await told.closed;
  const error = await new Promise((resolve) => assert.equal(stream.write('late', resolve), false));
  assert.equal(error.code, 'EPIPE');
  assert.equal(error.message, 'This socket has been ended by the other party');
  assert.equal(await new Promise((resolve) => stream.end(resolve)), undefined);
  assert.deepEqual(told.events, ['connect', 'end', 'finish', 'close'], 'nothing comes behind close');
});

test('T37 the time of verification can be set, and the validity period ignored', async (t) => {
  const { cert, key } = pki.expired();
  const server = await tlsServer(t, { cert, key }, echo);
  const within = new Date('2020-01-15T12:00:00Z');
  for (const validityCheckDate of [within, null]) {
    const stream = telsa(t, server.port, { validityCheckDate });
    await once(stream, 'connect');
    const expected = validityCheckDate ? 'verified' : 'danger';
    assert.equal(stream.facts.tls.verification, expected, 'the facts tell what was passed over');
    stream.destroy();
  }
  const told = recorded(telsa(t, server.port));
  await told.closed;
  assert.match(told.error.description, /it has expired, we sent the alert certificate_expired \(45\)/);
  const early = recorded(telsa(t, server.port, { validityCheckDate: new Date('2019-01-01') }));
  await early.closed;
  assert.match(early.error.description, /it is not valid yet/);
});

test('T38 destroy() is told from a clean end: pending writes fail, and no error unless one is given', async (t) => {
  for (const given of [undefined, new Error('enough')]) {
    const { telsa: stream, told, writes } = await meet(t, 'draining');
    stream.destroy(given);
    await told.closed;
    assert.deepEqual(told.events, given ? ['connect', 'error', 'close'] : ['connect', 'close']);
    assert.equal(told.error, given);
    assert.equal(stream.reason, 'destroyed');
    await until(() => writes.every((write) => write.calls > 0));
    for (const write of writes) assert.ok(write.calls === 1 && write.error instanceof Error);
  }
});

test('options that cannot be meant throw at once, and say what is wanted', () => {
  const good = { host: 'localhost', port: 1, ca: pki.ca, cert: pki.client.cert, key: pki.client.key };
  const throws = (wrong, code, words) => assert.throws(() => new Telsa({ ...good, ...wrong }),
    (error) => error.code === code && words.test(error.message));
  throws({ host: undefined }, 'ERR_INVALID_ARG_VALUE', /`host`/);
  throws({ port: 0 }, 'ERR_INVALID_ARG_VALUE', /`port`/);
  throws({ ca: undefined }, 'ERR_INVALID_ARG_VALUE', /`ca`/);
  throws({ cert: undefined }, 'ERR_INVALID_ARG_VALUE', /`cert`/);
  throws({ key: undefined }, 'ERR_INVALID_ARG_VALUE', /`key`/);
  throws({ ca: 'no PEM' }, 'ERR_LEVADA_CA', /PEM/);
  throws({ key: pki.server.key }, 'ERR_LEVADA_KEY', /not that of the certificate/);
  throws({ validityCheckDate: new Date('x') }, 'ERR_INVALID_ARG_VALUE', /Date/);
  assert.throws(() => new Telsa(), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('an encrypted key is opened by the passphrase, and each way of failing has its own code', async (t) => {
  const key = pki.encrypted(pki.client, 'sesame');
  const server = await tlsServer(t);
  const stream = telsa(t, server.port, { key, passphrase: 'sesame' });
  await once(stream, 'connect');
  assert.throws(() => telsa(t, 1, { key, passphrase: 'wrong' }), { code: 'ERR_LEVADA_PASSPHRASE_WRONG' });
  assert.throws(() => telsa(t, 1, { key }), { code: 'ERR_LEVADA_PASSPHRASE_MISSING' });
  assert.throws(() => telsa(t, 1, { passphrase: 'x' }), { code: 'ERR_LEVADA_PASSPHRASE_NOT_NEEDED' });
});

test('a given transport carries the stream, and its own error is the original one', async (t) => {
  const server = await tlsServer(t, {}, echo);
  const socket = net.connect(server.port, '127.0.0.1');
  const stream = telsa(t, undefined, { socket });
  stream.write('over another');
  const [data] = await once(stream, 'data');
  assert.equal(String(data), 'over another');
  const told = recorded(stream);
  const broken = new Error('the modem hung up');
  socket.destroy(broken);
  await told.closed;
  assert.equal(told.error, broken);
  assert.equal(stream.reason, 'socketError');
});

test('a given transport is ended with the stream, in both directions', async (t) => {
  const server = await tlsServer(t, {}, (peer) => peer.once('data', () => peer.end('bye')));
  const socket = net.connect(server.port, '127.0.0.1');
  const stream = telsa(t, undefined, { socket });
  const told = recorded(stream);
  stream.write('hello');
  const gone = once(socket, 'close');
  let read = '';
  stream.on('data', (data) => (read += data));
  await told.closed;
  assert.equal(read, 'bye');
  assert.deepEqual(told.events, ['connect', 'end', 'finish', 'close']);
  await gone;
});
