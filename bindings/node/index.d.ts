// The types of the package `levada`.
/// <reference types="node" />

import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';

/** What is known about a stream; what is not known yet is null. Names of values are those of the book. */
export interface Facts {
  role: 'client' | 'server' | null;
  host: string | null;
  local: string | null;
  peer: string | null;
  /** Why nothing encrypts the bytes; null where something does. */
  plain: 'disabled' | 'fallback' | 'end_tls' | 'pass_through' | null;
  tls: TlsFacts | null;
  webSocket: null;
  firstGoodbye: 'local' | 'peer' | null;
  bytes: { read: number; written: number; wireRead: number; wireWritten: number; discarded: number };
  /** Milliseconds of each phase. */
  times: { lookup: number | null; connect: number | null; handshake: number | null; total: number | null };
}

export interface TlsFacts {
  version: '1.2' | '1.3' | null;
  suite: string | null;
  group: string | null;
  alpn: string | null;
  sni: string | null;
  verifiedName: string | null;
  resumed: boolean | null;
  identityAsked: boolean;
  verification: 'verified' | 'pinned' | 'danger' | 'refused' | 'anonymous' | null;
  peerCertificates: number;
  peerChain: unknown[];
  [name: string]: unknown;
}

/** How a stream ended; each ends once. */
export interface Ending {
  /** The stable code: `finished`, `ERR_TLS_SOCKET_CLOSE`, `connectFailed`, … */
  code: string;
  /** The code of what kept it from being established; else as `code`. */
  cause: string;
  clean: boolean;
  blame: Blame | null;
  message: string;
  /** What to try; empty for a clean ending. */
  hint: string;
  osError: number | null;
  phase: string;
  /** The ending with its details. */
  ending: unknown;
  facts: Facts;
}

export type Blame = 'local' | 'peer' | 'network' | 'config';

/** Why something failed. */
export class LevadaError extends Error {
  /** Stable: that of the ending, a system's such as `ECONNREFUSED`, or `ERR_LEVADA_…` of what was asked. */
  code: string;
  hint: string;
  blame: Blame | null;
  errno?: number;
  readonly facts: Facts | null;
  readonly ending: Ending | null;
  cause?: unknown;
}

/** One event of a stream's life: `state`, `mode`, `hostFound`, `alert`, `goodbye`, `ended`, … */
export interface LifeEvent {
  type: string;
  value?: unknown;
  [name: string]: unknown;
}

export interface StreamOptions {
  /** Bytes; 65536 unless said otherwise. */
  highWaterMark?: number;
  readableHighWaterMark?: number;
  writableHighWaterMark?: number;
  /** Whether our direction stays open when the peer's has ended. */
  allowHalfOpen?: boolean;
  signal?: AbortSignal;
}

/** How TLS is put on as its client. */
export interface StartTlsClientOptions {
  isServer?: false;
  /** The authorities to trust; those of the system unless said otherwise. */
  ca?: Pem;
  /** Our certificate and its chain, if the server asks for one. */
  cert?: Pem;
  key?: Pem | Signer;
  /** Opens an encrypted key. */
  passphrase?: string | Uint8Array;
  /** Whom the server's certificate must name; the host that was dialled unless said otherwise. */
  servername?: string;
  alpn?: string | string[];
  /** When certificates must be valid; null looks at no validity period. */
  validityCheckDate?: Date | null;
}

/** How TLS is put on as its server. What is given is read once for each object of options. */
export interface StartTlsServerOptions {
  isServer?: true;
  /** Our certificate and its chain. */
  cert?: Pem;
  key?: Pem;
  passphrase?: string | Uint8Array;
  /** Names of `cert`, with `~` between them. */
  host?: string;
  /** More certificates, chosen by the name that the client asks for. */
  hosts?: Network.Host[];
  alpn?: string | string[];
}

/**
 * A Levada stream. `connect` is emitted when every layer is up, `secure` when TLS that was put on later is,
 * `event` for each step of its life.
 */
export class LevadaStream extends Duplex {
  protected constructor();
  /** How it ended; null while it lives. */
  readonly ending: Ending | null;
  readonly facts: Facts | null;
  /** Whether every layer is up, or was. */
  readonly established: boolean;
  /** Whether it is still on its way to that. */
  readonly connecting: boolean;
  readonly pending: boolean;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly localFamily: 'IPv4' | 'IPv6' | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly remoteFamily: 'IPv4' | 'IPv6' | undefined;
  /** Our end; empty where it is not one of TCP. */
  address(): { address: string; port: number; family: 'IPv4' | 'IPv6' } | Record<string, never>;
  /** Plain bytes. */
  readonly bytesRead: number;
  /** Plain bytes. */
  readonly bytesWritten: number;
  /** Whether TLS protects it. */
  readonly encrypted: boolean;
  /** The application protocol that TLS agreed on; false for none. */
  readonly alpnProtocol: string | false;
  /** Milliseconds of `setTimeout`; 0 for none. */
  readonly timeout: number;
  /** Has `timeout` emitted when nothing has moved either way for so many milliseconds; 0 for never. */
  setTimeout(milliseconds: number, callback?: () => void): this;
  /** Whether small writes leave at once, which they do unless told otherwise. */
  setNoDelay(atOnce?: boolean): this;
  /** Whether the system asks if the peer is still there: after so many milliseconds of silence. */
  setKeepAlive(asks?: boolean, milliseconds?: number): this;
  /**
   * Puts TLS on a plain stream (STARTTLS), behind what was written and in front of what will be. We are its
   * client where we have dialled, its server where we were, unless `isServer` says otherwise.
   */
  startTls(options?: StartTlsClientOptions | StartTlsServerOptions, callback?: () => void): this;
  ref(): this;
  unref(): this;
  on(event: 'connect' | 'secure' | 'timeout', listener: () => void): this;
  on(event: 'event', listener: (event: LifeEvent) => void): this;
  on(event: string | symbol, listener: (...values: any[]) => void): this;
}

/** A stream to an address, such as `tls://example.org:443`. Throws what is wrong with the address. */
export function connect(address: string | URL, options?: StreamOptions): LevadaStream;

export interface ListenOptions extends StreamOptions {
  /** Lets several listeners share one port, if all say so. */
  reusePort?: boolean;
}

/** Listens at an address. `connection` gets each stream that is established. */
export class Listener extends EventEmitter {
  protected constructor();
  /** Where it listens; null before `listening`. */
  readonly local: string | null;
  close(callback?: () => void): this;
  ref(): this;
  unref(): this;
  on(event: 'listening' | 'close', listener: () => void): this;
  on(event: 'connection', listener: (stream: LevadaStream) => void): this;
  on(event: 'connectionError', listener: (error: LevadaError, stream: LevadaStream) => void): this;
  on(event: 'error', listener: (error: LevadaError) => void): this;
}

export function listen(address: string | URL, onConnection?: (stream: LevadaStream) => void): Listener;
export function listen(
  address: string | URL,
  options: ListenOptions,
  onConnection?: (stream: LevadaStream) => void,
): Listener;

/** PEM text, or several. */
export type Pem = string | Uint8Array | (string | Uint8Array)[];

/**
 * Signs with a private key that is elsewhere: `data` is not hashed yet. It calls back, or gives a promise;
 * the first answer counts.
 */
export type Signer = (
  data: Buffer,
  callback: (error: Error | null | undefined, signature?: Uint8Array) => void,
  info: { scheme: string },
) => void | Promise<Uint8Array | void>;

export interface TelsaOptions extends StreamOptions {
  host: string;
  /** Needed unless there is a `socket`. */
  port?: number;
  /** The authorities to trust. */
  ca?: Pem;
  /** Our certificate and its chain. */
  cert?: Pem;
  key?: Pem | Signer;
  /** Opens an encrypted key. */
  passphrase?: string | Uint8Array;
  /** When certificates must be valid; null looks at no validity period. */
  validityCheckDate?: Date | null;
  /** Whom the server's certificate must name; `host` unless said otherwise. */
  servername?: string;
  alpn?: string | string[];
  /** Has a TLS pool speak TLS, that runs here or at this path, instead of `ca`, `cert` and `key`. */
  pool?: true | string;
  /** A transport, in place of a TCP connection. */
  socket?: Duplex;
  /** Milliseconds that a signer may take; 5000 unless said otherwise. */
  signerTimeout?: number;
}

/** Why a Telsa is disconnected. */
export type Reason =
  | 'connectFailed' | 'connectFinalized' | 'ended' | 'closeNotify' | 'socketClose' | 'socketError'
  | 'fatalAlert' | 'fatalError' | 'timedOut' | 'destroyed';

/** A TLS client that dials as it is constructed. `connect` means that it is secure. */
export class Telsa extends LevadaStream {
  constructor(options: TelsaOptions);
  readonly state: 'connecting' | 'established' | 'disconnected';
  readonly internalState: 'connecting' | 'handshaking' | 'established' | 'disconnected';
  readonly reason: Reason | null;
}

export namespace Network {
  /** One end of a TCP connection. */
  class Address {
    constructor(address: string, port: number, family?: 'IPv4' | 'IPv6');
    static of(text: string): Address;
    address: string;
    port: number;
    family: 'IPv4' | 'IPv6';
  }

  type Message = string | ArrayBuffer | ArrayBufferView;
  type MessageHandler = (this: TCP, message: any, from: Address) => void;

  interface Host {
    /** Names, with `~` between them. */
    host?: string;
    cert: Pem;
    key?: Pem;
    passphrase?: string | Uint8Array;
  }

  interface TCPOptions extends Partial<Host> {
    port?: number;
    address?: string;
    family?: 'IPv4' | 'IPv6';
    toPort?: number;
    toAddress?: string;
    readStrings?: boolean;
    /** Always so. */
    reuseAddress?: boolean;
    reusePort?: boolean;
    ssl?: boolean;
    ca?: Pem;
    hosts?: Host[];
    allowSSLfallback?: boolean;
    /** Milliseconds. */
    handshakeTimeout?: number;
    /** Milliseconds. */
    connectTimeout?: number;
    message?: MessageHandler;
    /** A server's gets the connection; a client's nothing, or the error's number and the error. */
    connect?: (this: TCP, connectionOrErrno?: any, error?: Error) => void;
    ready?: (this: TCP) => void;
    close?: (this: TCP) => void;
    error?: (this: TCP, number: number, detail?: any) => void;
  }

  /** A server, a client, or a connection of a server. */
  interface TCP {
    send(message: Message, address?: Address): void;
    close(): void;
    on(event: 'connect' | 'ready' | 'message' | 'close' | 'error', handler: (this: TCP, ...values: any[]) => void): this;
    addCert(hosts: string, cert: Pem, key?: Pem, passphrase?: string | Uint8Array): void;
    addHost(hosts: string, cert: Pem, key?: Pem, passphrase?: string | Uint8Array): void;
    /** Of servers. */
    removeCert(hosts: string): void;
    /** Of connections, within the handler of error 6. */
    disableSSL(buffer?: Uint8Array): void;
    ssl: boolean;
    readStrings: boolean;
    allowSSLfallback: boolean;
    readonly ports: { port: number; pid: number | null }[];
    readonly localAddress: Address | null;
    /** Of connections. */
    readonly remoteAddress: Address | null;
    /** Of connections. */
    readonly ending: Ending | null;
    /** Of connections. */
    readonly facts: Facts | null;
    ref(): this;
    unref(): this;
  }

  interface TCPConstructor {
    (options: TCPOptions, message?: MessageHandler): TCP;
    (address: string, message?: MessageHandler): TCP;
    (address: string, options: TCPOptions, message?: MessageHandler): TCP;
    new (options: TCPOptions, message?: MessageHandler): TCP;
    new (address: string, message?: MessageHandler): TCP;
    new (address: string, options: TCPOptions, message?: MessageHandler): TCP;
    readonly ERROR: {
      readonly GENERIC: 0;
      readonly HANDSHAKE_FAILED: 2;
      readonly CERTIFICATE_REJECTED: 3;
      readonly TLS_FAILED: 4;
      readonly NOT_TLS: 6;
      readonly HOST_NOT_FOUND: 7;
    };
    readonly ports: { port: number; pid: number | null }[];
    readonly prototype: TCP;
  }

  const TCP: TCPConstructor;
}
