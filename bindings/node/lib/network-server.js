'use strict';
// Network.TCP: a server.

const { native, door, on, enter, leave } = require('./native.js');
const { setUp, troubleError, wrong } = require('./errors.js');
const { Address, bracketed, parse, query } = require('./network-address.js');
const { Connection } = require('./network-connection.js');
const { Endpoint } = require('./network-endpoint.js');
const { ERRORS, ServerCertificates } = require('./network-tls.js');

/** A server: `connect` gets each connection as soon as its transport is up. */
class Server extends Endpoint {
  #handle;
  #id;
  #local = null;
  #wantsTls;
  _certificates;

  constructor(options) {
    super(options);
    const { address, port, ssl, reusePort } = options;
    const { host, port: number } = parse('address', address ?? anyOf(options.family), port);
    this._certificates = new ServerCertificates(options);
    if (ssl && !this._certificates.tls) {
      throw wrong('cert', 'given where `ssl` is: a server has to show a certificate');
    }
    this.#wantsTls = Boolean(ssl ?? this._certificates.tls !== null);
    const everywhere = host === '::' && options.family === undefined;
    const there = everywhere ? '' : bracketed(host);
    const listening = `tcp://${there}:${number ?? 0}${query(options)}`;
    this.#handle = setUp(() => new native.Listener(door, listening, Boolean(reusePort)));
    this.#id = enter(this);
    this._hold.begin();
    this.#handle.begin(this.#id);
  }

  /** Whether its connections begin under TLS. */
  get ssl() {
    return this.#wantsTls;
  }

  set ssl(on) {
    if (on && !this._certificates.tls) throw wrong('cert', 'given before TLS is put on: see addCert');
    this.#wantsTls = Boolean(on);
  }

  /** Where it listens; null before that. */
  get localAddress() {
    return this.#local;
  }

  send() {
    this._call('error', ERRORS.GENERIC, new Error('a server sends nothing: its connections do'));
  }

  /** Listens no more; connections that were accepted go on. */
  close() {
    this.#handle.close();
  }

  /** Shows this certificate to who asks for one of the names, from the next handshake on. */
  addCert(hosts, cert, key, passphrase) {
    this._certificates.add(hosts, cert, key, passphrase);
  }

  addHost(...values) {
    this.addCert(...values);
  }

  /** Answers for these names no more. */
  removeCert(hosts) {
    this._certificates.remove(hosts);
  }

  [on.listening](local) {
    this.#local = Address.of(local);
    this._call('ready');
  }

  [on.accepted](handle) {
    new Connection({}, this)._begin(handle);
  }

  [on.closed](why) {
    leave(this.#id);
    this._hold.end();
    if (why !== null) this._call('error', ERRORS.GENERIC, troubleError(why));
    this._call('close');
  }
}

function anyOf(family) {
  return family === 'IPv4' ? '0.0.0.0' : '::';
}

module.exports = { Server };
