'use strict';
// Network.TCP: a connection, whose TLS can be put on and taken off.

const { constants } = require('node:os');
const { native, door, on, enter, leave } = require('./native.js');
const { endingError, fromJson, readEnding, setUp, wrong } = require('./errors.js');
const { Address, bracketed, ownIp, parse, query } = require('./network-address.js');
const { Endpoint } = require('./network-endpoint.js');
const { Texts } = require('./network-text.js');
const { ERRORS, clientTls, errorOf } = require('./network-tls.js');

/** Bytes of one message at most. */
const MESSAGE = 4096;

/** A connection, of a client or accepted by a server. */
class Connection extends Endpoint {
  #options;
  #handle = null;
  #id = null;
  /** The server that accepted it. */
  #server;
  #host;
  /** Called with the handle of what is to be done, once the transport is up. */
  #orders = [];
  #going = false;
  /** Whether a chunk is asked for: one at a time, and behind what its handler orders. */
  #reading = false;
  #up = false;
  /** Whether TLS is wanted, and whether it is up. */
  #wantsTls;
  #isTurning = false;
  /** Whether an order of this turn of the loop changes TLS. */
  #turns = false;
  #secure = false;
  #closing = false;
  #ending = null;
  #told = false;
  #characters = new Texts();
  #question = null;
  #local = null;
  #remote = null;

  constructor(options, server = null) {
    super(options);
    this.#options = options;
    this.#server = server;
    if (server) this._inherit(server);
    const { ssl, cert, ca, hosts } = options;
    this.#wantsTls = server ? server.ssl : Boolean(ssl ?? (cert !== undefined || ca !== undefined || hosts));
  }

  /** Begins to connect. */
  _dial() {
    const { toAddress, toPort } = this.#options;
    const { host, port } = parse('toAddress', toAddress, toPort);
    if (!port) throw wrong('toPort', 'a number from 1 to 65535, here or in `toAddress`');
    this.#host = host;
    // What is wrong with the TLS that is wanted is known before anything is dialled.
    if (this.#wantsTls) clientTls(this.#options, host);
    const there = `tcp://${bracketed(host)}:${port}`;
    const begin = (bind) => {
      if (this.#closing) return this.#closed();
      const address = there + query(this.#options, bind);
      this._begin(setUp(() => native.Stream.dial(door, address, null, { closesBoth: false })));
    };
    const { address, port: ownPort } = this.#options;
    if (address === undefined && ownPort === undefined) return void begin();
    const own = parse('address', address ?? anyOf(this.#options.family), ownPort);
    this._hold.begin();
    ownIp(own.host, this.#options.family).then((ip) => begin(`${bracketed(ip)}:${own.port ?? 0}`))
      .catch((error) => {
        this._hold.end();
        this._call('connect', numberOf(error), error);
      });
  }

  _begin(handle) {
    this.#handle = handle;
    this.#id = enter(this);
    this._hold.begin();
    handle.begin(this.#id, false);
    if (this.#closing) this.#finish();
  }

  /** Why it ended, as a Levada ending; null while it lives. */
  get ending() {
    return this.#ending;
  }

  /** What is known about it. */
  get facts() {
    if (this.#ending) return this.#ending.facts;
    const json = this.#handle?.facts() ?? null;
    return json === null ? null : fromJson(json);
  }

  get localAddress() {
    return this.#local;
  }

  get remoteAddress() {
    return this.#remote;
  }

  /** Whether TLS protects it. */
  get ssl() {
    return this.#secure;
  }

  /** Puts TLS on, or takes it off; what was sent before goes out before. */
  set ssl(on) {
    if (Boolean(on) === this.#wantsTls) return;
    this.#wantsTls = Boolean(on);
    // Before the transport is up, or where TLS has not begun, there is nothing to turn.
    if (this.#up && (on || this.#secure || this.#isTurning)) this.#turn();
  }

  /** Sends a string, an ArrayBuffer or a view of one. */
  send(message, address) {
    if (address !== undefined) {
      const words = 'a TCP connection sends to its peer alone: leave the address away';
      return void this._call('error', ERRORS.GENERIC, new Error(words));
    }
    if (this.#closing || this.#ending) {
      const error = new Error('the socket is closed');
      error.code = 'EPIPE';
      return void this._call('error', ERRORS.GENERIC, error);
    }
    const bytes = bytesOf(message);
    this.#order((handle, together) => handle.write([bytes], together));
  }

  /** Sends what is still to be sent, and closes; nothing more is received. */
  close() {
    if (this.#closing || this.#ending) return;
    this.#closing = true;
    if (!this.#handle) return;
    // What was sent before the transport is up still goes out.
    if (this.#up || this.#orders.length === 0) this.#finish();
  }

  /** Within the handler of error 6: lets the peer go on in plaintext. */
  disableSSL() {
    this.#question?.answer(true);
    this.#question = null;
  }

  /** The certificate that is shown from the next handshake on. */
  addCert(hosts, cert, key, passphrase) {
    if (this.#server) return void this.#server.addCert(hosts, cert, key, passphrase);
    this.#options = { ...this.#options, cert, key, passphrase };
  }

  addHost(...values) {
    this.addCert(...values);
  }

  #finish() {
    this.#order((handle) => handle.shutdown());
    this.#handle.discard();
  }

  /** Orders of one turn go together: nothing is read between what is sent and a change of TLS. */
  #order(order) {
    this.#orders.push(order);
    if (this.#up || this.#closing) this.#goSoon();
  }

  #goSoon() {
    if (this.#going) return;
    this.#going = true;
    process.nextTick(() => this.#go());
  }

  #go() {
    this.#going = false;
    if (this.#ending) return;
    const together = this.#turns;
    this.#turns = false;
    for (const order of this.#orders.splice(0)) order(this.#handle, together);
    this.#handle.go();
    if (this.#reading || this.#closing) return;
    this.#reading = true;
    this.#handle.read(1);
  }

  #turn() {
    this.#turns = true;
    if (!this.#wantsTls) {
      this.#secure = false;
      return this.#order((handle) => handle.endTls());
    }
    this.#isTurning = true;
    if (!this.#server) {
      const tls = clientTls(this.#options, this.#host);
      return this.#order((handle) => handle.startClientTls(tls));
    }
    const { tls } = this.#server._certificates;
    if (!tls) throw wrong('cert', 'given before TLS is put on: the server has no certificate');
    this.#order((handle) => handle.startServerTls(tls));
  }

  [on.up]() {
    if (this.#up) {
      // TLS is on, or the peer was let through without it.
      this.#isTurning = false;
      this.#secure = this.facts?.plain === null;
      return this._call('ready');
    }
    this.#up = true;
    if (this.#closing && this.#orders.length === 0) return;
    const { local, peer } = this.facts ?? {};
    if (local) this.#local = Address.of(local);
    if (peer) this.#remote = Address.of(peer);
    const before = this.#orders.splice(0);
    if (this.#server) this.#server._call('connect', this);
    else this._call('connect', undefined);
    // A handler may have changed its mind, and what was sent before goes out under TLS, too.
    const since = this.#orders.splice(0);
    if (this.#wantsTls && !this.#isTurning) this.#turn();
    this.#orders.push(...before, ...since);
    if (!this.#wantsTls) this._call('ready');
    if (this.#closing) this.#finish();
    this.#goSoon();
  }

  [on.data](chunk) {
    this.#reading = false;
    for (let at = 0; at < chunk.length; at += MESSAGE) {
      if (this.#closing) return;
      // Plaintext that waits where TLS begins may have been put there by somebody on the way.
      if (this.#isTurning) return this.#injected();
      const message = this.#characters.take(chunk.subarray(at, at + MESSAGE), this._texts);
      if (message !== null) this._call('message', message, this.#remote);
    }
    this.#goSoon();
  }

  #injected() {
    this._call('error', ERRORS.TLS_FAILED);
    this[on.ended](this.#handle.abort());
  }

  [on.eof]() {
    const rest = this._texts ? this.#characters.rest() : null;
    if (rest !== null && !this.#closing) this._call('message', rest, this.#remote);
    // The peer's goodbye is answered with ours, behind what is still to be sent.
    this.close();
  }

  [on.wrote]() {}

  [on.shut]() {}

  [on.turned](whyNot) {
    if (whyNot === null) return;
    this.#isTurning = false;
    this._call('error', ERRORS.GENERIC, new Error(whyNot));
  }

  [on.plaintext](question) {
    if (this._fallback) return question.answer(true);
    this.#question = question;
    this.#told = true;
    this._call('error', ERRORS.NOT_TLS, new Uint8Array(question.first()));
    this.#question?.answer(false);
    if (this.#question === null) this.#told = false;
    this.#question = null;
  }

  [on.ended](json) {
    const { ending } = readEnding(json);
    leave(this.#id);
    this._hold.end();
    const error = this.#told ? null : errorOf(ending, { secure: this.#secure });
    this.#ending = ending;
    this.#secure = false;
    if (!this.#up && !this.#closing) {
      const failure = endingError(ending);
      return void this._call('connect', numberOf(failure), failure);
    }
    if (error && !ending.clean) this._call('error', ...error);
    this._call('close');
  }

  #closed() {
    this._hold.end();
    this._call('close');
  }
}

function bytesOf(message) {
  if (typeof message === 'string') return Buffer.from(message);
  if (message instanceof ArrayBuffer) return Buffer.from(message);
  if (ArrayBuffer.isView(message)) {
    return Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  }
  throw wrong('message', 'a string, an ArrayBuffer or a view of one');
}

/** The system's positive number of an error. */
function numberOf({ code, errno }) {
  if (code === 'ENOTFOUND') return constants.errno.ENOENT;
  if (code.startsWith('timeout_')) return constants.errno.ETIMEDOUT;
  return constants.errno[code] ?? (errno === undefined ? constants.errno.EIO : Math.abs(errno));
}

module.exports = { Connection };
