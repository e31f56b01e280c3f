// Collects one response within its deadline and size limit.
import type { Dispatcher } from 'undici';
import { startDeadline } from '../../domain/deadline.ts';
import { decodeText } from './body-text.ts';
import { CollectedBytes } from './collected-bytes.ts';
import { decodeBody, isPlain } from './content-codings.ts';
import { connectionError, OutboundError, proxyError } from './outbound-error.ts';
import { firstOf, type ResponseHeaders, WholeResponse } from './whole-response.ts';

/** Before a response. */
const MAX_INTERIMS = 100;
/** Of a body, in chunks as small as one byte: each is handled by itself, and a megabyte would have a million. */
const MAX_PIECES = 50_000;

/** Why a response is rejected; undefined when it is accepted. */
function rejectionOf(status: number): [OutboundError['code'], string] | undefined {
  if (status >= 300 && status < 400) return ['redirect', `answered with a redirect (${status})`];
  return status > 599 ? ['network', `answered with the unknown status ${status}`] : undefined;
}

interface HandledRequest {
  host: string;
  maxBytes: number;
  resolve: (response: WholeResponse) => void;
  reject: (error: OutboundError) => void;
  mayStillSend?: (() => boolean) | undefined;
  /** A proxy is sent the request, and may answer in place of the server. */
  isProxied?: boolean;
  /** A longer body is cut off at `maxBytes`, and its connection closed, instead of rejected. */
  isCutOff?: boolean;
}

/**
 * Handles one request: settles its promise once, and then refers to nothing of it. What undici has of requests that have ended
 * lets their handlers survive collections of young objects: 5 kB each, with all that a refresh had in memory.
 */
export class ResponseHandler implements Dispatcher.DispatchHandler {
  readonly #host: string;
  readonly #maxBytes: number;
  /** Undefined once it is settled. */
  #promise: Pick<HandledRequest, 'resolve' | 'reject'> | undefined;
  #mayStillSend: (() => boolean) | undefined;
  readonly #isProxied: boolean;
  readonly #isCutOff: boolean;
  #controller: Dispatcher.DispatchController | undefined;
  #error: OutboundError | undefined;
  #stopTimeout: (() => void) | undefined;
  #status = 0;
  #headers: ResponseHeaders = {};
  readonly #received = new CollectedBytes();
  #interims = 0;

  constructor({ host, maxBytes, resolve, reject, mayStillSend, isProxied = false, isCutOff = false }: HandledRequest) {
    this.#host = host;
    this.#maxBytes = maxBytes;
    this.#promise = { resolve, reject };
    this.#mayStillSend = mayStillSend;
    this.#isProxied = isProxied;
    this.#isCutOff = isCutOff;
  }

  startTimeout(timeoutMs: number, signal: AbortSignal | undefined): void {
    const cancel = startDeadline(timeoutMs, () =>
      this.#fail('timeout', `did not finish its response within ${timeoutMs} ms`),
    );
    const abort = () => this.#fail('timeout', 'was too slow: the caller aborted the request');
    this.#stopTimeout = () => {
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
  }

  /**
   * The request is about to be written: from here on it may reach the server. undici calls this synchronously before it
   * writes to a connected socket; what is thrown here ends the request and not the connection.
   */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (!this.#error && this.#mayStillSend?.() === false)
      throw new OutboundError('withheld', `${this.#host} was not asked: the request came too late`, false);
    if (this.#error) controller.abort(this.#error);
    else this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    if (status < 200) {
      if (++this.#interims > MAX_INTERIMS) this.#fail('network', 'sent interim responses without end');
      return;
    }
    const rejection = rejectionOf(status);
    this.#status = status;
    this.#headers = headers;
    if (status === 407 && this.#isProxied) this.#refusedByProxy();
    else if (rejection) this.#fail(...rejection);
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#error) return;
    const room = this.#maxBytes - this.#received.length;
    this.#received.add(chunk.length > room ? chunk.subarray(0, room) : chunk);
    if (chunk.length <= room && this.#received.pieces <= MAX_PIECES) return;
    if (this.#isCutOff) this.#cutOff();
    else this.#fail('too_large', this.#tooLarge);
  }

  /** What is left of the body is not read. */
  #cutOff(): void {
    this.#stopTimeout?.();
    const error = new OutboundError('too_large', `${this.#host} ${this.#tooLarge}`, true);
    this.#error = error;
    void this.#decode(this.#received.bytes, true).then(({ response }) =>
      this.#settle(({ resolve }) => resolve(response)),
    );
    this.#controller?.abort(error);
  }

  onResponseEnd(): void {
    if (this.#error) return;
    this.#stopTimeout?.();
    const { bytes } = this.#received;
    if (isPlain(bytes, this.#headers['content-encoding']))
      return void this.#settle(({ resolve }) => resolve(this.#response(bytes, false)));
    void this.#decode(bytes).then(({ response, tooLarge }) => {
      if (!tooLarge || this.#isCutOff) return void this.#settle(({ resolve }) => resolve(response));
      const error = new OutboundError('too_large', `${this.#host} ${this.#tooLarge}`, true);
      error.received = response.ok ? response : undefined;
      this.#settle(({ reject }) => reject(error));
    });
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#rejectWith(
      error instanceof OutboundError ? error : connectionError(this.#host, error, this.#controller !== undefined),
    );
  }

  get #tooLarge(): string {
    return this.#received.pieces > MAX_PIECES
      ? `answered in more than ${MAX_PIECES} pieces`
      : `answered with more than ${this.#maxBytes} bytes`;
  }

  #response(bytes: Uint8Array, isPartial: boolean): WholeResponse {
    const text = decodeText(bytes, firstOf(this.#headers['content-type']));
    return new WholeResponse(text, this.#status, this.#headers, isPartial);
  }

  async #decode(body: Buffer, isPartial = false): Promise<{ response: WholeResponse; tooLarge: boolean }> {
    const { bytes, tooLarge, broken } = await decodeBody(body, this.#headers['content-encoding'], this.#maxBytes);
    return { response: this.#response(bytes, isPartial || tooLarge || broken), tooLarge };
  }

  #fail(code: OutboundError['code'], what: string): void {
    const controller = this.#controller;
    const error = new OutboundError(code, `${this.#host} ${what}`, controller !== undefined);
    this.#rejectWith(error);
    controller?.abort(error);
  }

  #refusedByProxy(): void {
    const controller = this.#controller;
    const error = proxyError(this.#host, 407);
    this.#rejectWith(error);
    controller?.abort(error);
  }

  #rejectWith(error: OutboundError): void {
    if (this.#error) return;
    this.#error = error;
    error.status = this.#status || undefined;
    this.#stopTimeout?.();
    const body = this.#received.bytes;
    const isSuccess = this.#status >= 200 && this.#status < 300;
    if (!isSuccess || body.length === 0) return void this.#settle(({ reject }) => reject(error));
    void this.#decode(body, true).then(({ response }) => {
      error.received = response;
      this.#settle(({ reject }) => reject(error));
    });
  }

  #settle(how: (promise: Pick<HandledRequest, 'resolve' | 'reject'>) => void): void {
    if (this.#promise) how(this.#promise);
    this.#promise = undefined;
    this.#mayStillSend = undefined;
    this.#controller = undefined;
    this.#stopTimeout = undefined;
    this.#headers = {};
    this.#received.clear();
  }
}
