'use strict';
// Builds the native half, with Cargo, out of the checkout that this package lies in.

const { spawnSync } = require('node:child_process');
const { copyFileSync, existsSync, renameSync } = require('node:fs');
const { join, resolve } = require('node:path');

const here = resolve(__dirname, '..');

function giveUp(...lines) {
  console.error(['levada cannot be built:', ...lines].join('\n  '));
  process.exit(1);
}

if (!existsSync(join(here, '../../crates/levada/Cargo.toml'))) {
  giveUp(
    'this copy of the package lies in no checkout of Levada, whose crates it is built from;',
    'clone the repository and install from there: npm install PATH/TO/levada/bindings/node',
    '(without --install-links, which copies the folder).',
  );
}

const cargo = ['build', '--release', '--locked', '--message-format=json-render-diagnostics'];
const stdio = ['ignore', 'pipe', 'inherit'];
const build = spawnSync('cargo', cargo, { cwd: here, stdio, maxBuffer: 2 ** 30 });
if (build.error?.code === 'ENOENT') {
  giveUp(
    'there is no `cargo` on the PATH. Install Rust 1.90 or newer, from https://rustup.rs, and a C',
    'compiler (in Debian: apt-get install build-essential), and try again.',
  );
}
if (build.error) giveUp(build.error.message);
if (build.status !== 0) giveUp('`cargo build` failed; what it says stands above.');

const messages = String(build.stdout).split('\n').filter(Boolean).map((line) => JSON.parse(line));
const libraries = messages
  .filter((message) => message.reason === 'compiler-artifact' && message.target.name === 'levada_node')
  .flatMap((message) => message.filenames);
const library = libraries.find((file) => file.endsWith('.so'));
if (!library) giveUp('Cargo built no library; what it says stands above.');

// In one step: a process may have the old one loaded.
copyFileSync(library, join(here, 'levada.node.new'));
renameSync(join(here, 'levada.node.new'), join(here, 'levada.node'));
