'use strict';
// The native half: where its notices go, and what keeps Node running while streams live.

/** @returns the addon, built by scripts/build.js. */
function load() {
  try {
    return require('../levada.node');
  } catch (cause) {
    if (cause.code !== 'MODULE_NOT_FOUND') throw cause;
    const why = 'the native half of levada is not built: run `npm run build` in its folder';
    throw new Error(why, { cause });
  }
}

const native = load();

/** What a notice is about: the names of the methods that take it. */
const on = {
  up: Symbol('up'),
  data: Symbol('data'),
  eof: Symbol('eof'),
  wrote: Symbol('wrote'),
  shut: Symbol('shut'),
  turned: Symbol('turned'),
  event: Symbol('event'),
  ended: Symbol('ended'),
  listening: Symbol('listening'),
  accepted: Symbol('accepted'),
  closed: Symbol('closed'),
  sign: Symbol('sign'),
  plaintext: Symbol('plaintext'),
};

/** By the numbers of `Notice` in src/door.rs: the order above. */
const KINDS = Object.values(on);

const targets = new Map();
let lastId = 0;

const door = new native.Door((id, kind, payload) => {
  // Whoever has ended meanwhile is told nothing.
  targets.get(id)?.[KINDS[kind]](payload);
});

/** Has `target` take the notices that are marked with the number given back. */
function enter(target) {
  do lastId = (lastId + 1) >>> 0;
  while (targets.has(lastId));
  targets.set(lastId, target);
  return lastId;
}

function leave(id) {
  targets.delete(id);
}

let holders = 0;
let timer = null;

/** Keeps Node running until as many calls of `release`. */
function hold() {
  holders += 1;
  timer ??= setInterval(() => {}, 2 ** 31 - 1);
}

function release() {
  holders -= 1;
  if (holders > 0) return;
  clearInterval(timer);
  timer = null;
}

/** A reason of Node to go on: counted once, from `begin` to `end`, while it is wanted. */
class Hold {
  #wanted = true;
  #alive = false;

  set wanted(wanted) {
    if (this.#alive && wanted !== this.#wanted) wanted ? hold() : release();
    this.#wanted = wanted;
  }

  begin() {
    if (!this.#alive && this.#wanted) hold();
    this.#alive = true;
  }

  end() {
    if (this.#alive && this.#wanted) release();
    this.#alive = false;
  }
}

module.exports = { native, door, on, enter, leave, Hold };
