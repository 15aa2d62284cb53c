'use strict';
// Telsa: a TLS client that dials as it is constructed, and ends in one of five ways.

const { native, door } = require('./native.js');
const { endingError, setUp, wrong } = require('./errors.js');
const { tcp, tlsClient } = require('./options.js');
const { LevadaStream } = require('./socket.js');

/** The reason codes of a Telsa that was established, by the codes of endings. */
const REASONS = {
  finished: 'ended',
  ERR_TLS_CLOSE_NOTIFY: 'closeNotify',
  ERR_TLS_SOCKET_CLOSE: 'socketClose',
  ERR_TLS_FATAL_ALERT: 'fatalAlert',
  ERR_TLS_FATAL_ERROR: 'fatalError',
  connectFailed: 'connectFailed',
  connectFinalized: 'connectFinalized',
  aborted: 'destroyed',
};

const INTERNAL_STATES = {
  Unconnected: 'connecting',
  HostLookup: 'connecting',
  Connecting: 'connecting',
};

/** A TLS client as a Duplex. `connect` means that the stream is secure. */
class Telsa extends LevadaStream {
  /** The error of a transport that was given. */
  #transportError = null;

  constructor(options) {
    if (options === null || typeof options !== 'object') throw wrong('options', 'an object');
    const { handle, far, forget } = setUp(() => open(options));
    // The peer's goodbye ends both directions.
    super(handle, { ...options, allowHalfOpen: false });
    if (forget) this._atEnd(forget);
    if (far) this.#carry(options.socket, far);
  }

  /** `connecting`, `established` or `disconnected`. */
  get state() {
    if (this.ending) return 'disconnected';
    return this.established ? 'established' : 'connecting';
  }

  /** As `state`, with `handshaking` apart from `connecting`. */
  get internalState() {
    if (this.state !== 'connecting') return this.state;
    return INTERNAL_STATES[this._state] ?? 'handshaking';
  }

  /** Why it is disconnected; null before. */
  get reason() {
    if (!this.ending) return null;
    const { code } = this.ending;
    if (code.startsWith('refused_')) return 'fatalError';
    if (code.startsWith('timeout_')) return 'timedOut';
    return REASONS[code] ?? 'socketError';
  }

  _errorOf(ending) {
    if (this.#transportError && ending.cause === 'ECONNRESET') return this.#transportError;
    const error = endingError(ending);
    if (error.code.startsWith('refused_')) error.code = 'ERR_TLS_FATAL_ERROR';
    error.description = error.message;
    return error;
  }

  /** Carries the bytes of TLS over a transport of JavaScript's. */
  #carry(socket, far) {
    const wire = new LevadaStream(far, { allowHalfOpen: true });
    socket.once('error', (error) => {
      this.#transportError = error;
      wire.destroy();
    });
    socket.once('end', () => wire.end());
    socket.once('close', () => wire.end());
    socket.on('data', (chunk) => wire.write(chunk) || socket.pause());
    wire.on('drain', () => socket.resume());
    // A transport that was ended by its own peer takes nothing more, our last goodbye included.
    wire.on('data', (chunk) => !socket.writable || socket.write(chunk) || wire.pause());
    socket.on('drain', () => wire.resume());
    wire.once('end', () => {
      socket.end();
      wire.end();
    });
    wire.on('error', () => socket.destroy());
  }
}

/** The native stream that the options ask for, and what holds its key. */
function open(options) {
  const { host, port, ca, cert, key, servername, pool, socket } = options;
  if (typeof host !== 'string' || host === '') throw wrong('host', 'a name');
  if (!socket && !(Number.isInteger(port) && port > 0 && port < 65536)) {
    throw wrong('port', 'a number from 1 to 65535');
  }
  const behaviour = { closesBoth: true, signerDeadline: options.signerTimeout };
  if (pool) return { handle: native.Stream.connect(door, poolAddress(options), behaviour) };
  if (ca === undefined) throw wrong('ca', 'PEM text');
  if (cert === undefined) throw wrong('cert', 'PEM text');
  if (key === undefined) throw wrong('key', 'PEM text, or a function that signs');
  const { tls, forget } = tlsClient(options, servername ?? host);
  try {
    if (!socket) {
      return { handle: native.Stream.dial(door, tcp(host, port), tls, behaviour), forget };
    }
    const [handle, far] = native.Stream.over(door, tls, behaviour);
    return { handle, far, forget };
  } catch (error) {
    forget();
    throw error;
  }
}

function poolAddress({ host, port, servername, alpn = [], pool, socket }) {
  if (socket) throw wrong('pool', 'left away: a pool needs a TCP connection of its own');
  const words = new URLSearchParams();
  if (servername !== undefined) words.set('name', servername);
  if ([alpn].flat().length > 0) words.set('alpn', [alpn].flat().join(','));
  if (typeof pool === 'string') words.set('pool', pool);
  // What it writes as plus, the addresses of Levada take for one.
  const query = String(words).replaceAll('+', '%20');
  return `pool+${tcp(host, port).replace('tcp', 'tls')}${query && `?${query}`}`;
}

module.exports = { Telsa };
