// One exchange with an API: its request body as fast as the API takes it, its response as fast as the caller takes it, and the
// time limits of both.
import type { Dispatcher } from 'undici';
import { tapped } from '../../domain/tapped-chunks.ts';
import { UPSTREAM_FIRST_BYTE_TIMEOUT_MS, UPSTREAM_IDLE_TIMEOUT_MS } from '../../domain/time-limits.ts';
import {
  type BodySink,
  type UpstreamBody,
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

/** Of a response. As many as fit into its bytes are 32,000 empty ones, and each is looked at several times. */
const MAX_HEADERS = 1_000;

const NOTHING = new Uint8Array();

type Phase = 'request' | 'first_byte' | 'idle';

/** It is the body of its response, too: most calls are small, and each object of theirs costs. */
export class UpstreamExchange implements Dispatcher.DispatchHandler, UpstreamBody {
  static readonly TIMEOUTS: UpstreamTimeouts = {
    firstByteMs: UPSTREAM_FIRST_BYTE_TIMEOUT_MS,
    idleMs: UPSTREAM_IDLE_TIMEOUT_MS,
  };

  readonly requestBody: Uint8Array | AsyncIterable<Uint8Array> | null;
  readonly #exchanged: Exchanged;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #phase: Phase = 'request';
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
  #handedOver = 0;
  /** Of the body: whether it was handed over as a whole. */
  #isComplete: boolean | undefined;
  #listeners: ((bytes: number, isComplete: boolean) => void)[] = [];

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
    const { host, isProxied } = this.#exchanged;
    if (countOf(controller.rawHeaders) > MAX_HEADERS) return void this.#fail('reset', `${host} sent too many headers`);
    const headers = textsOf(controller.rawHeaders);
    if (status < 200) {
      if (++this.#interims > MAX_INTERIMS)
        return void this.#fail('reset', `${host} sent interim responses without end`);
      return void this.#exchanged.request.onInterim?.(status, headers);
    }
    if (isProxied && status === 407) return void this.#fail('connect', proxyError(host, 407).message, false);
    if (!isFramed(headers))
      return void this.#fail('reset', `${host} answered in a transfer coding that is not chunked`);
    this.#hasResponse = true;
    // They are copied; undici would keep them, and the memory that they arrived in, for as long as a stream is open.
    controller.rawHeaders = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#exchanged.resolve({ status, statusText, headers, body: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#timer?.refresh();
    if (this.#sink) {
      this.#isPaused = !this.#handOver(this.#sink, chunk);
      if (this.#isPaused) controller.pause();
      return;
    }
    this.#queue.push(chunk);
    this.#queued += chunk.length;
    if (this.#queued > MAX_QUEUED) controller.pause();
  }

  onResponseEnd(): void {
    this.#end();
    if (this.#sink) this.#endSink(this.#sink);
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    const failure = this.#failure ?? this.#failureOf(error);
    this.#failure = failure;
    if (this.#isOver) return;
    this.#end();
    if (!this.#hasResponse) this.#exchanged.reject(failure);
    else if (this.#sink) this.#endSink(this.#sink);
  }

  pipe(sink: BodySink): void {
    let goesOn = true;
    for (const chunk of this.#queue) goesOn = this.#handOver(sink, chunk);
    this.#queue = [];
    this.#sink = sink;
    if (this.#isOver) this.#endSink(sink);
    else {
      // Most bodies are here by now.
      this.#startTimer('idle');
      this.#isPaused = !goesOn;
      if (goesOn) this.#controller?.resume();
      else this.#controller?.pause();
    }
  }

  read(maxBytes: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    return new Promise((resolve, reject) => {
      const whole = () => resolve(Buffer.concat(chunks, Math.min(length, maxBytes)));
      let isFull = false;
      this.pipe({
        write: (chunk) => {
          if (isFull) return false;
          chunks.push(chunk);
          length += chunk.length;
          if (length <= maxBytes) return true;
          isFull = true;
          whole();
          this.discard();
          return false;
        },
        end: whole,
        fail: reject,
      });
    });
  }

  whole(maxBytes: number): Uint8Array | undefined {
    if (!this.#isOver || this.#failure || this.#sink || this.#queued > maxBytes) return undefined;
    const [first = NOTHING] = this.#queue;
    const all = this.#queue.length <= 1 ? first : Buffer.concat(this.#queue);
    this.#queue = [];
    this.#handedOver = all.length;
    this.#tell(true);
    return all;
  }

  resume(): void {
    this.#isPaused = false;
    this.#timer?.refresh();
    this.#controller?.resume();
  }

  discard(): void {
    this.#tell(false);
    if (!this.#isOver) this.#fail('aborted', `the rest of the response of ${this.#exchanged.host} is not needed`);
  }

  onEnd(listener: (bytes: number, isComplete: boolean) => void): void {
    if (this.#isComplete === undefined) this.#listeners.push(listener);
    else listener(this.#handedOver, this.#isComplete);
  }

  #handOver(sink: BodySink, chunk: Uint8Array): boolean {
    this.#handedOver += chunk.length;
    return sink.write(chunk);
  }

  #endSink(sink: BodySink): void {
    this.#tell(this.#failure === undefined);
    if (this.#failure) sink.fail(this.#failure);
    else sink.end();
  }

  #tell(isComplete: boolean): void {
    if (this.#isComplete !== undefined) return;
    this.#isComplete = isComplete;
    for (const listener of this.#listeners) listener(this.#handedOver, isComplete);
    this.#listeners = [];
  }

  get #isStreaming(): boolean {
    return this.requestBody !== null && !(this.requestBody instanceof Uint8Array);
  }

  /** Notes whose failure it is when the body breaks off. */
  #passed(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return tapped(body, {
      fail: () => {
        this.#isBodyBroken = true;
      },
    });
  }

  readonly #abort = (): void => this.#fail('aborted', `the call to ${this.#exchanged.host} was aborted`);

  #startTimer(phase: Phase): void {
    clearTimeout(this.#timer);
    this.#phase = phase;
    const { firstByteMs, idleMs } = this.#exchanged.timeouts;
    this.#timer = setTimeout(this.#late, phase === 'first_byte' ? firstByteMs : idleMs);
  }

  readonly #late = (): void => {
    const { host, timeouts } = this.#exchanged;
    const [idle, firstByte] = [timeouts.idleMs, timeouts.firstByteMs].map((ms) => `${ms / 1_000} seconds`);
    const what = {
      request: `the body of the request to ${host} stopped for ${idle}`,
      first_byte: `${host} did not answer within ${firstByte}`,
      idle: this.#isPaused
        ? `the caller took nothing of the response of ${host} for ${idle}`
        : `${host} stopped in its response for ${idle}`,
    };
    this.#fail(this.#phase, what[this.#phase], true, true);
  };

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

const countOf = (raw: Dispatcher.DispatchController['rawHeaders']): number => (Array.isArray(raw) ? raw.length / 2 : 0);

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
