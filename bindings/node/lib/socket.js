'use strict';
// What programs expect of a socket of Node's, on a Levada stream: addresses, options, a timeout, TLS that
// is put on later.

const { setUp, turnError, wrong } = require('./errors.js');
const { Address } = require('./network-address.js');
const { ServerCertificates } = require('./network-tls.js');
const { tlsClient } = require('./options.js');
const { ByteStream } = require('./stream.js');

/** Milliseconds that Node's timers can wait. */
const LONGEST = 2 ** 31 - 1;

/** The native servers of TLS, by the options that each was made of: they are read once. */
const servers = new WeakMap();

/** A Levada stream with the properties and methods that Node's sockets have. */
class LevadaStream extends ByteStream {
  #timer = null;
  /** Bytes that had moved when somebody was last told that none do. */
  #seen = 0;
  #ends = null;

  /** Milliseconds of `setTimeout`; 0 for none. */
  timeout = 0;

  constructor(handle, options) {
    super(handle, options);
    this._atEnd(() => clearTimeout(this.#timer));
  }

  /** Whether it is still on its way to being established. */
  get connecting() {
    return !this.established && !this.ending && !this.destroyed;
  }

  get pending() {
    return this.connecting;
  }

  get localAddress() {
    return this.#own.local?.address;
  }

  get localPort() {
    return this.#own.local?.port;
  }

  get localFamily() {
    return this.#own.local?.family;
  }

  get remoteAddress() {
    return this.#own.peer?.address;
  }

  get remotePort() {
    return this.#own.peer?.port;
  }

  get remoteFamily() {
    return this.#own.peer?.family;
  }

  /** Our end as Node's sockets tell it; empty where it is not one of TCP. */
  address() {
    const { local } = this.#own;
    return local ? { ...local } : {};
  }

  /** Plain bytes that have come. */
  get bytesRead() {
    return this.facts?.bytes.read ?? 0;
  }

  /** Plain bytes that were taken to be sent. */
  get bytesWritten() {
    return this.facts?.bytes.written ?? 0;
  }

  /** Whether TLS protects it. */
  get encrypted() {
    const { tls = null, plain = null } = this.facts ?? {};
    return tls !== null && plain === null;
  }

  /** The application protocol that TLS agreed on; false for none. */
  get alpnProtocol() {
    return this.facts?.tls?.alpn ?? false;
  }

  /** Has `timeout` emitted when nothing has moved either way for so many milliseconds; 0 for never. */
  setTimeout(milliseconds, callback) {
    if (typeof milliseconds !== 'number' || !(milliseconds >= 0 && milliseconds <= LONGEST)) {
      throw wrong('timeout', `a number of milliseconds from 0 to ${LONGEST}`);
    }
    if (callback !== undefined && typeof callback !== 'function') throw wrong('callback', 'a function');
    if (this.destroyed) return this;
    clearTimeout(this.#timer);
    this.timeout = milliseconds;
    if (milliseconds === 0) {
      this.#timer = null;
      if (callback) this.off('timeout', callback);
      return this;
    }
    this.#timer = setTimeout(() => this.#isQuiet(), milliseconds).unref();
    if (callback) this.once('timeout', callback);
    return this;
  }

  /** Whether small writes leave at once, which they do unless told otherwise. */
  setNoDelay(atOnce = true) {
    return this.#whenUp(() => this._native?.setNoDelay(Boolean(atOnce)));
  }

  /** Whether the system asks if the peer is still there: after so many milliseconds of silence. */
  setKeepAlive(asks = false, milliseconds = 0) {
    const seconds = Math.floor(milliseconds / 1000);
    return this.#whenUp(() => this._native?.setKeepAlive(Boolean(asks), seconds > 0 ? seconds : undefined));
  }

  /**
   * Puts TLS on (STARTTLS): what was written before goes out in plaintext, what is written from now on under
   * TLS, and `secure` is emitted when it is up. We are the end of TLS that we are of the connection, unless
   * `isServer` says otherwise.
   */
  startTls(options = {}, callback) {
    if (options === null || typeof options !== 'object') throw wrong('options', 'an object');
    if (!this._canTurn) {
      throw turnError('it is not a plain stream that is up and open both ways', this.facts);
    }
    const { role, host } = this.facts ?? {};
    const isServer = options.isServer ?? role === 'server';
    this._turn(isServer ? serverTurn(options) : this.#clientTurn(options, host));
    if (callback) this.once('secure', callback);
    return this;
  }

  #clientTurn(options, host) {
    const name = options.servername ?? host ?? this.remoteAddress;
    if (typeof name !== 'string') throw wrong('servername', 'the name that the server has to have');
    const { tls, forget } = setUp(() => tlsClient(options, name));
    this._atEnd(forget);
    return (handle) => handle.startClientTls(tls);
  }

  #whenUp(work) {
    if (this.established) work();
    else this.once('connect', work);
    return this;
  }

  /** Both ends of the connection; they do not change once it is there. */
  get #own() {
    if (this.#ends) return this.#ends;
    const { local, peer } = this.facts ?? {};
    const ends = { local: Address.ofEnd(local), peer: Address.ofEnd(peer) };
    if (this.established) this.#ends = ends;
    return ends;
  }

  _moved() {
    this.#timer?.refresh();
  }

  /** Of a long write, bytes leave without a word of it to us. */
  #isQuiet() {
    const { wireRead = 0, wireWritten = 0 } = this.facts?.bytes ?? {};
    const moved = wireRead + wireWritten;
    if (moved !== this.#seen && this.writableLength > 0) this.#timer.refresh();
    else this.emit('timeout');
    this.#seen = moved;
  }
}

function serverTurn(options) {
  if (!servers.has(options)) {
    const { tls } = new ServerCertificates(options);
    if (!tls) throw wrong('cert', 'given: a server has to show a certificate');
    servers.set(options, tls);
  }
  const tls = servers.get(options);
  return (handle) => handle.startServerTls(tls);
}

module.exports = { LevadaStream };
