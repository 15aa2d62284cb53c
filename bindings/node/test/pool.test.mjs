// Telsa by a TLS pool: the same stream, and no key in this process.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Telsa } from 'levada';
import * as pki from './support/pki.mjs';
import { recorded, tlsServer, until } from './support/peers.mjs';

const command = process.env.LEVADA_BIN;
const skip = command ? false : 'LEVADA_BIN does not say where the command `levada` is';

test('a Telsa by a pool is established, speaks ALPN, and ends and fails as any other', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'levada-pool-'));
  writeFileSync(join(folder, 'anchors.pem'), pki.ca);
  const { cert, key } = pki.issue('device.example', { names: 'DNS:device.example', usage: 'clientAuth' });
  writeFileSync(join(folder, 'device.example.pem'), cert + key, { mode: 0o600 });
  const socket = join(folder, 'pool.sock');
  const pool = spawn(command, ['pool', '--config', folder, '--socket', socket], { stdio: 'ignore' });
  t.after(async () => {
    if (pool.exitCode === null) {
      pool.kill('SIGKILL');
      await once(pool, 'close');
    }
    rmSync(folder, { recursive: true });
  });
  await until(() => existsSync(socket) || pool.exitCode !== null);
  assert.equal(pool.exitCode, null, 'the pool runs');
  let agreed;
  const server = await tlsServer(t, { requestCert: false }, (peer) => {
    agreed = peer.alpnProtocol;
    peer.once('data', (data) => peer.end(data));
  });
  const stream = new Telsa({ host: 'localhost', port: server.port, alpn: 'mqtt', pool: socket });
  const told = recorded(stream);
  stream.write('by a pool');
  const [data] = await once(stream, 'data');
  assert.equal(String(data), 'by a pool');
  await told.closed;
  assert.deepEqual(told.events, ['connect', 'end', 'finish', 'close']);
  assert.equal(stream.reason, 'closeNotify');
  assert.equal(agreed, 'mqtt');

  const stranger = await tlsServer(t, { requestCert: false, ...pki.stranger });
  const refused = recorded(new Telsa({ host: 'localhost', port: stranger.port, pool: socket }));
  await refused.closed;
  assert.deepEqual([refused.error.code, refused.error.blame], ['ERR_TLS_FATAL_ERROR', 'config']);
});
