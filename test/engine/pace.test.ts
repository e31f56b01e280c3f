// Turns: so many at once, so many a second, readers first.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createPace, Dismissed } from '../../src/broker/pace.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const clock = { monotonic: () => performance.now() };

/** Work that ends when it is told to; says what has begun. */
function bench(limits = { concurrency: 2, perSecond: 1_000 }) {
  const pace = createPace(clock, limits);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = (key: string, urgency: 'read' | 'background' = 'background', integration = 'acme') =>
    pace.run(integration, key, urgency, () => {
      begun.push(key);
      return new Promise<string>((resolve) => ends.set(key, () => resolve(key)));
    });
  const end = async (key: string) => {
    ends.get(key)!();
    await vi.advanceTimersByTimeAsync(10);
  };
  return { pace, begun, ask, end };
}

test('no more begin at once than may', async () => {
  const { begun, ask, end, pace } = bench();
  for (const key of ['a', 'b', 'c', 'd']) void ask(key);
  expect(begun).toEqual(['a', 'b']);
  expect(pace.inFlight()).toBe(2);
  await end('b');
  expect(begun).toEqual(['a', 'b', 'c']);
});

test('whoever waits in front of a reader goes before the background, in order', async () => {
  const { begun, ask, end } = bench({ concurrency: 1, perSecond: 1_000 });
  void ask('first');
  for (const key of ['b1', 'b2']) void ask(key);
  void ask('r1', 'read');
  void ask('r2', 'read');
  for (const key of ['first', 'r1', 'r2', 'b1']) await end(key);
  expect(begun).toEqual(['first', 'r1', 'r2', 'b1', 'b2']);
});

test('background work that a reader comes to wait for is hurried', async () => {
  const { begun, ask, end, pace } = bench({ concurrency: 1, perSecond: 1_000 });
  for (const key of ['first', 'b1', 'b2', 'b3']) void ask(key);
  pace.hurry('acme', 'b3');
  pace.hurry('acme', 'unknown');
  for (const key of ['first', 'b3', 'b1']) await end(key);
  expect(begun).toEqual(['first', 'b3', 'b1', 'b2']);
});

test('a backlog drains at the rate, after a burst of what may run at once', async () => {
  const pace = createPace(clock, { concurrency: 10, perSecond: 20 });
  let begun = 0;
  for (let i = 0; i < 100; i++) void pace.run('acme', `k${i}`, 'background', async () => void begun++);
  await vi.advanceTimersByTimeAsync(0);
  expect(begun).toBe(10);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(begun).toBeGreaterThanOrEqual(29);
  expect(begun).toBeLessThanOrEqual(31);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(begun).toBe(100);
});

test('an integration does not wait for another', () => {
  const { begun, ask } = bench({ concurrency: 1, perSecond: 1 });
  void ask('a1', 'background', 'a');
  void ask('a2', 'background', 'a');
  void ask('b1', 'background', 'b');
  expect(begun).toEqual(['a1', 'b1']);
});

test('work that fails gives its turn back, and its error to whoever asked', async () => {
  const { pace, begun, ask } = bench({ concurrency: 1, perSecond: 1_000 });
  const failed = pace.run('acme', 'x', 'background', () => Promise.reject(new Error('no')));
  void ask('next');
  await expect(failed).rejects.toThrow('no');
  await vi.advanceTimersByTimeAsync(10);
  expect(begun).toEqual(['next']);
});

describe('stopping', () => {
  test('begins nothing more, says so to those who wait, and lets what runs go on', async () => {
    const { pace, ask, end } = bench({ concurrency: 1, perSecond: 1_000 });
    const running = ask('running');
    const waiting = ask('waiting');
    pace.dismiss();
    await expect(waiting).rejects.toBeInstanceOf(Dismissed);
    await expect(ask('late')).rejects.toBeInstanceOf(Dismissed);
    await end('running');
    expect(await running).toBe('running');
  });
});

test('room is what keeps it busy, and nothing when that is there', () => {
  const { pace, ask } = bench({ concurrency: 2, perSecond: 1_000 });
  expect(pace.room('acme')).toBe(4);
  for (const key of ['a', 'b', 'c', 'd', 'e']) void ask(key);
  expect(pace.room('acme')).toBe(0);
  expect(pace.room('other')).toBe(4);
});
