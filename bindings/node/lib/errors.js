'use strict';
// Endings and errors: what the native half tells as JSON, under names of JavaScript.

/**
 * Why a stream or a listener failed. `code` is stable; `hint` says what to try, `blame` whose doing it
 * was; `facts` is what was known of the stream, and `ending` its whole ending.
 */
class LevadaError extends Error {
  constructor(message, { code, hint = '', blame = null, facts = null, ending = null, errno, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
    this.blame = blame;
    if (errno !== undefined) this.errno = errno;
    // Whole objects: there for programs, not for each line of a log.
    Object.defineProperty(this, 'facts', { value: facts, configurable: true });
    Object.defineProperty(this, 'ending', { value: ending, configurable: true });
  }
}
Object.defineProperty(LevadaError.prototype, 'name', { value: 'LevadaError', configurable: true });

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/** JSON with the names of its fields as JavaScript writes them; what they hold stays as it is. */
function fromJson(text) {
  return JSON.parse(text, (_, value) => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [camel(name), field]));
  });
}

/** An ending, and whether its own error is what the writes of the stream are told. */
function readEnding(json) {
  const { tellsPendingWrite, tellsLaterWrite, ...ending } = fromJson(json);
  return { ending, tellsPendingWrite, tellsLaterWrite };
}

/** An event: its type, and what comes with it. */
function readEvent(json) {
  const event = fromJson(json);
  if (typeof event === 'string') return { type: camel(event) };
  const [[type, value]] = Object.entries(event);
  const holdsMore = value !== null && typeof value === 'object' && !Array.isArray(value);
  return holdsMore ? { type, ...value } : { type, value };
}

/** The codes that Node has other names for. */
const NODES_CODES = { lookup_failed: 'ENOTFOUND' };

/** The error of an ending. What kept a stream from being established is told by its own code. */
function endingError(ending, cause) {
  const { message, hint, blame, facts, osError } = ending;
  const code = NODES_CODES[ending.cause] ?? ending.cause;
  const errno = osError === null ? undefined : -osError;
  return new LevadaError(message, { code, hint, blame, facts, ending, errno, cause });
}

/** The error of a write that the peer has cut off, or that came too late. */
function brokenPipe(cause) {
  const { hint, blame, facts, ending } = cause ?? {};
  const message = 'This socket has been ended by the other party';
  return new LevadaError(message, { code: 'EPIPE', errno: -32, hint, blame, facts, ending, cause });
}

/** Does what may throw for what it was given; its error says itself what mends it. */
function setUp(work) {
  try {
    return work();
  } catch (error) {
    throw new LevadaError(error.message, { code: error.code, hint: error.message, blame: 'config' });
  }
}

/** The error of a stream on which TLS could not be put. */
function turnError(whyNot, facts) {
  const hint = 'put TLS on once, on a plain stream that is up and open both ways';
  return new LevadaError(`TLS was not put on: ${whyNot}`, {
    code: 'ERR_LEVADA_START_TLS', hint, blame: 'local', facts,
  });
}

/** The error of a stream to which somebody said something in plaintext where TLS begins. */
function injectionError(facts) {
  const message = 'bytes in plaintext wait where TLS is to begin: this may be an injection';
  const hint = 'read all that the peer says in plaintext before TLS begins; it has to wait for TLS, too';
  return new LevadaError(message, { code: 'ERR_LEVADA_INJECTION', hint, blame: 'peer', facts });
}

/** The error of an option that is not what it has to be. */
function wrong(name, wanted) {
  const error = new TypeError(`the option \`${name}\` has to be ${wanted}`);
  error.code = 'ERR_INVALID_ARG_VALUE';
  return error;
}

/** The error of a listener that could not go on. */
function troubleError(json) {
  const { code, message, osError } = fromJson(json);
  const errno = osError === null ? undefined : -osError;
  return new LevadaError(message, { code, hint: message, blame: 'config', errno });
}

module.exports = {
  LevadaError, fromJson, readEnding, readEvent, endingError, brokenPipe, setUp, wrong, troubleError,
  turnError, injectionError,
};
