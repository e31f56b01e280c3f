import { constants, PerformanceObserver } from 'node:perf_hooks';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { createPassedChunks } from '../../../src/http/proxy/passed-chunks.ts';
import { collectYoung } from '../../../src/http/proxy/young-collection.ts';

/** Of a collection. */
interface Detail {
  kind: number;
  flags: number;
}

const MEGABYTE = new Uint8Array(1_024 * 1_024);

it('passed chunks: young objects are collected after every 16 MB, whatever the size of the chunks', () => {
  let collected = 0;
  const notePassed = createPassedChunks(() => collected++);
  const pass = (chunks: number, chunk: Uint8Array) => {
    for (let i = 0; i < chunks; i++) notePassed(chunk);
  };
  pass(15, MEGABYTE);
  expect(collected).toBe(0);
  pass(1, MEGABYTE);
  expect(collected).toBe(1);
  pass(16 * 16 - 1, MEGABYTE.subarray(0, 64 * 1_024));
  expect(collected).toBe(1);
  pass(1, MEGABYTE.subarray(0, 64 * 1_024));
  expect(collected).toBe(2);
});

it('collection of young objects: collects these and not everything, and leaves the function to no one else', async () => {
  const before = typeof globalThis.gc;
  const kinds: number[] = [];
  const seen = new Promise<void>((resolve) => {
    const observer = new PerformanceObserver((list) => {
      // A collection that is asked for says so.
      const details = list.getEntries().map((entry) => (entry as unknown as { detail: Detail }).detail);
      const forced = details.filter(({ flags }) => (flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0);
      kinds.push(...forced.map(({ kind }) => kind));
      if (kinds.length === 0) return;
      observer.disconnect();
      resolve();
    });
    observer.observe({ entryTypes: ['gc'] });
  });
  collectYoung();
  await seen;
  expect(kinds).toEqual([constants.NODE_PERFORMANCE_GC_MINOR]);
  expect([typeof globalThis.gc, runInNewContext('typeof gc')]).toEqual([before, 'undefined']);
});
