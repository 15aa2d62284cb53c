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

test('a Telsa by a pool is established, ends as any other, and shows the pool’s certificate', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'levada-pool-'));
  writeFileSync(join(folder, 'anchors.pem'), pki.ca);
  writeFileSync(join(folder, 'client.pem'), pki.client.cert + pki.client.key, { mode: 0o600 });
  const policy = join(folder, 'policy.toml');
  writeFileSync(policy, [
    'anchors = "anchors.pem"',
    '[[identity]]', 'name = "client"', 'cert = "client.pem"', 'roles = ["client"]', 'show-to = ["."]', '',
  ].join('\n'));
  const socket = join(folder, 'pool.sock');
  const pool = spawn(command, ['pool', '--config', policy, '--socket', socket], { stdio: 'ignore' });
  t.after(async () => {
    if (pool.exitCode === null) {
      pool.kill('SIGKILL');
      await once(pool, 'close');
    }
    rmSync(folder, { recursive: true });
  });
  await until(() => existsSync(socket) || pool.exitCode !== null);
  assert.equal(pool.exitCode, null, 'the pool runs');
  let shown;
  const server = await tlsServer(t, { ALPNProtocols: ['mqtt'] }, (peer) => {
    shown = [peer.getPeerCertificate().subject?.CN, peer.alpnProtocol];
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
  assert.deepEqual(shown, ['client', 'mqtt']);

  const stranger = await tlsServer(t, pki.stranger);
  const refused = recorded(new Telsa({ host: 'localhost', port: stranger.port, pool: socket }));
  await refused.closed;
  assert.deepEqual([refused.error.code, refused.error.blame], ['ERR_TLS_FATAL_ERROR', 'config']);
});
