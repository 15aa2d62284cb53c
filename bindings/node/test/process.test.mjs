// What the package does to the process: exit, references, handles, threads, rejections.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { connect, listen } from 'levada';
import * as pki from './support/pki.mjs';
import { tcpServer, until } from './support/peers.mjs';

/** Runs a program, and tells how it ended and what it said. */
async function run(t, program, ...words) {
  const node = spawn(process.execPath, ['--unhandled-rejections=strict', '--input-type=module', '-e', program, ...words],
    { cwd: import.meta.dirname ?? new URL('.', import.meta.url).pathname });
  t.after(() => node.kill());
  let out = '';
  for (const from of [node.stdout, node.stderr]) from.on('data', (data) => (out += data));
  const [code, signal] = await once(node, 'close');
  return { code, signal, out };
}

const open = () => readdirSync('/proc/self/fd').length;

/** What keeps Node running, but for the turns of tests that wait. */
const resources = () => process.getActiveResourcesInfo().filter((name) => name !== 'Immediate').sort();

test('a process ends when its streams have, and not before', async (t) => {
  const { code, out } = await run(t, `
    import { connect } from 'levada';
    const stream = connect('echo:');
    stream.end('all of it').on('data', (data) => console.log(String(data)));
    stream.on('close', () => console.log('closed'));
  `);
  assert.deepEqual([code, out], [0, 'all of it\nclosed\n']);
});

test('exit never hangs: with streams that are unreferenced, open, or in the middle of a lookup', async (t) => {
  const silent = await tcpServer(t, () => {});
  for (const [program, expected] of [
    ["connect('tcp://127.0.0.1:PORT').unref()", 0],
    ["listen('tcp://127.0.0.1:0').unref()", 0],
    ["connect('tcp://127.0.0.1:PORT').on('connect', () => process.exit(3))", 3],
    ["connect('tls://127.0.0.1:PORT').on('error', () => {}); setTimeout(() => process.exit(4), 50)", 4],
    ["connect('tcp://slow.invalid:1').on('error', () => {}); process.exit(5)", 5],
    ["connect('echo:').on('connect', () => { throw new Error('a bug') })", 1],
    ["Network.TCP({ toAddress: '127.0.0.1:PORT' }).unref()", 0],
  ]) {
    const words = program.replaceAll('PORT', silent.port);
    const { code, signal, out } = await run(t, `import { connect, listen, Network } from 'levada'; ${words}`);
    assert.deepEqual([code, signal], [expected, null], `${words}: ${out}`);
  }
});

test('an exception in a handler is Node’s uncaughtException, and other streams go on', async (t) => {
  const { code, out } = await run(t, `
    import { connect } from 'levada';
    process.on('uncaughtException', (error) => console.log('caught', error.message));
    const bad = connect('echo:');
    bad.on('data', () => { throw new Error('a bug'); });
    bad.write('x');
    const good = connect('echo:');
    good.on('data', (data) => { console.log(String(data)); good.end(); bad.destroy(); });
    setTimeout(() => good.write('goes on'), 100);
  `);
  assert.deepEqual([code, out], [0, 'caught a bug\ngoes on\n']);
});

test('10,000 sockets opened and closed leave no handle, descriptor or resource behind', async (t) => {
  const identity = `cert=${pki.server.file}.crt&key=${pki.server.file}.key`;
  // A client that is destroyed is an error here.
  const echo = (stream) => stream.on('error', () => {}).pipe(stream);
  const plain = listen('tcp://127.0.0.1:0', echo);
  const secure = listen(`tls://127.0.0.1:0?${identity}`, echo);
  await Promise.all([once(plain, 'listening'), once(secure, 'listening')]);
  const addresses = [`tcp://${plain.local}`, `tls://${secure.local}?name=localhost&ca=${pki.caFile}`];
  const rejected = [];
  process.on('unhandledRejection', (error) => rejected.push(error));
  const visit = async (address, how) => {
    const stream = connect(address);
    stream.on('error', () => {});
    if (how === 'destroyed at once') stream.destroy();
    else if (how === 'destroyed') stream.on('connect', () => stream.destroy());
    else stream.end('hello').resume();
    await once(stream, 'close').catch(() => {});
  };
  await visit(addresses[0]);
  await visit(addresses[1]);
  const before = [open(), resources()];
  let left = 10_000;
  await Promise.all(Array.from({ length: 50 }, async () => {
    while ((left -= 1) >= 0) {
      const how = left % 10 === 0 ? 'destroyed' : left % 10 === 1 ? 'destroyed at once' : 'ended';
      // One in eight is under TLS.
      await visit(addresses[left % 8 === 0 ? 1 : 0], how);
    }
  }));
  await until(() => open() <= before[0]);
  assert.deepEqual(resources(), before[1]);
  assert.deepEqual(rejected, []);
  plain.close();
  secure.close();
  await Promise.all([once(plain, 'close'), once(secure, 'close')]);
  assert.ok(!resources().includes('Timeout'), 'nothing of ours keeps Node running');
});

test('worker threads have streams of their own, and take them along when they end', async (t) => {
  let connections = 0;
  let open = 0;
  const server = await tcpServer(t, (socket) => {
    connections += 1;
    open += 1;
    socket.on('close', () => (open -= 1));
    socket.on('data', (data) => socket.write(data));
  });
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { connect, Telsa } = require('levada');
    const stream = connect('tcp://127.0.0.1:' + workerData);
    stream.write('from a thread');
    stream.on('data', (data) => parentPort.postMessage(String(data)));
  `;
  const start = () => new Worker(program, { eval: true, workerData: server.port });
  const workers = Array.from({ length: 4 }, start);
  const said = await Promise.all(workers.map((worker) => once(worker, 'message')));
  assert.deepEqual(said.flat(), Array(4).fill('from a thread'));
  assert.equal(open, 4);
  await Promise.all(workers.map((worker) => worker.terminate()));
  await until(() => open === 0);
  for (let count = 0; count < 10; count += 1) {
    // Terminated at any moment, the first included.
    const worker = start();
    await new Promise((resolve) => setTimeout(resolve, count * 10));
    await worker.terminate();
  }
  await until(() => open === 0);
  const [mine] = await once(connect('echo:').end('the main thread goes on'), 'data');
  assert.equal(String(mine), 'the main thread goes on');
});
