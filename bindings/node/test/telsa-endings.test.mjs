// The five endings of Telsa, at each of three stages, in TLS 1.2 and 1.3: rows T09 to T23 and T25 to T31.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { alert, flipped, until } from './support/peers.mjs';
import { meet } from './support/telsa.mjs';

/** How the peer, or who is on the way, brings each ending about. */
const ROWS = {
  1: {
    name: 'a bare FIN',
    code: 'ERR_TLS_SOCKET_CLOSE',
    reason: 'socketClose',
    writeCode: 'EPIPE',
    trigger: ({ way }) => way.client.end(),
  },
  2: {
    name: 'an RST',
    code: 'ECONNRESET',
    reason: 'socketError',
    writeCode: 'ECONNRESET',
    trigger: ({ way }) => way.client.resetAndDestroy(),
  },
  3: {
    name: 'a fatal alert',
    code: 'ERR_TLS_FATAL_ALERT',
    reason: 'fatalAlert',
    writeCode: 'EPIPE',
    trigger({ way, telsa, sent }, stage) {
      if (stage === 'pending') return void way.client.write(alert(2, 40));
      // The server finds a record that was altered, and says so.
      way.toServer = (bytes) => {
        way.toServer = (bytes) => void sent.push(bytes);
        sent.length = 0;
        if (stage === 'draining') way.client.pause();
        return flipped(bytes);
      };
      if (stage === 'draining') way.client.resume();
      else telsa.write('to be altered');
    },
  },
  4: {
    name: 'a record that was altered',
    code: 'ERR_TLS_FATAL_ERROR',
    reason: 'fatalError',
    writeCode: 'ERR_TLS_FATAL_ERROR',
    trigger({ way, peer }, stage) {
      way.toClient = flipped;
      if (stage === 'pending') return way.server.resume();
      peer.write('to be altered');
      // Our alert goes behind what is sealed: somebody has to take that.
      if (stage === 'draining') way.client.resume();
    },
  },
  5: {
    name: 'a close_notify',
    code: 'ERR_TLS_CLOSE_NOTIFY',
    reason: 'closeNotify',
    writeCode: 'EPIPE',
    trigger({ way, peer }, stage) {
      if (stage === 'pending') return void way.client.write(alert(1, 0));
      peer.end();
      if (stage === 'draining') way.client.resume();
    },
  },
};

/** The records that the client sent since the trigger: their types. */
const types = (sent) => {
  const bytes = Buffer.concat(sent);
  const found = [];
  for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) found.push(bytes[at]);
  return found;
};

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  for (const [row, ending] of Object.entries(ROWS)) {
    const id = (stage) => `T${String(stage + Number(row)).padStart(2, '0')}`;

    test(`${id(8)} T25 T28 T29 ${ending.name} with no write open, ${version}`, async (t) => {
      const scene = await meet(t, 'idle', version);
      scene.sent.length = 0;
      ending.trigger(scene, 'idle');
      await scene.told.closed;
      const { told, telsa, sent } = scene;
      assert.equal(telsa.state, 'disconnected');
      assert.equal(telsa.reason, ending.reason);
      assert.equal(telsa.ending.code, ending.code);
      if (row === '5') {
        assert.deepEqual(told.events, ['connect', 'end', 'finish', 'close'], 'it is no error');
      } else {
        assert.deepEqual(told.events, ['connect', 'error', 'close']);
        assert.equal(told.error.code, ending.code);
      }
      if (row === '3') assert.match(told.error.description, /sent the fatal alert .*\(20\)/);
      if (row === '4') assert.match(told.error.description, /we sent the alert .*\(20\)/);
      await until(() => scene.way.server.destroyed || scene.way.server.writableFinished);
      // Rows 1 to 3: nothing more is said. Row 4: one alert. Row 5: one close_notify.
      const said = version === 'TLSv1.3' ? [23] : [21];
      assert.deepEqual(types(sent), ['4', '5'].includes(row) ? said : []);
      if (row === '4') {
        await until(() => scene.peerError);
        assert.match(scene.peerError.code, /ALERT_BAD_RECORD_MAC/, 'T26');
      }
      if (row === '5') assert.equal(scene.peerError, undefined, 'the peer met a clean end');
    });

    test(`${id(13)} T24 T25 ${ending.name} with writes pending, ${version}`, async (t) => {
      const scene = await meet(t, 'pending', version);
      ending.trigger(scene, 'pending');
      await scene.told.closed;
      const { told, telsa, writes } = scene;
      assert.deepEqual(told.events, ['error', 'close'], 'no connect');
      assert.equal(told.error.code, ending.code);
      assert.equal(telsa.reason, 'connectFailed');
      assert.equal(telsa.ending.cause, ending.code);
      if (row === '3') assert.match(told.error.description, /sent the fatal alert .*\(40\)/);
      if (row === '4') assert.match(told.error.description, /we sent the alert/);
      assert.deepEqual(writes.map((write) => [write.calls, write.error?.code]),
        [[1, ending.writeCode], [1, ending.writeCode]]);
      assertBrokenPipe(writes[0].error, told.error);
    });

    test(`${id(18)} T24 T25 ${ending.name} with writes draining, ${version}`, async (t) => {
      const scene = await meet(t, 'draining', version);
      ending.trigger(scene, 'draining');
      await scene.told.closed;
      const { told, telsa, writes } = scene;
      // What the peer said has come to its end; what we said has not.
      const read = row === '5' ? ['end'] : [];
      assert.deepEqual(told.events, ['connect', ...read, 'error', 'close']);
      assert.equal(told.error.code, ending.code);
      assert.equal(telsa.reason, ending.reason);
      assert.deepEqual(writes.map((write) => [write.calls, write.error?.code]),
        Array(3).fill([1, ending.writeCode]));
      assertBrokenPipe(writes[0].error, told.error);
    });
  }
}

/** EPIPE has the seed's words, and what it really was inside; every other error is the ending's own. */
function assertBrokenPipe(writeError, error) {
  if (writeError.code !== 'EPIPE') return assert.equal(writeError, error);
  assert.equal(writeError.message, 'This socket has been ended by the other party');
  assert.equal(writeError.cause, error);
}
