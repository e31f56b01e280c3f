// Collects one response within its deadline and size limit.
import type { Dispatcher } from 'undici';
import { connectionError, OutboundError } from './outbound-error.ts';
import { type ResponseHeaders, WholeResponse } from './whole-response.ts';

/** Decodes as fetch does: drops a byte order mark, replaces what is not UTF-8. */
const utf8 = new TextDecoder();

/** Why a response is rejected; undefined when it is accepted. */
function rejectionOf(status: number, headers: ResponseHeaders): [OutboundError['code'], string] | undefined {
  if (status >= 300 && status < 400) return ['redirect', `answered with a redirect (${status})`];
  if (status > 599) return ['network', `answered with the unknown status ${status}`];
  const coding = headers['content-encoding'] ?? 'identity';
  return coding === 'identity' ? undefined : ['network', 'answered with a content encoding that was not requested'];
}

/** Handles one request: settles its promise once. */
export class ResponseHandler implements Dispatcher.DispatchHandler {
  readonly #host: string;
  readonly #maxBytes: number;
  readonly #resolve: (response: WholeResponse) => void;
  readonly #reject: (error: OutboundError) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #error: OutboundError | undefined;
  #stopTimeout: () => void = () => {};
  #status = 0;
  #headers: ResponseHeaders = {};
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(
    host: string,
    maxBytes: number,
    resolve: (response: WholeResponse) => void,
    reject: (error: OutboundError) => void,
  ) {
    this.#host = host;
    this.#maxBytes = maxBytes;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  startTimeout(timeoutMs: number, signal: AbortSignal | undefined): void {
    const timer = setTimeout(
      () => this.#fail('timeout', `did not finish its response within ${timeoutMs} ms`),
      timeoutMs,
    );
    const abort = () => this.#fail('timeout', 'was too slow: the caller aborted the request');
    this.#stopTimeout = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
  }

  /** The request is about to be written: from here on it may reach the server. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#error) controller.abort(this.#error);
    else this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    const rejection = rejectionOf(status, headers);
    if (rejection) this.#fail(...rejection);
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) this.#fail('too_large', `answered with more than ${this.#maxBytes} bytes`);
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#error) return;
    this.#stopTimeout();
    const text = utf8.decode(this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks));
    this.#resolve(new WholeResponse(text, this.#status, this.#headers));
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#rejectWith(
      error instanceof OutboundError ? error : connectionError(this.#host, error, this.#controller !== undefined),
    );
  }

  #fail(code: OutboundError['code'], what: string): void {
    const error = new OutboundError(code, `${this.#host} ${what}`, this.#controller !== undefined);
    this.#rejectWith(error);
    this.#controller?.abort(error);
  }

  #rejectWith(error: OutboundError): void {
    if (this.#error) return;
    this.#error = error;
    this.#chunks = [];
    this.#stopTimeout();
    this.#reject(error);
  }
}
