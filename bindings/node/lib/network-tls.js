'use strict';
// The TLS of Network.TCP: its options, and the numbers of its errors.

const { isIP } = require('node:net');
const { native, door } = require('./native.js');
const { setUp, wrong } = require('./errors.js');
const { given, pem, tlsClient } = require('./options.js');

/** The numbers of `error`. 7 comes with the name, 6 with the first bytes, 0 with an Error. */
const ERRORS = {
  GENERIC: 0,
  HANDSHAKE_FAILED: 2,
  CERTIFICATE_REJECTED: 3,
  TLS_FAILED: 4,
  NOT_TLS: 6,
  HOST_NOT_FOUND: 7,
};

/** Names that stand together, with `~` between them. IP addresses are never asked for by name. */
function namesOf(hosts) {
  if (hosts === undefined || hosts === null || hosts === '') return undefined;
  if (typeof hosts !== 'string') throw wrong('host', 'a string: names with ~ between them');
  return hosts.split('~').map((name) => name.trim()).filter((name) => name !== '' && !isIP(name));
}

function identityOf({ cert, key, passphrase }) {
  if (cert === undefined) throw wrong('cert', 'PEM text, together with `key`');
  return { cert: pem('cert', cert), key: given('key', key), passphrase: given('passphrase', passphrase) };
}

/** The certificates of a server: what its `hosts` say, and its own. */
class ServerCertificates {
  #tls = null;

  constructor({ cert, key, passphrase, host, hosts = [], alpn = [] }) {
    const own = cert === undefined ? [] : [{ cert, key, passphrase, host }];
    const all = [...own, ...hosts].map((each) => ({
      names: namesOf(each.host),
      identity: setUp(() => identityOf(each)),
    }));
    if (all.length > 0) this.#tls = create(all, [alpn].flat());
  }

  /** The native server of TLS; null where there is no certificate. */
  get tls() {
    return this.#tls;
  }

  add(hosts, cert, key, passphrase) {
    const host = { names: namesOf(hosts), identity: identityOf({ cert, key, passphrase }) };
    if (this.#tls) setUp(() => this.#tls.put(host));
    else this.#tls = create([host], []);
  }

  remove(hosts) {
    for (const name of namesOf(hosts) ?? []) setUp(() => this.#tls?.remove(name));
  }
}

function create(hosts, alpn) {
  return setUp(() => new native.TlsServer(door, { hosts, alpn }));
}

/** The native client of TLS for these options, to `host`; the key is text in PEM. */
function clientTls({ ca, cert, key, passphrase, host: named }, host) {
  const name = namesOf(named)?.[0] ?? host;
  return setUp(() => tlsClient({ ca, cert, key: given('key', key), passphrase }, name).tls);
}

/** What `error` is called with about an ending; null where it was none of TLS. */
function errorOf({ ending, cause, phase }, { secure }) {
  const fault = ending.fatalError?.cause;
  if (fault?.unknownName !== undefined) return [ERRORS.HOST_NOT_FOUND, fault.unknownName];
  if (fault?.notTls) return [ERRORS.NOT_TLS];
  if (fault?.certificate || fault === 'no_certificate' || ending.refused) {
    return [ERRORS.CERTIFICATE_REJECTED];
  }
  if (phase === 'handshaking') return [ERRORS.HANDSHAKE_FAILED];
  return secure || cause.startsWith('ERR_TLS_FATAL') ? [ERRORS.TLS_FAILED] : null;
}

module.exports = { ERRORS, ServerCertificates, clientTls, errorOf };
