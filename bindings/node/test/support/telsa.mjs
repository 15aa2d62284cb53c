// A Telsa in front of a server of Node's TLS, with somebody on the way.
import { once } from 'node:events';
import { Telsa } from 'levada';
import * as pki from './pki.mjs';
import { middle, recorded, tlsServer, until } from './peers.mjs';

/** A Telsa with a good certificate to `port` of this machine. */
export function telsa(t, port, options = {}) {
  const stream = new Telsa({
    host: 'localhost', port, ca: pki.ca, cert: pki.client.cert, key: pki.client.key, ...options,
  });
  t.after(() => stream.destroy());
  return stream;
}

/** What `write` of each stage is: none is, one before the stream is up, or more than fits. */
export const PENDING = Buffer.from('pending');
export const DRAINING = Buffer.alloc(32 * 1024 * 1024, 'd');

/**
 * A Telsa at one of three stages: `idle`, established with no write open; `pending`, with a write before
 * that; `draining`, with writes that do not fit since nobody takes them.
 */
export async function meet(t, stage, version = 'TLSv1.3') {
  const scene = { writes: [], sent: [], secrets: [] };
  const server = await tlsServer(t, { minVersion: version, maxVersion: version }, (stream) => {
    scene.peer = stream;
    stream.on('error', (error) => (scene.peerError = error));
  });
  server.on('tlsClientError', (error) => (scene.peerError ??= error));
  server.on('keylog', (line) => scene.secrets.push(String(line)));
  const way = await middle(t, server.port, (way) => {
    scene.way = way;
    way.toServer = (bytes) => {
      scene.sent.push(bytes);
      return bytes;
    };
    if (stage === 'pending') way.toClient = () => null;
  });
  scene.telsa = telsa(t, way.port);
  scene.told = recorded(scene.telsa);
  scene.telsa.on('data', (data) => (scene.read = Buffer.concat([scene.read ?? Buffer.alloc(0), data])));
  scene.write = (bytes) => {
    const write = { calls: 0 };
    scene.writes.push(write);
    scene.telsa.write(bytes, (error) => {
      write.calls += 1;
      write.error = error;
    });
  };
  if (stage === 'pending') {
    scene.write(PENDING);
    scene.write(PENDING);
    await until(() => scene.sent.length > 0);
    return scene;
  }
  await once(scene.telsa, 'connect');
  await until(() => scene.peer);
  // The handshake is behind both, and nothing is on the way: Node's server forgets its close_notify when it
  // is ended with the handshake.
  scene.telsa.write('met');
  await once(scene.peer, 'data');
  if (stage === 'draining') {
    scene.way.client.pause();
    for (let count = 0; count < 3; count += 1) scene.write(DRAINING);
    await filled(scene.telsa);
  }
  return scene;
}

/** Until the transport takes no more. */
async function filled(stream) {
  for (let last = -1, same = 0; same < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { wireWritten } = stream.facts.bytes;
    same = wireWritten === last ? same + 1 : 0;
    last = wireWritten;
  }
}
