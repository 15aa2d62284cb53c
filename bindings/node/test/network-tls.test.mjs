// Network.TCP under TLS: rows S13 to S23 and S25.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { Network } from 'levada';
import * as pki from './support/pki.mjs';
import { flipped, middle, tcpServer, tlsServer, until } from './support/peers.mjs';
import { client, names, server, text, watched } from './support/tcp.mjs';

const { TCP } = Network;
const identity = { cert: pki.server.cert, key: pki.server.key };
const echo = (connection) => connection.on('message', (message) => connection.send(message));

/** A client of Node's TLS to a listener of ours. */
function nodeClient(t, listener, options = {}) {
  const { port } = listener.localAddress;
  const socket = tls.connect({ port, host: '127.0.0.1', ca: pki.ca, servername: 'localhost', ...options });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  return socket;
}

test('S12 S13 under TLS connect comes before and ready behind the handshake, and nothing sent is lost', async (t) => {
  const there = [];
  const listener = await server(t, identity, (connection) => {
    there.push(['connect', connection.ssl]);
    watched(connection, there);
    connection.on('ready', () => there.push(['ready', connection.ssl]));
    connection.send('sent in connect');
  });
  const here = [];
  const socket = client(t, listener, { ca: pki.ca, connect: () => here.push(['connect', socket.ssl]) });
  watched(socket, here);
  socket.on('ready', () => here.push(['ready', socket.ssl]));
  socket.send('sent at once');
  await until(() => text(here) && text(there));
  assert.equal(text(there), 'sent at once');
  assert.equal(text(here), 'sent in connect');
  for (const told of [here, there]) {
    assert.deepEqual(told.slice(0, 2), [['connect', false], ['ready', true]]);
  }
  assert.equal(socket.facts.tls.verification, 'verified');
  socket.close();
  await until(() => here.length === 4 && there.length === 4);
  assert.deepEqual(names(here), ['connect', 'ready', 'message', 'close']);
  assert.ok(socket.ending.clean && listener.connections[0].ending.clean);
});

test('S14 cert and ca imply ssl; ssl alone trusts the system; a server without a certificate does not start', async (t) => {
  const listener = await server(t, identity, echo);
  for (const options of [{ ca: pki.ca }, { ssl: true, ca: pki.ca }, { ca: pki.ca, toAddress: `localhost:${listener.localAddress.port}` }]) {
    const socket = client(t, listener, options);
    await new Promise((resolve) => socket.on('ready', resolve));
    assert.equal(socket.ssl, true);
  }
  const errors = [];
  client(t, listener, { ssl: true, error: (...values) => errors.push(values) });
  await until(() => errors.length > 0);
  assert.deepEqual(errors, [[TCP.ERROR.CERTIFICATE_REJECTED]], 'the system trusts no authority of tests');
  assert.throws(() => TCP({ address: '127.0.0.1:0', ssl: true }), { code: 'ERR_INVALID_ARG_VALUE', message: /cert/ });
  const plain = await server(t, { ...identity, ssl: false }, echo);
  assert.equal(plain.ssl, false);
});

test('S14 a client shows its certificate to a server that asks for one', async (t) => {
  let shown;
  const asking = await tlsServer(t, { ALPNProtocols: undefined }, (peer) => (shown = peer.getPeerCertificate().subject.CN));
  const socket = TCP({ toAddress: `127.0.0.1:${asking.port}`, ca: pki.ca, cert: pki.client.cert, key: pki.client.key });
  await new Promise((resolve) => socket.on('ready', resolve));
  await until(() => shown);
  assert.equal(shown, 'client');
  socket.close();
});

test('S15 hosts are chosen by name: ~ lists, wildcards, any case; the first without a name; error 7 otherwise', async (t) => {
  const errors = [];
  const listener = await server(t, {
    ...identity,
    host: 'localhost~other.example',
    hosts: [{ host: 'Elsewhere.Example~*.wild.example', ...pki.elsewhere }],
  }, (connection) => connection.on('error', (...values) => errors.push(values)));
  const shownTo = async (servername) => {
    const socket = nodeClient(t, listener, { servername, checkServerIdentity: () => undefined });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  for (const name of ['localhost', 'LOCALHOST', 'other.example', '']) assert.equal(await shownTo(name), 'server', name);
  for (const name of ['elsewhere.example', 'a.wild.example']) assert.equal(await shownTo(name), 'elsewhere', name);
  for (const name of ['unknown.example', 'a.b.wild.example']) {
    const socket = nodeClient(t, listener, { servername: name });
    const [error] = await once(socket, 'error');
    assert.match(error.code, /UNRECOGNIZED_NAME/);
    await until(() => errors.some(([number]) => number === 7));
    assert.deepEqual(errors.splice(0).filter(([number]) => number === 7), [[TCP.ERROR.HOST_NOT_FOUND, name]]);
  }
});

test('S16 addCert counts from the next handshake on; it replaces, and names can be removed', async (t) => {
  const listener = await server(t, { ...identity, host: 'localhost' }, echo);
  const first = nodeClient(t, listener);
  await once(first, 'secureConnect');
  const shown = async (servername) => {
    const socket = nodeClient(t, listener, { servername, checkServerIdentity: () => undefined });
    const [error] = await Promise.race([once(socket, 'secureConnect').then(() => []), once(socket, 'error')]);
    const name = error ? error.code : socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return name;
  };
  assert.match(await shown('new.example'), /UNRECOGNIZED_NAME/);
  listener.addCert('new.example~newer.example', pki.elsewhere.cert, pki.elsewhere.key);
  assert.equal(await shown('newer.example'), 'elsewhere');
  listener.addHost('localhost', pki.elsewhere.cert, pki.encrypted(pki.elsewhere, 'sesame'), 'sesame');
  assert.equal(await shown('localhost'), 'elsewhere', 'replaced');
  first.write('goes on');
  const [data] = await once(first, 'data');
  assert.equal(String(data), 'goes on', 'who is there is not touched');
  listener.removeCert('new.example');
  assert.match(await shown('new.example'), /UNRECOGNIZED_NAME/);
  assert.throws(() => listener.addCert('x.example', pki.server.cert, pki.elsewhere.key), { code: 'ERR_LEVADA_KEY' });
});

test('S17 the passphrase of an encrypted key: right, wrong and missing, at the top and in hosts', async (t) => {
  const key = pki.encrypted(pki.server, 'sesame');
  const { cert } = pki.server;
  for (const put of [(own) => own, (own) => ({ hosts: [{ host: 'localhost', ...own }] })]) {
    const listener = await server(t, put({ cert, key, passphrase: 'sesame' }), echo);
    await once(nodeClient(t, listener), 'secureConnect');
    const refused = (own, code) => assert.throws(() => TCP({ address: '127.0.0.1:0', ...put(own) }), { code });
    refused({ cert, key, passphrase: 'wrong' }, 'ERR_LEVADA_PASSPHRASE_WRONG');
    refused({ cert, key }, 'ERR_LEVADA_PASSPHRASE_MISSING');
  }
});

test('S18 allowSSLfallback lets plaintext through, whole and once, and both directions work', async (t) => {
  const told = [];
  const listener = await server(t, { ...identity, allowSSLfallback: true }, (connection) => {
    watched(connection, told);
    connection.on('message', (message) => {
      told.push(['message', message, connection.ssl]);
      connection.send('HTTP/1.0 200\r\n');
    });
  });
  const plain = net.connect(listener.localAddress.port, '127.0.0.1');
  plain.write('GET / HTTP/1.0\r\n');
  const [answer] = await once(plain, 'data');
  assert.equal(String(answer), 'HTTP/1.0 200\r\n');
  assert.deepEqual(names(told), ['ready', 'message']);
  assert.equal(text(told), 'GET / HTTP/1.0\r\n');
  assert.equal(told[1][2], false, 'ssl tells the truth');
  assert.equal(listener.connections[0].facts.plain, 'fallback');
  plain.end();
  await once(nodeClient(t, listener), 'secureConnect');
});

test('S19 without it: error 6 with the first bytes, then close; disableSSL in the handler rescues', async (t) => {
  for (const rescues of [false, true]) {
    const told = [];
    const listener = await server(t, identity, (connection) => {
      watched(connection, told);
      connection.on('error', (number, first) => {
        told.push(['error', number, Buffer.from(first).toString()]);
        if (rescues) connection.disableSSL(first);
      });
    });
    const plain = net.connect(listener.localAddress.port, '127.0.0.1');
    plain.on('error', () => {});
    plain.end('GET / HTTP/1.0\r\n');
    await until(() => names(told).includes('close'));
    assert.deepEqual(told[0], ['error', TCP.ERROR.NOT_TLS, 'GET / HTTP/1.0\r\n']);
    assert.deepEqual(names(told), rescues ? ['error', 'ready', 'message', 'close'] : ['error', 'close']);
    if (rescues) assert.equal(text(told), 'GET / HTTP/1.0\r\n');
  }
});

test('S20 there is no fallback once a byte of TLS has come', async (t) => {
  const told = [];
  const listener = await server(t, { ...identity, allowSSLfallback: true }, (connection) => watched(connection, told));
  const broken = Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 9]);
  net.connect(listener.localAddress.port, '127.0.0.1').on('error', () => {}).end(broken);
  await until(() => told.length === 2);
  assert.deepEqual(told, [['error', TCP.ERROR.HANDSHAKE_FAILED], ['close']]);
  // A client that refuses the certificate is a failure of TLS, too.
  nodeClient(t, listener, { ca: pki.otherCa });
  await until(() => told.length >= 4);
  assert.ok(!names(told).includes('ready') && !names(told).includes('message'), names(told));
});

test('S21 a client that says nothing, or one byte, ends by the handshake timeout', async (t) => {
  for (const first of ['', '\x16']) {
    const told = [];
    const listener = await server(t, { ...identity, handshakeTimeout: 200 }, (connection) => watched(connection, told));
    const silent = net.connect(listener.localAddress.port, '127.0.0.1').on('error', () => {});
    silent.write(first);
    await until(() => told.length === 2);
    assert.deepEqual(told, [['error', TCP.ERROR.HANDSHAKE_FAILED], ['close']]);
    assert.equal(listener.connections[0].ending.code, 'timeout_handshake');
    silent.destroy();
  }
});

test('S22 allowSSLfallback is set for a listener, and for one connection', async (t) => {
  const told = [];
  const listener = await server(t, identity, (connection) => {
    told.push(['connect', connection.allowSSLfallback]);
    if (listener.connections.length === 2) connection.allowSSLfallback = true;
    if (listener.connections.length === 3) connection.allowSSLfallback = false;
    watched(connection, told);
  });
  const outcome = async () => {
    const from = told.length;
    net.connect(listener.localAddress.port, '127.0.0.1').on('error', () => {}).end('plain');
    await until(() => names(told.slice(from)).includes('close'));
    const [[, inherited], [event]] = told.slice(from);
    return [inherited, event];
  };
  assert.deepEqual(await outcome(), [false, 'error']);
  assert.deepEqual(await outcome(), [false, 'ready']);
  listener.allowSSLfallback = true;
  assert.deepEqual(await outcome(), [true, 'error']);
  assert.deepEqual(await outcome(), [true, 'ready']);
});

test('S23 ssl = true puts TLS on a connection in use, on both sides, and false takes it off', async (t) => {
  const seen = [];
  const listener = await server(t, { ...identity, ssl: false, readStrings: true }, (connection) => {
    connection.on('message', (message) => {
      seen.push([message, connection.ssl]);
      if (message === 'STARTTLS') {
        connection.send('go ahead');
        connection.ssl = true;
      } else if (message === 'ENDTLS') {
        connection.send('as you wish');
        connection.ssl = false;
      } else connection.send(`echo ${message}`);
    });
  });
  const way = await middle(t, listener.localAddress.port, ({ ...way }) => (seen.way = way));
  const socket = TCP({ toAddress: `localhost:${way.port}`, ca: pki.ca, ssl: false, readStrings: true });
  t.after(() => socket.close());
  const answer = () => new Promise((resolve) => socket.on('message', (message) => resolve([message, socket.ssl])));
  socket.send('STARTTLS');
  assert.deepEqual(await answer(), ['go ahead', false]);
  socket.ssl = true;
  socket.send('secret');
  assert.deepEqual(await answer(), ['echo secret', true]);
  assert.deepEqual(seen.slice(0, 2), [['STARTTLS', false], ['secret', true]]);
  assert.equal(socket.facts.tls.verification, 'verified');
  socket.send('ENDTLS');
  socket.ssl = false;
  assert.deepEqual((await answer())[0], 'as you wish');
  socket.send('in plain again');
  assert.deepEqual(await answer(), ['echo in plain again', false]);
  assert.equal(socket.facts.plain, 'end_tls');
});

test('S23 plaintext that waits where TLS begins is refused', async (t) => {
  const told = [];
  const injecting = await tcpServer(t, (peer) => peer.once('data', () => peer.write(`go ahead${'x'.repeat(5000)}`)));
  const socket = TCP({ toAddress: `127.0.0.1:${injecting.port}`, ca: pki.ca, ssl: false });
  watched(socket, told);
  socket.on('message', () => (socket.ssl = true));
  socket.send('STARTTLS');
  await until(() => names(told).includes('close'));
  assert.deepEqual(told.slice(-2), [['error', TCP.ERROR.TLS_FAILED], ['close']]);
});

/** How each number of `error` comes about at a client, and what it is called with. */
const CLIENT_ERRORS = {
  3: { peer: (t) => tlsServer(t, { requestCert: false, ...pki.stranger }), arity: 1 },
  2: { peer: (t) => tcpServer(t, (peer) => peer.once('data', () => peer.end())), arity: 1 },
  6: { peer: (t) => tcpServer(t, (peer) => peer.once('data', () => peer.end('SSH-2.0-x\r\n'))), arity: 1 },
};

for (const [number, { peer, arity }] of Object.entries(CLIENT_ERRORS)) {
  test(`S25 a client is told error ${number}, and then close`, async (t) => {
    const { port } = await peer(t);
    const told = [];
    const socket = TCP({ toAddress: `127.0.0.1:${port}`, ca: pki.ca });
    watched(socket, told);
    await until(() => told.length === 2);
    assert.deepEqual(names(told), ['error', 'close']);
    assert.deepEqual([told[0][1], told[0].length - 1], [Number(number), arity]);
    assert.ok(socket.ending.hint.length > 0);
  });
}

test('S25 error 4: TLS fails when it is up, or is cut short', async (t) => {
  for (const meddle of [({ client }) => client.end(), (way) => (way.toClient = flipped)]) {
    const listener = await server(t, identity, echo);
    let way;
    const between = await middle(t, listener.localAddress.port, (found) => (way = found));
    const told = [];
    const socket = TCP({ toAddress: `localhost:${between.port}`, ca: pki.ca });
    watched(socket, told);
    await until(() => told.length === 1);
    meddle(way);
    socket.send('x');
    await until(() => names(told).includes('close'));
    assert.deepEqual(told, [['ready'], ['error', TCP.ERROR.TLS_FAILED], ['close']]);
  }
});
