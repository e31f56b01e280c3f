// The pace of a caller: a bucket of waiting time.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createCallerPace } from '../../../src/http/proxy/caller-pace.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

function pace(bytesPerS: number) {
  const late = vi.fn();
  const made = createCallerPace({ graceMs: 60_000, bytesPerS }, { monotonic: () => performance.now() }, late);
  /** So many times: it is waited for, and moves something then. */
  const move = (times: number, seconds: number, bytes: number) => {
    for (let i = 0; i < times && late.mock.calls.length === 0; i++) {
      made.wait();
      vi.advanceTimersByTime(seconds * 1_000);
      made.moved(bytes);
    }
    return late.mock.calls.length > 0;
  };
  return { made, late, move };
}

test.each<[string, number, number, number, boolean]>([
  ['a byte every 50 s', 10_000, 50, 1, true],
  ['half of the rate', 10_000, 10, 50_000, true],
  ['the rate', 10_000, 10, 100_000, false],
  ['nothing for 59 s, and all that was missed', 10_000, 59, 600_000, false],
  ['a byte every 59 s of a stream', 0, 59, 1, false],
  ['half of what has to come within its time', Number.POSITIVE_INFINITY, 10, 1e9, true],
])('%s, at %i bytes a second', (_, rate, seconds, bytes, isTooSlow) => {
  expect(pace(rate).move(50, seconds, bytes)).toBe(isTooSlow);
});

test('time in which it is not waited for does not count, and nothing that was moved before is saved up', () => {
  const { made, late, move } = pace(10_000);
  vi.advanceTimersByTime(3_600_000);
  expect(move(5, 1, 1e9)).toBe(false);
  vi.advanceTimersByTime(3_600_000);
  made.wait();
  vi.advanceTimersByTime(59_000);
  expect(late).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2_000);
  expect(late).toHaveBeenCalledTimes(1);
});

test('nothing is waited for after the end', () => {
  const { made, late } = pace(10_000);
  made.wait();
  made.end();
  vi.advanceTimersByTime(120_000);
  expect(late).not.toHaveBeenCalled();
});
