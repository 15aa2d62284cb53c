'use strict';
// `connect` and `listen`: Levada streams by their addresses.

const { EventEmitter } = require('node:events');
const { native, door, on, enter, leave, Hold } = require('./native.js');
const { setUp, troubleError } = require('./errors.js');
const { LevadaStream } = require('./socket.js');

/** A stream to an address; it emits `connect` when every layer that the address names is up. */
function connect(address, options = {}) {
  const behaviour = { closesBoth: false };
  const handle = setUp(() => native.Stream.connect(door, String(address), behaviour));
  return new LevadaStream(handle, options);
}

/** Listens at an address; each `connection` is a stream that is established. */
class Listener extends EventEmitter {
  #handle;
  #id;
  #hold = new Hold();
  #options;
  #local = null;

  constructor(address, options) {
    super();
    this.#options = options;
    const sharesPort = options.reusePort ?? false;
    this.#handle = setUp(() => new native.Listener(door, String(address), sharesPort));
    this.#id = enter(this);
    this.#hold.begin();
    this.#handle.begin(this.#id);
  }

  /** Where it listens, with the port that the system chose; null before `listening`. */
  get local() {
    return this.#local;
  }

  /** Listens no more; streams that were accepted go on. */
  close(callback) {
    if (callback) this.once('close', callback);
    this.#handle.close();
    return this;
  }

  ref() {
    this.#hold.wanted = true;
    return this;
  }

  unref() {
    this.#hold.wanted = false;
    return this;
  }

  [on.listening](local) {
    this.#local = local;
    this.emit('listening');
  }

  [on.accepted](handle) {
    const stream = new LevadaStream(handle, this.#options);
    const failed = (error) => this.emit('connectionError', error, stream);
    stream.once('error', failed);
    stream.once('connect', () => {
      stream.off('error', failed);
      this.emit('connection', stream);
    });
  }

  [on.closed](why) {
    this.#hold.end();
    leave(this.#id);
    if (why !== null) this.emit('error', troubleError(why));
    this.emit('close');
  }
}

/** A listener at an address. `onConnection` gets each stream. */
function listen(address, options = {}, onConnection) {
  if (typeof options === 'function') return listen(address, {}, options);
  const listener = new Listener(address, options);
  if (onConnection) listener.on('connection', onConnection);
  return listener;
}

module.exports = { connect, listen, Listener };
