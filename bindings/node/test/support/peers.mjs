// The other ends of tests: servers by Node's own TLS, and somebody on the way who meddles.
import net from 'node:net';
import tls from 'node:tls';
import { once } from 'node:events';
import * as pki from './pki.mjs';

/** A server of Node's TLS on a free port of this machine; it asks for a client certificate. */
export async function tlsServer(t, options = {}, onStream = () => {}) {
  const server = tls.createServer({
    cert: pki.server.cert, key: pki.server.key, ca: pki.ca, requestCert: true,
    rejectUnauthorized: true, ALPNProtocols: ['mqtt'], ...options,
  });
  server.on('tlsClientError', () => {});
  server.on('secureConnection', (stream) => {
    stream.on('error', () => {});
    onStream(stream);
  });
  return listening(t, server);
}

/** A server of plain TCP; `onSocket` plays the peer. */
export function tcpServer(t, onSocket) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  return listening(t, server);
}

async function listening(t, server) {
  const open = new Set();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  server.port = server.address().port;
  return server;
}

/**
 * Somebody on the way to `port`, who sees all bytes. `meddle` gets the two sockets, and what it sets as
 * `toClient` or `toServer` may give back other bytes, or none, for each chunk.
 */
export function middle(t, port, meddle = () => {}) {
  return tcpServer(t, (client) => {
    const server = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    server.on('error', () => client.destroy());
    client.on('close', () => server.destroy());
    t.after(() => server.destroy());
    const way = { client, server, toClient: (bytes) => bytes, toServer: (bytes) => bytes };
    meddle(way);
    server.on('data', (bytes) => {
      const passed = way.toClient(bytes);
      if (passed?.length && !client.destroyed) client.write(passed);
    });
    client.on('data', (bytes) => {
      const passed = way.toServer(bytes);
      if (passed?.length && !server.destroyed) server.write(passed);
    });
    server.on('end', () => way.holdsEnd || client.end());
    client.on('end', () => server.end());
  });
}

/** Flips a bit inside the record that the bytes begin with. */
export function flipped(bytes) {
  const copy = Buffer.from(bytes);
  copy[Math.min(copy.length - 1, 100)] ^= 1;
  return copy;
}

/** The record of an alert in plaintext. */
export const alert = (level, description) => Buffer.from([21, 3, 3, 0, 2, level, description]);

/** Waits until `is` says so, without a word of how long that takes. */
export async function until(is) {
  while (!is()) await new Promise((resolve) => setImmediate(resolve));
}

/** Notes each event of a stream in order, with the state that it shows then. */
export function recorded(stream) {
  const told = { events: [], states: [], error: undefined };
  for (const name of ['connect', 'end', 'finish', 'error', 'close']) {
    stream.on(name, (value) => {
      told.events.push(name);
      told.states.push(stream.state);
      if (name === 'error') told.error = value;
    });
  }
  told.closed = new Promise((resolve) => stream.once('close', resolve));
  return told;
}
