// One arm under one load: `node load.mjs levada|node:tls LOAD PEER`. Tells its parent the figures.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import tls from 'node:tls';

const [arm, load, told] = process.argv.slice(2);
const { port, ca, cert, key } = JSON.parse(told);
const GIB = 1024 ** 3;
const PIECE = Buffer.alloc(256 * 1024, 'x');

/** A stream that is secure. */
const dialled = {
  async levada() {
    const { Telsa } = await import('levada');
    const stream = new Telsa({ host: '127.0.0.1', port, ca, cert, key });
    await once(stream, 'connect');
    return stream;
  },
  async 'node:tls'() {
    const stream = tls.connect({ host: '127.0.0.1', port, ca, cert, key });
    stream.setNoDelay(true);
    await once(stream, 'secureConnect');
    return stream;
  },
}[arm];

async function download() {
  const stream = await dialled();
  stream.write('d');
  let total = 0;
  stream.on('data', (data) => (total += data.length));
  await once(stream, 'close');
  assert.equal(total, GIB);
}

async function upload() {
  const stream = await dialled();
  stream.write('u');
  let left = GIB;
  const more = () => {
    while (left > 0) {
      left -= PIECE.length;
      if (!stream.write(PIECE)) return void stream.once('drain', more);
    }
  };
  more();
  const [answer] = await once(stream, 'data');
  assert.equal(String(answer), 'all');
  stream.end();
  await once(stream, 'close');
}

async function handshakes(count) {
  let left = count;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while ((left -= 1) >= 0) {
      const stream = await dialled();
      stream.write('x');
      await once(stream, 'data');
      stream.end();
      await once(stream, 'close');
    }
  }));
}

async function trips(count) {
  const stream = await dialled();
  const bytes = Buffer.alloc(64, 'e');
  for (let done = 0; done < count; done += 1) {
    stream.write(bytes);
    let came = 0;
    while (came < 64) came += (await once(stream, 'data'))[0].length;
  }
  stream.destroy();
}

async function memory(count) {
  const pss = () => {
    globalThis.gc();
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))[1]);
  };
  const before = pss();
  const streams = [];
  for (let done = 0; done < count; done += 1) {
    const stream = await dialled();
    stream.write('x');
    await once(stream, 'data');
    streams.push(stream);
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  const grown = (pss() - before) / count;
  for (const stream of streams) stream.destroy();
  return { memory: grown };
}

/** CPU seconds of the process, of this thread, and of the clock since `begin`. */
async function timed(work, count) {
  const [cpu, script, clock] = [process.cpuUsage(), performance.eventLoopUtilization(), performance.now()];
  await work();
  const seconds = (performance.now() - clock) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const { active } = performance.eventLoopUtilization(script);
  return { speed: count / seconds, each: (user + system) / 1e6 / count, script: active / 1000 };
}

const scaled = ({ speed, each }, scale) => ({ speed, cpu: each * scale });
const bulk = ({ speed, each, script }) => ({ speed, cpu: each * 1024, script });

await handshakes(20);
const figures = await {
  down: async () => bulk(await timed(download, 1024)),
  up: async () => bulk(await timed(upload, 1024)),
  handshakes: async () => scaled(await timed(() => handshakes(1000), 1000), 1e3),
  trips: async () => scaled(await timed(() => trips(20_000), 20_000), 1e6),
  idle: () => memory(2000),
}[load]();
process.send(figures, () => process.disconnect());
