// Calls that run: who ends them, and that those that have ended are let go of.
import { expect, test } from 'vitest';
import { CALLER_ENDED, createRunningCalls, GRANT_ENDED } from '../../../src/broker/proxy/running-calls.ts';
import { collectAll, collectYoung, oldBytes } from '../../support/collections.ts';

const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} } as never;
const runningCalls = (statuses: Record<string, string> = {}) =>
  createRunningCalls({
    store: { connectionVersions: async (ids) => ids.map((id) => ({ id, status: statuses[id] ?? 'active' }) as never) },
    log,
  });
const call = (stillMay = true) => ({ ending: new AbortController(), stillMay: () => stillMay });

test('running calls: those of a connection that has ended are aborted, but for those that have ended before', async () => {
  const calls = runningCalls({ con_1: 'revoked' });
  const [ended, first, second, other] = [call(), call(), call(), call()];
  const end = calls.add('con_1', ended);
  calls.add('con_1', first);
  calls.add('con_1', second);
  calls.add('con_2', other);
  end();
  end();
  calls.connectionsChanged(undefined);
  await expect.poll(() => second.ending.signal.reason).toBe(GRANT_ENDED);
  expect(first.ending.signal.reason).toBe(GRANT_ENDED);
  expect([ended, other].map(({ ending }) => ending.signal.aborted)).toEqual([false, false]);
});

test('running calls: those that their caller may not make any more are aborted', () => {
  const calls = runningCalls();
  const [may, mayNot] = [call(), call(false)];
  calls.add('con_1', may);
  calls.add('con_1', mayNot);
  calls.callersChanged();
  expect([may, mayNot].map(({ ending }) => ending.signal.reason)).toEqual([undefined, CALLER_ENDED]);
});

test('running calls of one connection: when they have ended, the collections of young objects let go of them', () => {
  const [waves, atOnce, bytesEach] = [25, 8, 80_000];
  const calls = runningCalls();
  const began = () => calls.add('con_1', { ...call(), ...{ ballast: new Array<number>(bytesEach / 8).fill(0.5) } });
  const endLast = began();
  collectAll();
  const before = oldBytes();
  for (let wave = 0; wave < waves; wave++) {
    const ends = Array.from({ length: atOnce }, began);
    for (const end of ends) end();
    collectYoung();
  }
  expect(oldBytes() - before).toBeLessThan((waves * atOnce * bytesEach) / 10);
  endLast();
});
