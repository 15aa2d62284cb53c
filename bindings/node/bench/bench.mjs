// `node bench/bench.mjs ROUNDS`: the package beside Node's own TLS, each in a process of its own, against
// the same peer in a third. Prints tables in Markdown; `cargo xtask bench node` puts them into the book.
import { fork } from 'node:child_process';
import { once } from 'node:events';

const ARMS = ['levada', 'node:tls'];

/** What is done, and the figures of it: name, unit, whether more is better. */
const LOADS = [
  { load: 'down', name: 'download of 1 GiB', figures: [['speed', 'MiB/s', true], ['cpu', 'CPU s/GiB', false], ['script', 'of it JavaScript’s thread', false]] },
  { load: 'up', name: 'upload of 1 GiB', figures: [['speed', 'MiB/s', true], ['cpu', 'CPU s/GiB', false], ['script', 'of it JavaScript’s thread', false]] },
  { load: 'handshakes', name: '1000 full handshakes, 8 at a time', figures: [['speed', 'per second', true], ['cpu', 'CPU ms each', false]] },
  { load: 'trips', name: '20,000 echoes of 64 bytes, one at a time', figures: [['speed', 'per second', true], ['cpu', 'CPU µs each', false]] },
  { load: 'idle', name: '2000 idle connections', figures: [['memory', 'KiB each', false]] },
];

const here = (file) => new URL(file, import.meta.url);

async function start(file, ...words) {
  const child = fork(here(file), words, { execArgv: ['--expose-gc'] });
  const [first] = await once(child, 'message');
  return { child, first };
}

const rounds = Number(process.argv[2] ?? 5);
const peer = await start('peer.mjs');
const found = new Map();
for (let round = 1; round <= rounds; round += 1) {
  console.error(`round ${round} of ${rounds}`);
  for (const { load } of LOADS) {
    // They take turns, and each begins as often as the other.
    for (const arm of round % 2 ? ARMS : ARMS.toReversed()) {
      const { child, first } = await start('load.mjs', arm, load, JSON.stringify(peer.first));
      for (const [figure, value] of Object.entries(first)) {
        const key = `${load} ${figure} ${arm}`;
        found.set(key, [...(found.get(key) ?? []), value]);
      }
      if (child.exitCode === null) await once(child, 'exit');
    }
  }
}
peer.child.kill();

const median = (values) => {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const shown = (value) => value.toPrecision(3).replace(/e\+(\d+)/, (_, power) => '0'.repeat(power - 2)).replace('.', (dot) => dot);
const number = (value) => (value >= 100 ? value.toFixed(0) : shown(value));
const cell = (values) => `**${number(median(values))}** (${number(Math.min(...values))}–${number(Math.max(...values))})`;

console.log(`Node ${process.versions.node} with OpenSSL ${process.versions.openssl}.\n`);
console.log('| load | unit | levada | node:tls | better by |\n|---|---|---|---|---|');
for (const { load, name, figures } of LOADS) {
  for (const [figure, unit, more] of figures) {
    const [ours, theirs] = ARMS.map((arm) => found.get(`${load} ${figure} ${arm}`));
    const ratios = ours.map((value, round) => (more ? value / theirs[round] : theirs[round] / value));
    console.log(`| ${name} | ${unit} | ${cell(ours)} | ${cell(theirs)} | ×${median(ratios).toFixed(2)} |`);
  }
}
