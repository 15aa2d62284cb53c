// MQTT.js over Telsa: a device with a certificate, whose key is behind an asynchronous signer, at a real
// broker.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPrivateKey, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { Telsa } from 'levada';
import * as pki from './support/pki.mjs';
import { freePort } from './support/tcp.mjs';

/** mosquitto, which lets in nobody without a certificate. */
async function broker(t) {
  const folder = mkdtempSync(join(tmpdir(), 'levada-mqtt-'));
  const port = await freePort();
  writeFileSync(join(folder, 'broker.conf'), [
    `listener ${port} 127.0.0.1`, `cafile ${pki.caFile}`, `certfile ${pki.server.file}.crt`,
    `keyfile ${pki.server.file}.key`, 'require_certificate true', 'use_identity_as_username true',
    'allow_anonymous false', `user root`, '',
  ].join('\n'));
  const mosquitto = spawn('mosquitto', ['-c', join(folder, 'broker.conf')], { stdio: 'ignore' });
  t.after(async () => {
    mosquitto.kill();
    await once(mosquitto, 'close');
    rmSync(folder, { recursive: true });
  });
  const ready = () => new Promise((resolve) => {
    const probe = net.connect(port, '127.0.0.1');
    probe.once('connect', () => resolve(probe.destroy() && true)).once('error', () => resolve(false));
  });
  while (!(await ready())) {
    assert.equal(mosquitto.exitCode, null, 'the broker runs');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return port;
}

test('a device publishes and gets what it has subscribed to, and goes offline cleanly', async (t) => {
  const port = await broker(t);
  const privateKey = createPrivateKey(pki.client.key);
  let signatures = 0;
  const streams = [];
  const client = new mqtt.MqttClient(() => {
    const stream = new Telsa({
      host: 'localhost', port, ca: pki.ca, cert: pki.client.cert,
      key: (data, callback) => setTimeout(() => {
        signatures += 1;
        callback(null, sign('sha256', data, privateKey));
      }, 20),
    });
    streams.push(stream);
    return stream;
  }, { reconnectPeriod: 0 });
  t.after(() => client.end(true));
  await once(client, 'connect');
  assert.equal(signatures, 1);
  await client.subscribeAsync('devices/+/state', { qos: 1 });
  const payload = Buffer.alloc(200_000, 'state ');
  const got = once(client, 'message');
  await client.publishAsync('devices/7/state', payload, { qos: 1 });
  const [topic, message] = await got;
  assert.equal(topic, 'devices/7/state');
  assert.ok(message.equals(payload));
  await client.endAsync();
  if (!streams[0].closed) await once(streams[0], 'close');
  assert.equal(streams[0].facts.tls.verification, 'verified');
  assert.equal(streams[0].ending.clean, true, streams[0].ending.message);
});

test('a device whose certificate the broker refuses is told so', async (t) => {
  const port = await broker(t);
  const stranger = pki.issue('stranger-device', { usage: 'clientAuth', by: 'other-ca' });
  const client = new mqtt.MqttClient(() => new Telsa({
    host: 'localhost', port, ca: pki.ca, cert: stranger.cert, key: stranger.key,
  }), { reconnectPeriod: 0 });
  t.after(() => client.end(true));
  const [error] = await once(client, 'error');
  assert.equal(error.code, 'ERR_TLS_FATAL_ALERT');
  assert.match(error.hint, /.+/);
});
