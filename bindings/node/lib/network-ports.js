'use strict';
// Which ports of this machine are listened at, and by which processes.

const fs = require('node:fs');

const LISTENING = '0A';

/** Every `{ port, pid }`; the pid is null where this user may not know it. */
function ports() {
  const owners = new Map();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of read(table).split('\n').slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTENING) owners.set(inode, { port: parseInt(local.split(':').at(-1), 16), pid: null });
    }
  }
  for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      const owner = owners.get(inode);
      if (owner) owner.pid = Number(pid);
    }
  }
  return [...owners.values()];
}

// Processes come and go meanwhile, and not all of them are ours to look into.
const quietly = (work, otherwise) => {
  try {
    return work();
  } catch {
    return otherwise;
  }
};
const read = (file) => quietly(() => fs.readFileSync(file, 'utf8'), '');
const list = (folder) => quietly(() => fs.readdirSync(folder), []);
const link = (file) => quietly(() => fs.readlinkSync(file), '');

module.exports = { ports };
