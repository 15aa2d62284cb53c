'use strict';
// Network.TCP: what servers and connections have in common.

const { Hold } = require('./native.js');
const { wrong } = require('./errors.js');
const { ports } = require('./network-ports.js');
const { ERRORS } = require('./network-tls.js');

const EVENTS = ['connect', 'ready', 'message', 'close', 'error'];

/** What servers and connections have in common: one handler for each event, and their switches. */
class Endpoint {
  #handlers = new Map();
  _hold = new Hold();
  _fallback;
  _texts;

  constructor(options) {
    for (const event of EVENTS) {
      if (options[event] !== undefined) this.on(event, options[event]);
    }
    this._texts = Boolean(options.readStrings);
    this._fallback = Boolean(options.allowSSLfallback);
  }

  /** Sets the handler of an event, in place of the one before. */
  on(event, handler) {
    if (!EVENTS.includes(event)) throw wrong('eventName', `one of ${EVENTS.join(', ')}`);
    if (typeof handler !== 'function') throw wrong(event, 'a function');
    this.#handlers.set(event, handler);
    return this;
  }

  /** Takes over the handlers and switches of the server that accepted it. */
  _inherit(server) {
    this.#handlers = new Map(server.#handlers);
    this._texts = server._texts;
    this._fallback = server._fallback;
  }

  _call(event, ...values) {
    const handler = this.#handlers.get(event);
    if (handler) handler.apply(this, values);
    else if (event === 'error') complain(values);
  }

  set readStrings(on) {
    this._texts = Boolean(on);
  }

  get readStrings() {
    return this._texts;
  }

  set allowSSLfallback(on) {
    this._fallback = Boolean(on);
  }

  get allowSSLfallback() {
    return this._fallback;
  }

  /** Every `{ port, pid }` that this machine listens at. */
  get ports() {
    return ports();
  }

  ref() {
    this._hold.wanted = true;
    return this;
  }

  unref() {
    this._hold.wanted = false;
    return this;
  }
}

/** An error that nobody handles is told, and ends nothing. */
function complain([number, detail]) {
  const name = Object.keys(ERRORS).find((name) => ERRORS[name] === number);
  const more = detail instanceof Error ? `: ${detail.message}` : typeof detail === 'string' ? ` ${detail}` : '';
  process.emitWarning(`Network.TCP error ${number} (${name})${more}`, { code: `LEVADA_TCP_${name}` });
}

module.exports = { Endpoint };
