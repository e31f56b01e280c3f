// What a chaos run makes of what its provider saw: which refresh tokens that were spent twice a kill explains.
import { expect, test } from 'vitest';
import type { RefreshRecord } from './provider.ts';
import { type Kill, type Observations, summarize } from './results.ts';

const reads = { served: 0, withheld: [], refused: [], unavailable: [], unreachable: 0 };

/** The same refresh token is spent at 1 s and at 9 s, and the connection is lost. A broker is killed at 5 s, or as told. */
function found(
  first: Partial<RefreshRecord>,
  { kills = [{ from: 5_000, at: 5_100 }], more = [] }: { kills?: Kill[]; more?: RefreshRecord[] } = {},
) {
  const spends: RefreshRecord[] = [
    { at: 1_000, family: 'owner_1', token: 'a', from: 1, spent: 'first', answeredAt: 1_010, successor: 'b', ...first },
    ...more,
    { at: 9_000, family: 'owner_1', token: 'a', from: 2, spent: 'reuse' },
  ];
  const lost = [{ connection: 'owner_1', reason: 'refresh_outcome_unknown' }];
  const rest = { takeovers: [], thaws: [], freezes: [], exitCodes: [], reads, lost, stuck: [] };
  const observed: Observations = { kills, spends, ...rest };
  const { doubleSpends, lostWithoutCause } = summarize(observed);
  return [doubleSpends.length, lostWithoutCause.length];
}

test('a response that no client has seen may be lost in a kill, however long it took the broker to commit it', () => {
  expect(found({})).toEqual([0, 0]);
  expect(found({ answeredAt: undefined as never })).toEqual([0, 0]);
});

test('a token that a client has had is not lost in a kill', () => {
  expect(found({ servedAt: 1_500 })).toEqual([1, 1]);
  // Before the kill, or by the broker that came next.
  expect(found({ servedAt: 8_000 })).toEqual([1, 1]);
  // From the answer to the second request at the earliest, within a reuse window.
  expect(found({ servedAt: 9_001 })).toEqual([0, 0]);
});

test('a response whose refresh token was spent is not lost in a kill', () => {
  const next: RefreshRecord = { at: 3_000, family: 'owner_1', token: 'b', from: 1, spent: 'first' };
  expect(found({}, { more: [next] })).toEqual([1, 1]);
});

test('only a kill between both requests explains that a refresh token was spent twice', () => {
  expect(found({}, { kills: [] })).toEqual([1, 1]);
  expect(found({}, { kills: [{ from: 500, at: 900 }] })).toEqual([1, 1]);
  expect(found({}, { kills: [{ from: 9_001, at: 9_100 }] })).toEqual([1, 1]);
  // It ended at some time between signal and notice.
  expect(found({}, { kills: [{ from: 8_900, at: 9_200 }] })).toEqual([0, 0]);
});

test('a response that the provider itself lost is no matter of the kill', () => {
  expect(found({ fault: 'cutAfter' })).toEqual([0, 1]);
});
