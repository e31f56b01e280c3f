// The chunks of a request as they arrive. The iterator of a stream makes several promises and events of each, which for a large
// upload costs a twentieth of what passing it on does.
import type { IncomingMessage } from 'node:http';

/** Bytes that are waiting to be read, above which nothing more is taken from the connection. */
const MAX_QUEUED = 128 * 1_024;
/** Bytes that a chunk takes beside its own: a caller may send one at a time. */
const CHUNK_BYTES = 256;
/** Bytes. After a few, smaller chunks are joined with those that come with them: each that is read is written by a call of the system. */
const SMALL = 1_024;
const FEW = 16;
/** Bytes of joined chunks. */
const JOINED = 16 * 1_024;

/**
 * To be read once, a chunk at a time, or many small ones as one. Rejects when the request breaks off. A reader that stops leaves the
 * connection open, and the rest unread.
 */
export function arrivingChunks(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => createReader(request) };
}

function createReader(request: IncomingMessage): AsyncIterator<Uint8Array> {
  const queue: Uint8Array[] = [];
  let queued = 0;
  let state: 'new' | 'open' | 'over' = 'new';
  let failure: Error | undefined;
  let waiting: PromiseWithResolvers<IteratorResult<Uint8Array>> | undefined;
  let small = 0;
  /** Small chunks are copied: each would keep more memory than its bytes. */
  let copies: Buffer | undefined;
  let copied = 0;
  let joining: NodeJS.Immediate | undefined;

  const arrived = (chunk: Uint8Array) => {
    if (chunk.length < SMALL && ++small > FEW) return join(chunk);
    pushJoined();
    if (waiting && queue.length === 0) {
      waiting.resolve({ done: false, value: chunk });
      waiting = undefined;
      return;
    }
    push(chunk);
    deliver();
  };

  function join(chunk: Uint8Array): void {
    if (copied + chunk.length > JOINED) pushJoined();
    copies ??= Buffer.allocUnsafe(JOINED);
    copies.set(chunk, copied);
    copied += chunk.length;
    // Those that come with it are here by then.
    if (waiting) joining ??= setImmediate(deliver);
  }

  function pushJoined(): void {
    if (copied > 0) push(Buffer.from(copies!.subarray(0, copied)));
    copied = 0;
  }

  function push(chunk: Uint8Array): void {
    queue.push(chunk);
    queued += sizeOf(chunk);
    if (queued >= MAX_QUEUED) request.pause();
  }

  /** To who waits, what there is. */
  function deliver(): void {
    clearImmediate(joining);
    joining = undefined;
    const value = waiting && taken();
    if (!value) return;
    waiting?.resolve({ done: false, value });
    waiting = undefined;
  }

  function taken(): Uint8Array | undefined {
    if (queue.length === 0) pushJoined();
    const chunk = queue.shift();
    if (chunk === undefined) return undefined;
    queued -= sizeOf(chunk);
    if (queue.length === 0 && state === 'open') request.resume();
    return chunk;
  }

  const ended = () => finish(undefined);
  const failed = (error: Error) => finish(error);
  const closed = () => finish(brokenOff());

  function open(): void {
    state = 'open';
    if (request.readableEnded) ended();
    else if (request.destroyed) closed();
    else request.on('data', arrived).once('end', ended).once('error', failed).once('close', closed);
  }

  function finish(error: Error | undefined): void {
    if (state === 'over') return;
    deliver();
    state = 'over';
    failure = error;
    request.off('data', arrived).off('end', ended).off('error', failed).off('close', closed);
    if (error) waiting?.reject(error);
    else waiting?.resolve(DONE);
    waiting = undefined;
  }

  function brokenOff(): Error {
    return request.errored ?? new Error('the request was closed before all of it was here');
  }

  return {
    next() {
      if (state === 'new') open();
      const chunk = taken();
      if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
      if (failure) return Promise.reject(failure);
      if (state === 'over') return Promise.resolve(DONE);
      waiting ??= Promise.withResolvers();
      return waiting.promise;
    },
    return() {
      finish(undefined);
      queue.length = 0;
      copied = 0;
      request.pause();
      return Promise.resolve(DONE);
    },
  };
}

const sizeOf = (chunk: Uint8Array): number => chunk.length + CHUNK_BYTES;

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
