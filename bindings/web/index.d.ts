/** How a stream is to be opened, and what it may cost. */
export interface OpenOptions {
  /** Subprotocols to offer, most wanted first. None by default. */
  protocols?: string | string[];
  /** Drops the stream when it is aborted, now or later: the ending is `aborted`. */
  signal?: AbortSignal;
  /** What carries it. By default `WebSocketStream` where the browser has it, else `WebSocket`. */
  carrier?: 'WebSocketStream' | 'WebSocket';
  /** How long opening may take: name lookup, connection and handshakes. 10000 ms by default. */
  deadlineHandshake?: number;
  /** The most that waits to be sent, in bytes, before writes wait. 1 MiB by default. */
  window?: number;
  /**
   * Over a `WebSocket`, which cannot hold the server back: the most that may wait unread, in bytes, each
   * message taken to cost 256 more. Beyond it the stream ends with `refused_limit`. 16 MiB by default.
   */
  unread?: number;
}

/** A WebSocket as a byte stream. */
export interface ByteStream {
  /**
   * What the server sends, without the borders of messages. It closes after the server's Close frame,
   * with any code, and errors with an {@link EndedError} after every other end. Once this end has closed,
   * browsers drop what the server still sends: read before you close. `cancel()` ends the whole stream,
   * with code 1000, or 4011 for a reason.
   */
  readonly readable: ReadableStream<Uint8Array>;
  /**
   * What the server gets. `close()` says goodbye with code 1000 behind all that was written; `abort()`
   * ends the whole stream, with code 4011 for a reason.
   */
  readonly writable: WritableStream<BufferSource>;
  /** What happens. A slow reader stops nothing: it loses the oldest, and is told how many. */
  readonly events: ReadableStream<StreamEvent>;
  /** Resolves when bytes can flow; rejects with an {@link EndedError} if they never will. */
  readonly opened: Promise<Opened>;
  /** Resolves with the one ending; it never rejects. */
  readonly closed: Promise<Ended>;
  /** Where in its life the stream is. */
  readonly state: State;
  /** What is known so far. */
  readonly facts: Facts;
  /**
   * Says goodbye behind all that was written, with a code (1000 or 3000 to 4999; 1000 by default) and a
   * reason (at most 123 bytes of UTF-8). Resolves without waiting for the server's answer.
   *
   * Rejects with a `RangeError` for a wrong code or reason, and with a `TypeError` while somebody holds
   * the writer: he closes.
   */
  close(code?: number, reason?: string): Promise<void>;
}

/** What was agreed on. */
export interface Opened {
  /** The subprotocol that the server chose; empty for none. */
  protocol: string;
}

/** Opens a WebSocket as a byte stream; `url` may be relative to the page. It throws for wrong arguments alone. */
export function open(url: string | URL, options?: OpenOptions): ByteStream;

/** Whether a page that reads slowly holds the server back in this browser. */
export function pushesBack(): boolean;

/** The error of what meets a bad end. */
export class EndedError extends Error {
  readonly ended: Ended;
}

export type State =
  | 'unconnected'
  | 'connecting'
  | 'connected'
  | 'handshaking'
  | 'established'
  | 'closing'
  | 'disconnected';

export type Party = 'local' | 'peer';

/** A Close frame; without a code where the server sent none. */
export interface CloseFrame {
  code: number | null;
  reason: string;
}

/** One thing that happened. `ended` is the last, exactly once. */
export type StreamEvent =
  | { state: State }
  | { goodbye: Party }
  | { close_frame: CloseFrame }
  | 'text_refused'
  | { lost: number }
  | { ended: Ended };

/** What ended a stream. */
export type Ending =
  | { ws_close: CloseFrame & { by: Party } }
  | 'socket_close'
  | { ws_protocol: number }
  | { refused: 'limit' }
  | { timed_out: 'handshake' }
  | { fatal_error: { alert: null; cause: { ws_handshake: string } } }
  | { connect_failed: { ended: Ending } }
  | 'aborted';

/** The end of a stream: how, where in its life, and all that is known. */
export interface Ended {
  /** The stable code, for programs. */
  code:
    | 'ws_close'
    | 'ERR_TLS_SOCKET_CLOSE'
    | 'ws_protocol'
    | 'refused_limit'
    | 'connectFailed'
    | 'aborted';
  /** The code of what kept the stream from being established; else the same as `code`. */
  cause: Ended['code'] | 'ERR_TLS_FATAL_ERROR' | 'timeout_handshake';
  /** Whether it ended as both ends wanted, with nothing lost. */
  clean: boolean;
  /** Where the cause lies; `null` for a clean end. */
  blame: 'local' | 'peer' | 'config' | null;
  /** What happened, for a person. */
  message: string;
  /** What to try. */
  hint: string;
  os_error: null;
  /** The state in which it ended. */
  phase: State;
  ending: Ending;
  facts: Facts;
}

/** What is known about a stream; `null` for what a browser does not tell its pages. */
export interface Facts {
  role: 'client';
  host: string;
  proxy: null;
  local: null;
  peer: null;
  /** `disabled` where nothing encrypts the bytes. */
  plain: 'disabled' | null;
  tls: null;
  http: null;
  /** What was agreed on; `null` before. */
  web_socket: { subprotocol: string | null; extension: string | null } | null;
  first_goodbye: Party | null;
  /** Bytes so far: given to the reader, and taken from the writer. */
  bytes: { read: number; written: number; wire_read: null; wire_written: null; discarded: null };
  /** In milliseconds: until it was established, and the whole life. */
  times: { lookup: null; connect: null; handshake: number | null; total: number | null };
}
