// A WebSocket as a byte stream whose whole life can be watched, for web pages.
//
// A `Life` gives a page its streams, and tells states, events and endings in the words of levada-core.
// Below it is one of two carriers of the same small shape: `OverStream`, a WebSocketStream, which pushes
// back by itself, or `OverSocket`, a WebSocket, which has bounded windows instead.

/**
 * Close codes that a page may send (1000 and 3000 to 4999): what other ends of Levada say with a code
 * of RFC 6455 that a page may not send, a page says with that code and 3000.
 */
const CODE = { NORMAL: 1000, GOING_AWAY: 4001, NO_TEXT: 4003, POLICY: 4008, INTERNAL: 4011 };

/** The most that goes into one message, in bytes. */
const PIECE = 64 * 1024;

/** How many events wait for their reader. */
const EVENTS = 256;

/** What a message that waits unread is taken to cost beside its bytes. */
const MESSAGE = 256;

/** How often a WebSocket is asked how much it has not sent yet, in milliseconds: it does not tell. */
const LOOK = 4;

const DEFAULTS = {
  protocols: [],
  signal: undefined,
  carrier: undefined,
  deadlineHandshake: 10_000,
  window: 1024 * 1024,
  unread: 16 * 1024 * 1024,
};

/** The error of what meets a bad end; `ended` tells all about it. */
export class EndedError extends Error {
  constructor(ended) {
    super(ended.message);
    this.name = 'EndedError';
    this.ended = ended;
  }
}

/** Opens a WebSocket as a byte stream. It throws for wrong arguments alone. */
export function open(url, options) {
  const target = new URL(url, globalThis.location?.href);
  target.protocol = target.protocol.replace(/^http/, 'ws');
  return new Life(target, complete(options)).face();
}

/** Whether a reader that is slow holds the server back in this browser. */
export function pushesBack() {
  return typeof globalThis.WebSocketStream === 'function';
}

function complete(given = {}) {
  for (const name of Object.keys(given)) {
    if (!(name in DEFAULTS)) throw new TypeError(`there is no option '${name}'`);
  }
  const options = { ...DEFAULTS, ...given };
  for (const name of ['deadlineHandshake', 'window', 'unread']) {
    if (!(options[name] > 0)) throw new RangeError(`the option '${name}' is more than 0`);
  }
  options.carrier ??= pushesBack() ? 'WebSocketStream' : 'WebSocket';
  if (!(options.carrier in CARRIERS && options.carrier in globalThis)) {
    throw new RangeError(`the option 'carrier' is WebSocketStream or WebSocket, as this browser has them`);
  }
  return options;
}

function checkClose(code, reason) {
  const allowed = code === 1000 || (Number.isInteger(code) && code >= 3000 && code <= 4999);
  if (!allowed) throw new RangeError(`a page closes with 1000 or 3000 to 4999, not with ${code}`);
  if (new TextEncoder().encode(reason).length > 123) {
    throw new RangeError('a reason has at most 123 bytes of UTF-8');
  }
}

/** The bytes of a chunk, where they stand. */
function bytesOf(chunk) {
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
  throw new TypeError('a byte stream takes an ArrayBuffer or a view of one, such as TextEncoder gives');
}

/** A promise with the functions that settle it. That nobody waits for it is no error. */
function promised() {
  let resolve;
  let reject;
  const promise = new Promise((...functions) => ([resolve, reject] = functions));
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** What happens, for one reader; one that is slow loses the oldest and is told how many. */
class Events {
  #waiting = [];
  #lost = 0;
  #over = false;
  #wake = () => {};

  readable = new ReadableStream(
    {
      pull: async (controller) => {
        while (this.#waiting.length === 0 && !this.#over) {
          await new Promise((resolve) => (this.#wake = resolve));
        }
        if (this.#lost > 0) {
          controller.enqueue({ lost: this.#lost });
          this.#lost = 0;
        } else if (this.#waiting.length > 0) {
          controller.enqueue(this.#waiting.shift());
        } else {
          controller.close();
        }
      },
      cancel: () => this.end(),
    },
    { highWaterMark: 0 },
  );

  tell(event) {
    if (this.#over) return;
    if (this.#waiting.length === EVENTS) {
      this.#waiting.shift();
      this.#lost += 1;
    }
    this.#waiting.push(event);
    this.#wake();
  }

  end() {
    this.#over = true;
    this.#wake();
  }
}

/** One stream, from its beginning to its one ending. */
class Life {
  #state = 'unconnected';
  #ended;
  #isUp = false;
  /** The Close frame that we send, and whether the carrier has it. */
  #frame = { code: CODE.NORMAL, reason: '' };
  #hasClosed = false;
  /** The ending, where both Close frames alone do not tell it. */
  #cause;
  #carrier;
  #signal;
  #deadline;
  #facts;
  #begun = performance.now();
  #events = new Events();
  #opened = promised();
  #closed = promised();
  #input;
  #output;
  #readable;
  #writable;

  constructor(url, options) {
    this.#facts = {
      role: 'client',
      host: url.hostname,
      proxy: null,
      local: null,
      peer: null,
      plain: url.protocol === 'ws:' ? 'disabled' : null,
      tls: null,
      http: null,
      web_socket: null,
      first_goodbye: null,
      bytes: { read: 0, written: 0, wire_read: null, wire_written: null, discarded: null },
      times: { lookup: null, connect: null, handshake: null, total: null },
    };
    this.#readable = new ReadableStream(
      {
        start: (controller) => void (this.#input = controller),
        pull: () => this.#pull(),
        cancel: (reason) => {
          this.#giveUp(reason);
          this.#stopWriting();
        },
      },
      { highWaterMark: 0 },
    );
    this.#writable = new WritableStream(
      {
        start: (controller) => {
          this.#output = controller;
          // A write that still waits is to hear of it, too.
          controller.signal?.addEventListener('abort', () => this.#giveUp(controller.signal.reason));
          return this.#opened.promise.then(() => {});
        },
        write: (chunk) => this.#write(chunk),
        close: () => this.#sayClose(this.#frame),
        abort: (reason) => this.#giveUp(reason),
      },
      { highWaterMark: options.window, size: (chunk) => chunk?.byteLength ?? 1 },
    );
    this.#signal = options.signal;
    if (this.#signal?.aborted) return this.#end('aborted');
    this.#carrier = new CARRIERS[options.carrier](url, options);
    this.#enter('connecting');
    this.#signal?.addEventListener('abort', this.#abort);
    const late = () => this.#leave({ timed_out: 'handshake' }, CODE.GOING_AWAY);
    this.#deadline = setTimeout(late, options.deadlineHandshake);
    this.#carrier.opened.then((agreed) => this.#establish(agreed), () => {});
    this.#carrier.closed.then((close) => this.#carrierClosed(close));
    this.#carrier.overflowed.then(() => this.#leave({ refused: 'limit' }, CODE.POLICY));
  }

  /** What the page gets. */
  face() {
    const life = this;
    return {
      readable: this.#readable,
      writable: this.#writable,
      events: this.#events.readable,
      opened: this.#opened.promise,
      closed: this.#closed.promise,
      get state() {
        return life.#state;
      },
      get facts() {
        return structuredClone(life.#facts);
      },
      async close(code = CODE.NORMAL, reason = '') {
        checkClose(code, reason);
        if (life.#hasClosed || life.#ended) return;
        // One who holds the writer may still be writing: it is for him to close.
        if (!life.#writable.locked) life.#frame = { code, reason };
        await life.#writable.close();
      },
    };
  }

  #enter(state) {
    this.#state = state;
    this.#events.tell({ state });
  }

  #establish({ protocol, extensions }) {
    if (this.#ended) return;
    clearTimeout(this.#deadline);
    this.#isUp = true;
    this.#facts.times.handshake = performance.now() - this.#begun;
    this.#facts.web_socket = { subprotocol: protocol || null, extension: extensions || null };
    // A browser takes these steps unseen.
    for (const state of ['connected', 'handshaking', 'established']) this.#enter(state);
    this.#opened.resolve({ protocol });
  }

  async #pull() {
    let data = await this.#carrier?.receive();
    while (typeof data === 'string') {
      this.#refuseText();
      data = await this.#carrier.receive();
    }
    if (this.#ended?.ending === 'aborted') return;
    if (data) {
      this.#facts.bytes.read += data.byteLength;
      this.#input.enqueue(data);
      return;
    }
    const ended = await this.#closed.promise;
    if (ended.ending === 'aborted') return;
    // A Close frame is an end of file whatever its code; so is one of ours that refuses text.
    if (['ws_close', 'ws_protocol'].includes(ended.code)) this.#input.close();
    else this.#input.error(new EndedError(ended));
  }

  async #write(chunk) {
    let bytes;
    try {
      bytes = bytesOf(chunk);
    } catch (error) {
      // It ends the writable stream, and so all of it.
      this.#giveUp(error);
      throw error;
    }
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE);
      try {
        await this.#carrier.send(piece);
      } catch {
        throw new EndedError(await this.#closed.promise);
      }
      this.#facts.bytes.written += piece.length;
    }
  }

  #refuseText() {
    if (this.#hasClosed) return;
    this.#events.tell('text_refused');
    this.#cause = { ws_protocol: CODE.NO_TEXT };
    this.#sayClose({ code: CODE.NO_TEXT, reason: '' });
    this.#stopWriting();
  }

  /** The page drops one of both streams: no half of a WebSocket ends alone. */
  #giveUp(reason) {
    this.#sayClose({ code: reason === undefined ? CODE.NORMAL : CODE.INTERNAL, reason: '' });
  }

  #sayClose(frame) {
    if (this.#hasClosed || this.#ended) return;
    this.#hasClosed = true;
    this.#frame = frame;
    this.#enter('closing');
    this.#goodbye('local');
    this.#carrier.close(this.#frame);
  }

  /** For who holds the writer and did not close himself. */
  #stopWriting() {
    this.#output.error(new Error('this end has closed the stream'));
  }

  #goodbye(party) {
    this.#facts.first_goodbye ??= party;
    this.#events.tell({ goodbye: party });
  }

  #carrierClosed(close) {
    if (this.#ended) return;
    if (!this.#isUp) {
      const cause = { ws_handshake: 'a browser does not tell its pages why' };
      return this.#end({ fatal_error: { alert: null, cause } });
    }
    // Without the server's Close frame the browser tells nothing but that.
    if (!close) return this.#end(this.#cause ?? 'socket_close');
    this.#events.tell({ close_frame: close });
    this.#goodbye('peer');
    const by = this.#hasClosed ? 'local' : 'peer';
    if (by === 'peer') {
      this.#enter('closing');
      this.#goodbye('local');
    }
    const first = by === 'local' ? this.#frame : close;
    this.#end(this.#cause ?? { ws_close: { ...first, by } });
  }

  #abort = () => this.#leave('aborted', CODE.GOING_AWAY);

  /** Ends it now, for a reason of ours; the server is told by this code. */
  #leave(ending, code) {
    if (this.#ended) return;
    if (!this.#hasClosed) this.#carrier.close({ code, reason: '' });
    this.#end(ending);
  }

  #end(ending) {
    clearTimeout(this.#deadline);
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#facts.times.total = performance.now() - this.#begun;
    const failed = !this.#isUp && ending !== 'aborted';
    this.#ended = {
      ...describe(failed ? { connect_failed: { ended: ending } } : ending),
      phase: this.#state,
      facts: structuredClone(this.#facts),
    };
    this.#state = 'disconnected';
    const error = new EndedError(this.#ended);
    this.#output.error(error);
    // Nobody wants what still waits.
    if (ending === 'aborted') this.#input.error(error);
    this.#opened.reject(error);
    this.#events.tell({ ended: this.#ended });
    this.#events.end();
    this.#closed.resolve(this.#ended);
  }
}

/** A WebSocketStream as carrier: its own streams push back. */
class OverStream {
  #socket;
  #reader;
  #writer;

  constructor(url, { protocols }) {
    this.#socket = new WebSocketStream(url.href, { protocols: [protocols].flat() });
    this.opened = this.#socket.opened.then(({ readable, writable, protocol, extensions }) => {
      this.#reader = readable.getReader();
      this.#writer = writable.getWriter();
      for (const { closed } of [this.#reader, this.#writer]) closed.catch(() => {});
      return { protocol, extensions };
    });
    this.closed = this.#socket.closed.then(
      ({ closeCode, reason }) => closeFrame(closeCode, reason),
      () => undefined,
    );
    // It never does.
    this.overflowed = new Promise(() => {});
  }

  /** The next message; nothing at the end. */
  async receive() {
    try {
      await this.opened;
      const { value } = await this.#reader.read();
      return typeof value === 'object' ? bytesOf(value) : value;
    } catch {
      return undefined;
    }
  }

  /** Resolves when there is room for the next. */
  send(piece) {
    return this.#writer.write(piece);
  }

  close({ code, reason }) {
    this.#socket.close({ closeCode: code, reason });
  }
}

/** A WebSocket as carrier: a window for what goes out, and a limit for what comes in and waits. */
class OverSocket {
  #socket;
  #window;
  #unread;
  #messages = [];
  #over = false;
  #wake = () => {};

  constructor(url, { protocols, window, unread }) {
    this.#socket = new WebSocket(url.href, protocols);
    this.#socket.binaryType = 'arraybuffer';
    this.#window = window;
    this.#unread = unread;
    const overflowed = promised();
    this.overflowed = overflowed.promise;
    this.opened = new Promise((resolve) => {
      this.#socket.onopen = () => {
        const { protocol, extensions } = this.#socket;
        resolve({ protocol, extensions });
      };
    });
    this.closed = new Promise((resolve) => {
      this.#socket.onclose = ({ wasClean, code, reason }) => {
        this.#finish();
        resolve(wasClean ? closeFrame(code, reason) : undefined);
      };
    });
    this.#socket.onmessage = ({ data }) => {
      this.#unread -= costOf(data);
      if (this.#over) return;
      if (this.#unread < 0) {
        this.#finish();
        overflowed.resolve();
        return;
      }
      this.#messages.push(data);
      this.#wake();
    };
  }

  #finish() {
    this.#over = true;
    this.#wake();
  }

  async receive() {
    while (this.#messages.length === 0 && !this.#over) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    this.#unread += costOf(message);
    return typeof message === 'string' ? message : new Uint8Array(message);
  }

  async send(piece) {
    while (this.#socket.readyState === WebSocket.OPEN && this.#socket.bufferedAmount >= this.#window) {
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
    if (this.#socket.readyState !== WebSocket.OPEN) throw new Error('the WebSocket has closed');
    this.#socket.send(piece);
  }

  close({ code, reason }) {
    this.#socket.close(code, reason);
  }
}

const CARRIERS = { WebSocketStream: OverStream, WebSocket: OverSocket };

function costOf(message) {
  return MESSAGE + (message.byteLength ?? message.length);
}

/** A Close frame as an event tells it: 1005 stands for none (RFC 6455 section 7.1.5). */
function closeFrame(code, reason) {
  return { code: code === 1005 ? null : code, reason };
}

/** What there is to say of an ending, as levada-core says it. */
function describe(ending) {
  const told = (code, clean, blame, message, hint) => {
    return { code, cause: code, clean, blame, message, hint, os_error: null, ending };
  };
  if (ending === 'aborted') {
    const hint = 'this end gave the stream up; look for the reason there';
    return told('aborted', false, 'local', 'dropped by this end', hint);
  }
  if (ending === 'socket_close') {
    return told(
      'ERR_TLS_SOCKET_CLOSE',
      false,
      'peer',
      'the transport ended without a goodbye: data may be missing',
      'the peer, or something on the way, cut the stream short: treat what came as incomplete and ' +
        "look into the peer's log",
    );
  }
  const [[name, details]] = Object.entries(ending);
  switch (name) {
    case 'ws_close': {
      const { code, reason, by } = details;
      const clean = code === null || code === 1000 || code === 1001;
      const who = by === 'local' ? 'we closed the WebSocket' : 'the peer closed the WebSocket';
      const how = code === null ? 'without a code' : `with code ${code}`;
      const message = `${who} ${how}${reason && ': '}${reason}`;
      const hint = 'see at the end that sent the close code what it means there';
      return told('ws_close', clean, clean ? null : by, message, clean ? '' : hint);
    }
    case 'ws_protocol':
      return told(
        'ws_protocol',
        false,
        'peer',
        `the peer sent text where only bytes are taken (we sent code ${details})`,
        'the peer sent text where bytes are expected: send binary messages',
      );
    case 'refused':
      return told(
        'refused_limit',
        false,
        'config',
        'we refused the peer: a limit on what waits unread is reached',
        "read faster, raise the option 'unread', or take a browser that has WebSocketStream",
      );
    case 'timed_out':
      return told(
        'timeout_handshake',
        false,
        'peer',
        'deadline-handshake passed',
        'the peer connected and then said too little: does it expect another protocol? else raise ' +
          'deadline-handshake',
      );
    case 'fatal_error':
      return told(
        'ERR_TLS_FATAL_ERROR',
        false,
        'config',
        `no WebSocket was opened: ${details.cause.ws_handshake}`,
        'check host, path, origin and subprotocol, and whether the server is one for WebSocket',
      );
    default: {
      const inner = describe(details.ended);
      const message = `never established: ${inner.message}`;
      return { ...inner, code: 'connectFailed', message, ending };
    }
  }
}
