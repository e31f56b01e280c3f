// The beginning of a body, read before anyone is given it: what it says of a limit. All of it is passed on afterwards.
import { brotliDecompressSync, constants, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import type { BodySink, UpstreamBody, UpstreamError } from '../../../ports/index.ts';

export interface PeekedBody {
  /** All of it, decoded; undefined: it is longer, cannot be decoded, or has failed. */
  text: string | undefined;
  /** In place of the one that was given. */
  body: UpstreamBody;
}

/** By name when they are called: a bundle loads Node's module with the first coded body. */
const DECODERS: Record<string, (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer> = {
  gzip: (bytes, options) => gunzipSync(bytes, options),
  'x-gzip': (bytes, options) => gunzipSync(bytes, options),
  deflate: (bytes, options) => inflateSync(bytes, options),
  br: (bytes, options) => brotliDecompressSync(bytes, options),
  // RFC 9659: a window of 8 MB. A frame may ask for more memory than all bodies together.
  zstd: (bytes, options) => zstdDecompressSync(bytes, { ...options, params: { [constants.ZSTD_d_windowLogMax]: 23 } }),
};
/** How much longer than its encoded form a body may be. */
const MAX_RATIO = 8;

/** Resolves when the body has ended, or when so many bytes are there. Never rejects. `coding`: of the content; undefined: none. */
export function peekBody(body: UpstreamBody, maxBytes: number, coding: string | undefined): Promise<PeekedBody> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let end: 'open' | 'ended' | UpstreamError = 'open';
  let sink: BodySink | undefined;
  const { promise, resolve } = Promise.withResolvers<PeekedBody>();

  /** What has come so far, to the one that takes the body now. True: it may have more. */
  function flush(to: BodySink): boolean {
    let mayHaveMore = true;
    for (const chunk of chunks.splice(0)) mayHaveMore = to.write(chunk);
    if (end === 'ended') to.end();
    else if (end !== 'open') to.fail(end);
    return mayHaveMore;
  }

  const peeked: UpstreamBody = {
    pipe(to) {
      sink = to;
      if (flush(to) && end === 'open') body.resume();
    },
    async read(max) {
      return readAll(peeked, max);
    },
    whole(max) {
      if (sink || end !== 'ended' || size > max) return undefined;
      return Buffer.concat(chunks.splice(0));
    },
    resume: () => {
      if (end === 'open') body.resume();
    },
    discard: () => body.discard(),
    // Of what came after the peek; all of a short one was handed over with it.
    onEnd: (listener) => body.onEnd(listener),
  };

  const settle = () => resolve({ text: end === 'ended' ? decoded(chunks, coding, maxBytes) : undefined, body: peeked });
  body.pipe({
    write(chunk) {
      if (sink) return sink.write(chunk);
      // Its memory may be used again.
      chunks.push(Uint8Array.from(chunk));
      size += chunk.length;
      if (size < maxBytes) return true;
      settle();
      return false;
    },
    end() {
      end = 'ended';
      if (sink) sink.end();
      else settle();
    },
    fail(error) {
      end = error;
      if (sink) sink.fail(error);
      else settle();
    },
  });
  return promise;
}

/** A body that is read and not piped. */
function readAll(body: UpstreamBody, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const all: Uint8Array[] = [];
    let size = 0;
    const done = () => resolve(Buffer.concat(all).subarray(0, maxBytes));
    body.pipe({
      write(chunk) {
        all.push(chunk);
        size += chunk.length;
        if (size <= maxBytes) return true;
        done();
        body.discard();
        return false;
      },
      end: done,
      fail: reject,
    });
  });
}

function decoded(chunks: readonly Uint8Array[], coding: string | undefined, maxBytes: number): string | undefined {
  const bytes = Buffer.concat(chunks);
  const name = coding?.trim().toLowerCase();
  if (name === undefined || name === '' || name === 'identity') return bytes.toString('utf8');
  const decode = DECODERS[name];
  if (!decode) return undefined;
  try {
    return decode(bytes, { maxOutputLength: MAX_RATIO * maxBytes }).toString('utf8');
  } catch {
    // It is passed on as it is.
    return undefined;
  }
}
