'use strict';
// A Levada stream as a Duplex: all of what Node's streams do, over one native handle.

const { Duplex } = require('node:stream');
const { on, enter, leave, Hold } = require('./native.js');
const {
  brokenPipe, endingError, fromJson, injectionError, readEnding, readEvent, turnError,
} = require('./errors.js');
const { pieces } = require('./pieces.js');

/** Chunks, of up to 256 KiB, that may be under way from the native half to us. */
const UNDER_WAY = 3;

/** Pieces of one write that are open at once. */
const OPEN_PIECES = 2;

const HIGH_WATER_MARK = 64 * 1024;

/**
 * A duplex stream with the life of a Levada stream. `connect` is emitted when every layer is up, and
 * `secure` when TLS that was put on later is; `event` tells of each step, if somebody listened before
 * the next turn of the loop.
 */
class ByteStream extends Duplex {
  #handle;
  #id;
  #hold = new Hold();
  #up = false;
  /** Whether TLS can be put on. */
  #plain = false;
  /** Whether it is being put on: nothing in plaintext may come any more. */
  #turning = false;
  /** Whether something had come in plaintext all the same. */
  #injected = false;
  /** What is written in this turn of the loop waits for its end. */
  #gathers = false;
  /** Chunks that the native half was let read and has not brought. */
  #underWay = 0;
  /** What is left of the write that is open, how much of it is open, and whom to tell. */
  #pieces = [];
  /** Whether all of it goes together: TLS begins right behind it. */
  #together = false;
  /** How TLS is put on, by the empty chunks that stand for it among those that are written. */
  #turns = new Map();
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
  /** What is done when the stream is destroyed. */
  #atEnd = [];

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

  /** The native stream, as long as it lives; for subclasses. */
  get _native() {
    return this.#end ? null : this.#handle;
  }

  /** Whether TLS can be put on: it is plain, up, and neither TLS nor our goodbye has been asked for. */
  get _canTurn() {
    return this.#plain && !this.#turning && !this.#end && !this.writableEnded && !this.readableEnded;
  }

  /** Something has moved; for subclasses. */
  _moved() {}

  /** Has `work` done when the stream is destroyed; for subclasses. */
  _atEnd(work) {
    this.#atEnd.push(work);
  }

  /** Has `begin` put TLS on, behind all that was written and in front of what will be. */
  _turn(begin) {
    this.#turning = true;
    if (this.readableLength > 0) return this.#refuseInjection();
    const mark = Buffer.alloc(0);
    this.#turns.set(mark, begin);
    this.write(mark);
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
    // Node's streams give away what they hold also when they are destroyed.
    if (this.#injected) return null;
    const chunk = super.read(size);
    if (this.#faultWaits && this.readableLength === 0) {
      this.#faultWaits = false;
      process.nextTick(() => this.#fail());
    }
    return chunk;
  }

  write(chunk, encoding, callback) {
    if (!this.#end || !this.destroyed) {
      this.#gather();
      return super.write(chunk, encoding, callback);
    }
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
    for (const work of this.#atEnd.splice(0)) work();
    const written = this.#takeWritten();
    if (written) process.nextTick(written, error ?? this.#laterWriteError());
    callback(this.#fails ? this.#fault : error);
  }

  /** What a turn of the loop writes in plaintext goes together with the TLS that it puts on. */
  #gather() {
    if (!this.#plain || this.#gathers) return;
    this.#gathers = true;
    this.cork();
    process.nextTick(() => {
      this.#gathers = false;
      this.uncork();
    });
  }

  /** What waits in plaintext where TLS begins may have been put there by somebody on the way. */
  #refuseInjection() {
    this.#injected = true;
    this.destroy(injectionError(this.facts));
  }

  #start() {
    if (!this.#end) this.#handle.begin(this.#id, this.listenerCount('event') > 0);
  }

  #begin(chunks, callback) {
    if (this.#end) {
      this.#fails = this.#fault !== null;
      return callback(this.#laterWriteError());
    }
    this._moved();
    this.#written = callback;
    this.#pieces = pieces(chunks, this.#turns);
    this.#together = this.#pieces.some((piece) => typeof piece === 'function');
    this.#writeOn();
  }

  /** Writes pieces until enough are open, or tells that all have left. */
  #writeOn() {
    while ((this.#together || this.#openPieces < OPEN_PIECES) && this.#pieces.length > 0) {
      if (!this.#order(this.#pieces.shift())) this.#openPieces += 1;
    }
    if (this.#openPieces > 0) this.#handle.go();
    else this.#takeWritten()?.();
  }

  /** Whether nothing of the piece is open. */
  #order(piece) {
    if (typeof piece !== 'function') return this.#handle.write(piece, this.#together);
    piece(this.#handle);
    return false;
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
    const isFirst = !this.#up;
    this.#up = true;
    this.#plain = this.#handle.isPlain();
    this._moved();
    this.emit(isFirst ? 'connect' : 'secure');
    // The peer's goodbye is to be met also where nobody reads.
    if (!this.destroyed) this.read(0);
  }

  [on.data](chunk) {
    this.#underWay -= 1;
    if (this.#turning) return this.#refuseInjection();
    this._moved();
    this.push(chunk);
  }

  [on.eof]() {
    this.#eof = true;
    this.push(null);
    this.read(0);
  }

  [on.wrote]() {
    this._moved();
    this.#openPieces -= 1;
    this.#writeOn();
  }

  [on.turned](whyNot) {
    this.#turning = false;
    this.#plain = false;
    if (whyNot !== null) return void this.destroy(turnError(whyNot, this.facts));
    this[on.wrote]();
  }

  /** A client speaks no TLS where that was put on. */
  [on.plaintext](question) {
    question.answer(false);
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

module.exports = { ByteStream };
