'use strict';
// A Levada stream as a Duplex: all of what Node's streams do, over one native handle.

const { Duplex } = require('node:stream');
const { on, enter, leave, Hold } = require('./native.js');
const { fromJson, readEnding, readEvent, endingError, brokenPipe } = require('./errors.js');

/** Chunks, of up to 128 KiB, that may be under way from the native half to us. */
const UNDER_WAY = 4;

/** Bytes that are handed to the native half at once: it copies them. */
const PIECE = 1024 * 1024;

/** Pieces of one write that are open at once. */
const OPEN_PIECES = 2;

const HIGH_WATER_MARK = 64 * 1024;

/**
 * A duplex stream with the life of a Levada stream. `connect` is emitted when every layer is up;
 * `event` tells of each step, if somebody listened before the next turn of the loop.
 */
class LevadaStream extends Duplex {
  #handle;
  #id;
  #hold = new Hold();
  #up = false;
  /** Chunks that the native half was let read and has not brought. */
  #underWay = 0;
  /** What is left of the write that is open, how much of it is open, and whom to tell. */
  #pieces = [];
  #openPieces = 0;
  #written = null;
  /** Whom to tell that our goodbye has left. */
  #finished = null;
  /** How it ended: see `readEnding`. */
  #end = null;
  /** The error that 'error' tells. */
  #fault = null;
  /** Whether that waits for what came before it to be read. */
  #faultWaits = false;
  /** Whether that is why the stream is destroyed. */
  #fails = false;
  /** Whether the end of what comes is told. */
  #eof = false;

  /** `handle` is a native stream; `options` are those of a Duplex. */
  constructor(handle, options = {}) {
    const { readableHighWaterMark, writableHighWaterMark, highWaterMark = HIGH_WATER_MARK } = options;
    super({
      readableHighWaterMark: readableHighWaterMark ?? highWaterMark,
      writableHighWaterMark: writableHighWaterMark ?? highWaterMark,
      allowHalfOpen: options.allowHalfOpen ?? false,
      signal: options.signal,
    });
    this.#handle = handle;
    this.#id = enter(this);
    this.#hold.begin();
    // What is asked for in this turn is asked for before anything happens.
    process.nextTick(() => this.#start());
  }

  /** How the stream ended; null while it lives. */
  get ending() {
    return this.#end?.ending ?? null;
  }

  /** What is known about the stream so far. */
  get facts() {
    if (this.#end) return this.#end.ending.facts;
    const json = this.#handle.facts();
    // It has ended, and its ending is on the way to us.
    return json === null ? null : fromJson(json);
  }

  /** Whether every layer is up, or was. */
  get established() {
    return this.#up;
  }

  ref() {
    this.#hold.wanted = true;
    return this;
  }

  unref() {
    this.#hold.wanted = false;
    return this;
  }

  /** The state of the native stream by name; for subclasses. */
  get _state() {
    return this.#end ? 'Disconnected' : (this.#handle.state() ?? 'Disconnected');
  }

  /** The error of a bad ending; for subclasses to name it otherwise. */
  _errorOf(ending) {
    return endingError(ending);
  }

  _read() {
    if (this.#end) return;
    const room = UNDER_WAY - this.#underWay;
    // Not one by one: each time may wake a thread.
    if (room < UNDER_WAY / 2) return;
    this.#underWay += room;
    this.#handle.read(room);
  }

  read(size) {
    const chunk = super.read(size);
    if (this.#faultWaits && this.readableLength === 0) {
      this.#faultWaits = false;
      process.nextTick(() => this.#fail());
    }
    return chunk;
  }

  write(chunk, encoding, callback) {
    if (!this.#end || !this.destroyed) return super.write(chunk, encoding, callback);
    const settle = typeof encoding === 'function' ? encoding : callback;
    if (settle) process.nextTick(settle, this.#laterWriteError());
    return false;
  }

  end(chunk, encoding, callback) {
    if (!this.#end || !this.destroyed) return super.end(chunk, encoding, callback);
    const settle = [chunk, encoding, callback].find((each) => typeof each === 'function');
    if (settle) process.nextTick(settle);
    return this;
  }

  _write(chunk, _encoding, callback) {
    this.#begin([chunk], callback);
  }

  _writev(entries, callback) {
    this.#begin(entries.map((entry) => entry.chunk), callback);
  }

  _final(callback) {
    if (this.#end) return callback();
    this.#finished = callback;
    this.#handle.shutdown();
    this.#handle.go();
  }

  _destroy(error, callback) {
    if (!this.#end) this.#ended(readEnding(this.#handle.abort()));
    const written = this.#takeWritten();
    if (written) process.nextTick(written, error ?? this.#laterWriteError());
    callback(this.#fails ? this.#fault : error);
  }

  #start() {
    if (!this.#end) this.#handle.begin(this.#id, this.listenerCount('event') > 0);
  }

  #begin(chunks, callback) {
    if (this.#end) {
      this.#fails = this.#fault !== null;
      return callback(this.#laterWriteError());
    }
    this.#written = callback;
    this.#pieces = pieces(chunks);
    this.#writeOn();
  }

  /** Writes pieces until enough are open, or tells that all have left. */
  #writeOn() {
    while (this.#openPieces < OPEN_PIECES && this.#pieces.length > 0) {
      if (!this.#handle.write(this.#pieces.shift(), false)) this.#openPieces += 1;
    }
    if (this.#openPieces > 0) this.#handle.go();
    else this.#takeWritten()?.();
  }

  #takeWritten() {
    const written = this.#written;
    this.#written = null;
    return written;
  }

  #laterWriteError() {
    const fault = this.#fault ?? this._errorOf(this.#end.ending);
    return this.#end.tellsLaterWrite ? fault : brokenPipe(fault);
  }

  [on.up]() {
    this.#up = true;
    this.emit('connect');
    // The peer's goodbye is to be met also where nobody reads.
    if (!this.destroyed) this.read(0);
  }

  [on.data](chunk) {
    this.#underWay -= 1;
    this.push(chunk);
  }

  [on.eof]() {
    this.#eof = true;
    this.push(null);
    this.read(0);
  }

  [on.wrote]() {
    this.#openPieces -= 1;
    this.#writeOn();
  }

  [on.shut]() {
    const finished = this.#finished;
    this.#finished = null;
    finished?.();
  }

  [on.event](json) {
    this.emit('event', readEvent(json));
  }

  [on.ended](json) {
    this.#ended(readEnding(json));
    const writes = this.#written !== null || this.writableLength > 0;
    if (this.#end.ending.clean && !writes) {
      this[on.shut]();
      if (!this.#eof) this[on.eof]();
      return;
    }
    this.#fault = this._errorOf(this.#end.ending);
    // What had come before is read before.
    if (this.readableLength > 0 && !writes) this.#faultWaits = true;
    else this.#fail();
  }

  #ended(end) {
    this.#end = end;
    this.#hold.end();
    leave(this.#id);
  }

  #fail() {
    this.#fails = true;
    const written = this.#takeWritten();
    if (!written) return void this.destroy(this.#fault);
    // All writes that wait get this; the stream is destroyed behind them, with its own error.
    written(this.#end.tellsPendingWrite ? this.#fault : brokenPipe(this.#fault));
  }
}

/** Chunks in groups that are handed over at once. */
function pieces(chunks) {
  const groups = [];
  let group = [];
  let size = 0;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length || at === 0; at += PIECE) {
      const part = chunk.length > PIECE ? chunk.subarray(at, at + PIECE) : chunk;
      if (size + part.length > PIECE && group.length > 0) {
        groups.push(group);
        group = [];
        size = 0;
      }
      group.push(part);
      size += part.length;
    }
  }
  groups.push(group);
  return groups;
}

module.exports = { LevadaStream };
