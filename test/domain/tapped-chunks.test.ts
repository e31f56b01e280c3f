// Chunks that someone looks at while they are read: all of them are passed on, and how it ends is told once.
import { expect, test } from 'vitest';
import { tapped } from '../../src/domain/tapped-chunks.ts';

/** Three chunks, or two and a failure; and what was told in which order. */
function source(fails = false) {
  const told: string[] = [];
  async function* chunks() {
    try {
      yield 'a';
      yield 'b';
      if (fails) throw new Error('broken off');
      yield 'c';
    } finally {
      told.push('source left');
    }
  }
  const tap = tapped(chunks(), {
    start: () => told.push('start'),
    chunk: (chunk) => told.push(chunk),
    end: () => told.push('end'),
    fail: (error) => told.push((error as Error).message),
    over: () => told.push('over'),
  });
  return { told, tap };
}

async function read(chunks: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

test('chunks that are read to their end', async () => {
  const { told, tap } = source();
  expect(told).toEqual([]);
  expect(await read(tap)).toEqual(['a', 'b', 'c']);
  expect(told).toEqual(['start', 'a', 'b', 'c', 'source left', 'over', 'end']);
});

test('chunks that break off', async () => {
  const { told, tap } = source(true);
  await expect(read(tap)).rejects.toThrow('broken off');
  expect(told).toEqual(['start', 'a', 'b', 'source left', 'over', 'broken off']);
});

test('chunks that are not wanted any more', async () => {
  const { told, tap } = source();
  for await (const chunk of tap) if (chunk === 'b') break;
  expect(told).toEqual(['start', 'a', 'b', 'over', 'source left']);
});
