// The memory of bodies that are held as a whole: bounded in all and for each caller, and waited for in turn.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type ByteBudget, createByteBudget, type HeldBytes } from '../../../src/broker/proxy/sending/byte-budget.ts';

let budget: ByteBudget;
beforeEach(() => {
  vi.useFakeTimers();
  budget = createByteBudget({ total: 100, each: 60, waitMs: 5_000, maxWaiting: 3 });
});
afterEach(() => vi.useRealTimers());

async function held(caller: string, bytes: number): Promise<HeldBytes> {
  const found = await budget.take(caller, bytes);
  if (!found) throw new Error('no room');
  return found;
}
function waits(caller: string, bytes: number, signal?: AbortSignal) {
  const state: { is: 'waiting' | 'held' | 'refused'; held?: HeldBytes } = { is: 'waiting' };
  void budget.take(caller, bytes, signal).then((found) => {
    state.is = found ? 'held' : 'refused';
    if (found) state.held = found;
  });
  return state;
}
const settled = () => vi.advanceTimersByTimeAsync(0);

test('no more than the total is held, and what is free goes to the first who waits', async () => {
  const first = await held('a', 60);
  await held('b', 40);
  const [large, small] = [waits('b', 20), waits('c', 10)];
  await settled();
  expect([large.is, small.is, budget.taken()]).toEqual(['waiting', 'waiting', 100]);
  first.shrink(45);
  await settled();
  expect([large.is, small.is]).toEqual(['waiting', 'waiting']);
  first.release();
  first.release();
  await settled();
  expect([large.is, small.is, budget.taken()]).toEqual(['held', 'held', 70]);
});

test('a caller that holds its share waits for itself alone', async () => {
  const own = await held('a', 60);
  const more = waits('a', 10);
  await held('b', 40);
  await settled();
  expect(more.is).toBe('waiting');
  own.shrink(50);
  await settled();
  expect(more.is).toBe('held');
});

test('no one waits for longer than that, nor in vain, and only so many', async () => {
  await held('a', 60);
  await held('b', 40);
  const gone = new AbortController();
  const [one, other, left, tooMany] = [waits('c', 1), waits('c', 1), waits('c', 1, gone.signal), waits('c', 1)];
  gone.abort();
  await settled();
  expect([one.is, other.is, left.is, tooMany.is]).toEqual(['waiting', 'waiting', 'refused', 'refused']);
  await vi.advanceTimersByTimeAsync(5_000);
  expect([one.is, other.is]).toEqual(['refused', 'refused']);
  expect(budget.taken()).toBe(100);
});
