// One exchange with an API: its request body as fast as the API takes it, its response as fast as the caller takes it, and the
// time limits of both.
import type { Dispatcher } from 'undici';
import { UPSTREAM_FIRST_BYTE_TIMEOUT_MS, UPSTREAM_IDLE_TIMEOUT_MS } from '../../domain/time-limits.ts';
import {
  type BodySink,
  UpstreamError,
  type UpstreamPhase,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../../ports/index.ts';
import { OutboundError, proxyError } from './outbound-error.ts';

export interface UpstreamTimeouts {
  /** From the end of the request to the headers of the response. */
  firstByteMs: number;
  /** Between two pieces of a body, in either direction. */
  idleMs: number;
}

interface Exchanged {
  host: string;
  request: UpstreamRequest;
  timeouts: UpstreamTimeouts;
  /** A proxy is sent the request, and may answer in place of the API. */
  isProxied: boolean;
  resolve: (response: UpstreamResponse) => void;
  reject: (error: UpstreamError) => void;
}

/** Bytes of a response that are taken before anyone has asked for them: what arrives together with its headers. */
const MAX_QUEUED = 32 * 1_024;

/** Before a response. */
const MAX_INTERIMS = 1_000;

export class UpstreamExchange implements Dispatcher.DispatchHandler {
  static readonly TIMEOUTS: UpstreamTimeouts = {
    firstByteMs: UPSTREAM_FIRST_BYTE_TIMEOUT_MS,
    idleMs: UPSTREAM_IDLE_TIMEOUT_MS,
  };

  readonly requestBody: Uint8Array | AsyncIterable<Uint8Array> | null;
  readonly #exchanged: Exchanged;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasResponse = false;
  /** All of the response is here, or nothing more will be. */
  #isOver = false;
  #failure: UpstreamError | undefined;
  #isBodyBroken = false;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #sink: BodySink | undefined;
  /** The caller takes no more for now. */
  #isPaused = false;
  #interims = 0;

  constructor(exchanged: Exchanged) {
    this.#exchanged = exchanged;
    const { body, signal } = exchanged.request;
    this.requestBody = body === null || body instanceof Uint8Array ? body : this.#passed(body);
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (signal?.aborted) this.#abort();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure) return void controller.abort(this.#failure);
    this.#startTimer(this.#isStreaming ? 'request' : 'first_byte');
  }

  onBodySent(): void {
    this.#timer?.refresh();
  }

  onRequestSent(): void {
    if (!this.#isOver && !this.#hasResponse && this.#isStreaming) this.#startTimer('first_byte');
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _: NodeJS.Dict<string | string[]>,
    statusText = '',
  ): void {
    const headers = textsOf(controller.rawHeaders);
    const { host, isProxied } = this.#exchanged;
    if (status < 200) {
      if (++this.#interims > MAX_INTERIMS)
        return void this.#fail('reset', `${host} sent interim responses without end`);
      return void this.#exchanged.request.onInterim?.(status, headers);
    }
    if (isProxied && status === 407) return void this.#fail('connect', proxyError(host, 407).message, false);
    if (!isFramed(headers))
      return void this.#fail('reset', `${host} answered in a transfer coding that is not chunked`);
    this.#hasResponse = true;
    this.#startTimer('idle');
    this.#exchanged.resolve({
      status,
      statusText,
      headers,
      body: {
        pipe: (sink) => this.#pipe(sink),
        read: (maxBytes) => this.#read(maxBytes),
        resume: () => {
          this.#isPaused = false;
          this.#timer?.refresh();
          controller.resume();
        },
        discard: () => this.#discard(),
      },
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#timer?.refresh();
    if (this.#sink) {
      this.#isPaused = !this.#sink.write(chunk);
      if (this.#isPaused) controller.pause();
      return;
    }
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    if (this.#queued > MAX_QUEUED) controller.pause();
  }

  onResponseEnd(): void {
    this.#end();
    this.#sink?.end();
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    const failure = this.#failure ?? this.#failureOf(error);
    this.#failure = failure;
    if (this.#isOver) return;
    this.#end();
    if (this.#hasResponse) this.#sink?.fail(failure);
    else this.#exchanged.reject(failure);
  }

  get #isStreaming(): boolean {
    return this.requestBody !== null && !(this.requestBody instanceof Uint8Array);
  }

  /** Notes whose failure it is when the body breaks off. */
  async *#passed(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) yield chunk;
    } catch (error) {
      this.#isBodyBroken = true;
      throw error;
    }
  }

  #pipe(sink: BodySink): void {
    let goesOn = true;
    for (const chunk of this.#queue) goesOn = sink.write(chunk);
    this.#queue = [];
    this.#sink = sink;
    if (this.#failure) sink.fail(this.#failure);
    else if (this.#isOver) sink.end();
    else {
      this.#isPaused = !goesOn;
      if (goesOn) this.#controller?.resume();
      else this.#controller?.pause();
    }
  }

  #read(maxBytes: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    return new Promise((resolve, reject) => {
      const whole = () => resolve(Buffer.concat(chunks, Math.min(length, maxBytes)));
      let isFull = false;
      this.#pipe({
        write: (chunk) => {
          if (isFull) return false;
          chunks.push(chunk);
          length += chunk.length;
          if (length <= maxBytes) return true;
          isFull = true;
          whole();
          this.#discard();
          return false;
        },
        end: whole,
        fail: reject,
      });
    });
  }

  #discard(): void {
    if (this.#isOver) return;
    this.#fail('aborted', `the rest of the response of ${this.#exchanged.host} is not needed`);
  }

  readonly #abort = (): void => this.#fail('aborted', `the call to ${this.#exchanged.host} was aborted`);

  #startTimer(phase: 'request' | 'first_byte' | 'idle'): void {
    clearTimeout(this.#timer);
    const { host, timeouts } = this.#exchanged;
    const ms = phase === 'first_byte' ? timeouts.firstByteMs : timeouts.idleMs;
    const what = {
      request: () => `the body of the request to ${host} stopped for ${ms / 1_000} seconds`,
      first_byte: () => `${host} did not answer within ${ms / 1_000} seconds`,
      idle: () =>
        this.#isPaused
          ? `the caller took nothing of the response of ${host} for ${ms / 1_000} seconds`
          : `${host} stopped in its response for ${ms / 1_000} seconds`,
    };
    this.#timer = setTimeout(() => this.#fail(phase, what[phase](), true, true), ms);
  }

  #fail(phase: UpstreamPhase, message: string, sent = this.#controller !== undefined, isTimeout = false): void {
    if (this.#isOver) return;
    const failure = new UpstreamError(message, { phase, sent, isTimeout });
    this.onResponseError(undefined, failure);
    this.#controller?.abort(failure);
  }

  #failureOf(error: Error): UpstreamError {
    if (error instanceof UpstreamError) return error;
    const { host } = this.#exchanged;
    if (error instanceof OutboundError) {
      const phase = error.code === 'blocked' ? 'blocked' : 'connect';
      return new UpstreamError(error.message, { phase, sent: error.sent, isTimeout: error.code === 'timeout' });
    }
    const { code = error.name } = error as NodeJS.ErrnoException;
    const isMismatch = code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH';
    if (this.#isBodyBroken || isMismatch)
      return new UpstreamError(`the body of the request to ${host} broke off`, { phase: 'request', sent: true });
    if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED')
      return new UpstreamError(`${host} cannot be sent this request`, { phase: 'blocked', sent: false });
    const sent = this.#controller !== undefined;
    return new UpstreamError(`the connection to ${host} was lost (${code})`, {
      phase: sent ? 'reset' : 'connect',
      sent,
    });
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#exchanged.request.signal?.removeEventListener('abort', this.#abort);
  }
}

/** Each text has the bytes that came. */
const textsOf = (raw: Dispatcher.DispatchController['rawHeaders']): string[] =>
  Array.isArray(raw) ? raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1'))) : [];

/** Other transfer codings would be passed on undecoded, and unnamed. */
function isFramed(headers: readonly string[]): boolean {
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i]!.toLowerCase() === 'transfer-encoding' && headers[i + 1]!.trim().toLowerCase() !== 'chunked')
      return false;
  return true;
}
