// Network.TCP in tests: free ports, and what its callbacks are told.
import net from 'node:net';
import { once } from 'node:events';
import { Network } from 'levada';
import { until } from './peers.mjs';

const { TCP } = Network;

/** What each callback of a socket is told, in order. */
export function watched(socket, told = []) {
  for (const event of ['ready', 'message', 'close', 'error']) {
    socket.on(event, (...values) => told.push([event, ...values]));
  }
  return told;
}

export const names = (told) => told.map(([event]) => event);

/** A server on a free port of 127.0.0.1; `onConnection` gets each connection. */
export async function server(t, options = {}, onConnection = () => {}) {
  const connections = [];
  const listener = TCP({
    address: '127.0.0.1:0',
    connect(connection) {
      connections.push(connection);
      onConnection(connection);
    },
    error: (number, error) => (listener.failure = [number, error]),
    ...options,
  });
  t.after(() => {
    listener.close();
    for (const connection of connections) connection.close();
  });
  await until(() => listener.localAddress || listener.failure);
  listener.connections = connections;
  return listener;
}

/** A client of it. */
export function client(t, listener, options = {}) {
  const socket = TCP({ toAddress: String(listener.localAddress), ...options });
  t.after(() => socket.close());
  return socket;
}

export async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

export const text = (told) =>
  told.filter(([event]) => event === 'message').map(([, message]) => Buffer.from(message)).join('');
