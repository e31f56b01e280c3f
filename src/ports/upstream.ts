// Calls to APIs on behalf of callers: one request and its response, both with bodies that are streamed.

export interface UpstreamRequest {
  method: string;
  /** Scheme, host and port. */
  origin: string;
  /** As it is sent: the path and the query, encoded. It may hold a secret in its query: never logged. */
  path: string;
  /** Names and values in turn. Without hop-by-hop headers and `Host`; `Content-Length` where it is known. They hold a secret. */
  headers: readonly string[];
  /** What is iterated is read once, as fast as the API takes it. Null: none. */
  body: Uint8Array | AsyncIterable<Uint8Array> | null;
  /** PEM. The client certificate, for APIs that ask for one (RFC 8705). */
  tls?: { cert: string; key: string } | undefined;
  /** Ends the request, and the response, wherever they are. */
  signal?: AbortSignal | undefined;
  /** An interim response but `100 Continue` (RFC 9110 15.2), such as early hints. */
  onInterim?: ((status: number, headers: readonly string[]) => void) | undefined;
}

export interface UpstreamResponse {
  status: number;
  /** Empty: none. */
  statusText: string;
  /** As they came: names and values in turn, each a text of bytes (latin1). */
  headers: readonly string[];
  body: UpstreamBody;
}

/** Where a body goes. */
export interface BodySink {
  /** False: the rest waits until `resume` is called. */
  write(chunk: Uint8Array): boolean;
  /** The body is complete. Trailers are left out. */
  end(): void;
  /** It is not complete, and never will be. */
  fail(error: UpstreamError): void;
}

/** A body that has not been read: nothing of it is read before it is asked for. One of the first three is called, once. */
export interface UpstreamBody {
  /** Content codings stay as they are. */
  pipe(sink: BodySink): void;
  /** Reads up to so many bytes, and gives up on the rest: it is for answers that are small. Rejects with `UpstreamError`. */
  read(maxBytes: number): Promise<Uint8Array>;
  /** All of it, where all is here and no longer than so many bytes. Undefined: nothing was read. */
  whole(maxBytes: number): Uint8Array | undefined;
  /** After a `write` that returned false. */
  resume(): void;
  /** Gives up on what is left: the connection is closed. Nothing if there is nothing left. */
  discard(): void;
  /**
   * Calls the listener once the body has been handed over as a whole, has failed, or was given up: before the sink is told, and at
   * once if that was before. `bytes`: that were handed over.
   */
  onEnd(listener: (bytes: number, isComplete: boolean) => void): void;
}

/**
 * How far a request had come when it failed. `connect`: no connection. `request`: its own body failed or came too slowly.
 * `first_byte`: nothing of a response came in time. `idle`: a response stopped in its middle. `reset`: the connection was lost,
 * or what came on it is no response. `aborted`: by its signal. `blocked`: it may not be sent there.
 */
export type UpstreamPhase = 'connect' | 'request' | 'first_byte' | 'idle' | 'reset' | 'aborted' | 'blocked';

export class UpstreamError extends Error {
  override name = 'UpstreamError';
  readonly phase: UpstreamPhase;
  /** False only when nothing of the request can have reached the API. */
  readonly sent: boolean;
  /** A time limit has passed. */
  readonly isTimeout: boolean;
  /** `message`: for people, with the host and without any secret. */
  constructor(
    message: string,
    { phase, sent, isTimeout = false }: { phase: UpstreamPhase; sent: boolean; isTimeout?: boolean },
  ) {
    super(message);
    this.phase = phase;
    this.sent = sent;
    this.isTimeout = isTimeout;
  }
}

export interface UpstreamClient {
  /**
   * Sends a request and resolves with the response as soon as its headers are there, whatever its status. Redirects are not
   * followed. Rejects with an `UpstreamError` only.
   */
  send(request: UpstreamRequest): Promise<UpstreamResponse>;
  /** Ends what is open. Resolves when all connections are closed. */
  close(): Promise<void>;
}
