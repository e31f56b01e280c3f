// The barrier on SQLite: the time that its own commit takes is not taken from those it waits for.
import { expect, test } from 'vitest';
import { createBarrier } from '../../../src/stores/sqlite/barrier.ts';

const BARRIER = 7;
const WAIT_MS = 100;

/** Fulfilled when more time has passed than is waited for. */
async function onSlowDisk<T>(operation: () => T): Promise<T> {
  const until = performance.now() + 2 * WAIT_MS;
  while (performance.now() < until) await new Promise(setImmediate);
  return operation();
}

test('barrier: a commit that takes longer than the wait leaves the others their time to apply it', async () => {
  let looked = 0;
  // The first look is before the commit, the second right after it, when no one can have applied anything.
  const subscribers = () => [{ appliedSeq: looked++ < 2 ? BARRIER - 1 : BARRIER, isResponsive: true }];
  const { untilApplied } = createBarrier({ write: onSlowDisk }, { addBarrier: () => BARRIER }, { subscribers });
  expect(await untilApplied(WAIT_MS)).toBe(0);
});

test('barrier: who is frozen is counted, and not waited for', async () => {
  const subscribers = () => [{ appliedSeq: BARRIER - 1, isResponsive: false }];
  const write = async <T>(operation: () => T) => operation();
  const { untilApplied } = createBarrier({ write }, { addBarrier: () => BARRIER }, { subscribers });
  expect(await untilApplied(Number.POSITIVE_INFINITY)).toBe(1);
});
