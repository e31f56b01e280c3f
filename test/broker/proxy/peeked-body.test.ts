// The beginning of a body, peeked at: what it holds, and that all of it is passed on.
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { peekBody } from '../../../src/broker/proxy/guard/peeked-body.ts';
import { type BodySink, type UpstreamBody, UpstreamError } from '../../../src/ports/index.ts';
import { handMadeBody } from '../../support/upstream-bodies.ts';

const FAILED = new UpstreamError('idle', { phase: 'idle', sent: true });

/** A body that pauses when it is told to. */
function bodyOf(chunks: (string | Uint8Array)[], end: 'ends' | 'fails' = 'ends') {
  const left = chunks.map((chunk) => Buffer.from(chunk));
  let sink: BodySink | undefined;
  let isDiscarded = false;
  let isOver = false;
  const run = () => {
    while (left.length > 0 && !isDiscarded) if (!sink!.write(left.shift()!)) return;
    if (isDiscarded || isOver) return;
    isOver = true;
    if (end === 'ends') sink!.end();
    else sink!.fail(FAILED);
  };
  const body = handMadeBody({
    pipe(to) {
      sink = to;
      queueMicrotask(run);
    },
    read: () => Promise.reject(new Error('read twice')),
    resume: run,
    discard: () => {
      isDiscarded = true;
    },
  });
  return { body, left: () => left.length, isDiscarded: () => isDiscarded };
}

/** Takes one chunk at a time. */
async function drained(body: UpstreamBody): Promise<string> {
  const all: Uint8Array[] = [];
  return new Promise((resolve) => {
    const text = () => Buffer.concat(all).toString();
    body.pipe({
      write(chunk) {
        all.push(chunk);
        setImmediate(() => body.resume());
        return false;
      },
      end: () => resolve(`${text()} ended`),
      fail: () => resolve(`${text()} failed`),
    });
  });
}

/** RFC 8878 3.1: a frame of one raw block, whose decoder needs a window of so many bytes (a power of two). */
const zstdFrame = (windowLog: number): Buffer =>
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, (2 << 3) | 1, 0, 0, ...Buffer.from('ok')]);

describe('a body', () => {
  test('that is short is read, and passed on', async () => {
    const { text, body } = await peekBody(bodyOf(['{"a"', ':1}']).body, 100, undefined);
    expect(text).toBe('{"a":1}');
    expect(await drained(body)).toBe('{"a":1} ended');
  });

  test('that is empty', async () => {
    const { text, body } = await peekBody(bodyOf([]).body, 100, undefined);
    expect(text).toBe('');
    expect(await drained(body)).toBe(' ended');
  });

  test('that is longer is not waited for, and passed on with nothing missing', async () => {
    const chunks = Array.from({ length: 50 }, (_, i) => `chunk ${i};`);
    const given = bodyOf(chunks);
    const { text, body } = await peekBody(given.body, 100, undefined);
    expect(text).toBeUndefined();
    expect(given.left()).toBeGreaterThan(30);
    expect(await drained(body)).toBe(`${chunks.join('')} ended`);
  });

  test('that fails, fails for the one who gets it', async () => {
    const { text, body } = await peekBody(bodyOf(['ab'], 'fails').body, 100, undefined);
    expect(text).toBeUndefined();
    expect(await drained(body)).toBe('ab failed');
  });

  test('that is encoded is decoded for the peek alone', async () => {
    const gzipped = gzipSync('{"a":1}');
    const { text, body } = await peekBody(bodyOf([gzipped]).body, 100, 'GZIP');
    expect(text).toBe('{"a":1}');
    expect(Buffer.from(await body.read(100))).toEqual(gzipped);
  });

  test('that is in Zstandard, with a window of 8 MB, is decoded', async () => {
    expect((await peekBody(bodyOf([zstdFrame(23)]).body, 100, 'zstd')).text).toBe('ok');
  });

  test.each([
    ['broken', Buffer.from('no gzip'), 'gzip'],
    ['of an unknown coding', Buffer.from('x'), 'snappy'],
    ['a bomb', gzipSync(Buffer.alloc(1_000_000)), 'gzip'],
    ['a bomb of another coding', brotliCompressSync(Buffer.alloc(1_000_000)), 'br'],
    ['a frame that asks for 16 MB of memory', zstdFrame(24), 'zstd'],
  ])('that is %s is not understood, and passed on', async (_, bytes, coding) => {
    const { text, body } = await peekBody(bodyOf([bytes]).body, 2_000, coding);
    expect(text).toBeUndefined();
    expect(Buffer.from(await body.read(10_000))).toEqual(bytes);
  });

  test('that is given up after the peek', async () => {
    const given = bodyOf(['a'.repeat(200), 'b']);
    const { body } = await peekBody(given.body, 100, undefined);
    body.discard();
    expect(given.isDiscarded()).toBe(true);
  });

  test('of which a part is read', async () => {
    const given = bodyOf(['a'.repeat(200), 'b'.repeat(200), 'c']);
    const { body } = await peekBody(given.body, 100, undefined);
    expect(Buffer.from(await body.read(250)).toString()).toBe('a'.repeat(200) + 'b'.repeat(50));
    expect(given.isDiscarded()).toBe(true);
  });
});
