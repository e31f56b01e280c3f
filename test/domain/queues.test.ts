// Fair queues and slow starts.
import { describe, expect, test } from 'vitest';
import { createCallerQueue } from '../../src/domain/caller-queue.ts';
import { createFairQueue } from '../../src/domain/fair-queue.ts';
import { createSlowStart } from '../../src/domain/slow-start.ts';
import { takeLocally } from '../../src/domain/token-bucket.ts';

describe('fair queue', () => {
  test('groups take turns, and each is first come, first served', () => {
    const queue = createFairQueue<string>();
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1']) queue.push(item[0]!, item);
    expect(queue.next((group) => group !== 'a')).toBe('b1');
    expect(queue.remove('a', 'a2')).toBe(true);
    expect(queue.remove('a', 'a2')).toBe(false);
    expect(queue.remove('z', 'z1')).toBe(false);
    queue.push('b', 'b2');
    expect([queue.size, queue.all()]).toEqual([4, ['a1', 'a3', 'c1', 'b2']]);
    expect([1, 2, 3, 4, 5].map(() => queue.next())).toEqual(['a1', 'c1', 'b2', 'a3', undefined]);
    expect(queue.size).toBe(0);
  });
});

describe('caller queue', () => {
  const of = (text: string) => ({ caller: text[0]!, connection: text.slice(0, 2), text });
  const filled = (...texts: string[]) => {
    const queue = createCallerQueue<ReturnType<typeof of>>();
    const items = texts.map(of);
    for (const item of items) queue.push(item);
    return { queue, items };
  };

  test('callers take turns however many connections they have, and the connections of each', () => {
    const { queue, items } = filled('a1x', 'a1y', 'a2x', 'a3x', 'b1x', 'b1y', 'c1x');
    expect([queue.remove(items[6]!), queue.remove(items[6]!), queue.size]).toEqual([true, false, 6]);
    expect(queue.all()).toHaveLength(6);
    const anyone = () => true;
    const next = (may = anyone) => queue.next(queue.nextCaller(may) ?? '')?.text;
    expect(queue.nextCaller((caller) => caller === 'b')).toBe('b');
    expect(queue.nextCaller(() => false)).toBe(undefined);
    expect(queue.next('none')).toBe(undefined);
    expect(items.map(() => next())).toEqual(['a1x', 'b1x', 'a2x', 'b1y', 'a3x', 'a1y', undefined]);
    expect(queue.size).toBe(0);
  });

  test('what gives way is of the caller that has most, or else of the connection of the same caller', () => {
    const { queue } = filled('a1x', 'a2x', 'a3x', 'a3y', 'b1x');
    expect(queue.displacedBy(of('b2x'))?.text).toBe('a3y');
    expect(queue.displacedBy(of('c1x'))?.text).toBe('a3y');
    expect(queue.displacedBy(of('a1y'))).toBeUndefined();
    expect(queue.displacedBy(of('a4x'))?.text).toBe('a3y');
    expect(filled().queue.displacedBy(of('a1x'))).toBeUndefined();
  });
});

describe('slow start', () => {
  const startOf = (callers: { hasOthers: (caller: string) => boolean }, first: number, until: number) => {
    const slow = createSlowStart({ first, until }, callers);
    const enter = (caller = 'a', isBackground = false) => {
      const isFree = slow.isFree(caller, isBackground);
      if (isFree) slow.take(caller);
      return isFree;
    };
    return { slow, enter };
  };

  test('each success makes a place, a failure gives its place back', () => {
    const { slow, enter } = startOf({ hasOthers: () => false }, 1, 3);
    expect([enter(), enter()]).toEqual([true, false]);
    slow.giveBack('a', false);
    expect([enter(), enter()]).toEqual([true, false]);
    slow.giveBack('a', true);
    expect([enter(), enter(), enter()]).toEqual([true, true, false]);
    expect(slow.isOver()).toBe(false);
    slow.giveBack('a', true);
    expect(slow.isOver()).toBe(true);
  });

  test('none takes the last place while there are others, nor a call in the background', () => {
    const { slow, enter } = startOf({ hasOthers: () => true }, 2, 9);
    expect([enter('a'), enter('a'), enter('b', true), enter('b'), enter('c')]).toEqual([
      true,
      false,
      false,
      true,
      false,
    ]);
    slow.giveBack('b', true);
    expect([enter('b', true), enter('b'), enter('a')]).toEqual([true, true, false]);
  });
});

test('local bucket: holds a burst, refills at its rate, keeps a reserve, and a clock that goes back adds nothing', () => {
  const limits = { perSecond: 2, burst: 4, reserve: 0 };
  const first = takeLocally(undefined, 3, limits, 1_000);
  expect(first).toEqual({ bucket: { allowance: 1, filledAt: 1_000 }, taken: 3, inMs: 0 });
  expect(takeLocally(first.bucket, 3, { ...limits, reserve: 1 }, 1_000)).toMatchObject({ taken: 0, inMs: 500 });
  expect(takeLocally(first.bucket, 3, limits, 1_500)).toMatchObject({ taken: 2, inMs: 500 });
  expect(takeLocally(first.bucket, 9, limits, 99_000).taken).toBe(4);
  expect(takeLocally(first.bucket, 9, limits, 0).taken).toBe(1);
});
