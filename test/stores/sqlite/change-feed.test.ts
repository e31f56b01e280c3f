// When changes are read in SQLite: those of this process once their writers have been answered.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { SQLITE_CHANGE_POLL_MS, SQLITE_UNANSWERED_CHANGES_MS } from '../../../src/domain/time-limits.ts';
import type { Change } from '../../../src/ports/index.ts';
import { openChangeFeed } from '../../../src/stores/sqlite/change-feed.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';
import { anEntry, connected, NOW, someCredentials, someRefreshedFields } from '../builders.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

async function setUp() {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-changes-'));
  const path = join(folder, 'valetkey.db');
  await createMigratedFile(path);
  const [client, other] = [new Sqlite(path), new Sqlite(path)];
  let now = 0;
  const own = openChangeFeed(client, { holder: 'me', tellApplied: () => undefined }, () => now);
  const foreign = openChangeFeed(other, { holder: 'other', tellApplied: () => undefined }, () => now);
  onTestFinished(() => {
    own.stop();
    for (const one of [client, other]) one.close();
    rmSync(folder, { recursive: true });
  });
  const reported: Change[] = [];
  await own.subscribe((changes) => void reported.push(...changes));
  const taken = () =>
    reported.splice(0).map((change) => (change.kind === 'connection' ? change.generation : Number.NaN));
  return {
    own,
    foreign,
    /** What one poll reports, after so many ms. */
    poll(afterMs = SQLITE_CHANGE_POLL_MS): number[] {
      now += afterMs;
      vi.advanceTimersByTime(SQLITE_CHANGE_POLL_MS);
      return taken();
    },
    taken,
  };
}

const refreshed = (generation: number) => [{ kind: 'connection', id: 'con_1', generation } as const];

test('an own change is read when its writer has been answered, in the order of all changes', async () => {
  const { own, foreign, poll, taken } = await setUp();
  foreign.append(refreshed(1));
  own.append(refreshed(2));
  own.append(refreshed(3));
  foreign.append(refreshed(4));
  expect(poll()).toEqual([1]);
  expect(poll()).toEqual([]);
  own.answered();
  // Without waiting for the next poll.
  await turn();
  expect(taken()).toEqual([2, 3, 4]);
  expect(poll()).toEqual([]);
  own.append(refreshed(5));
  expect(poll()).toEqual([]);
});

test('while the disk is slow, they are read nevertheless: those of others are among them', async () => {
  const { own, foreign, poll } = await setUp();
  own.append(refreshed(1));
  foreign.append(refreshed(2));
  expect(poll()).toEqual([]);
  expect(poll(SQLITE_UNANSWERED_CHANGES_MS)).toEqual([1, 2]);
});

test('an own change that is known here is passed over, and one that another process makes beside it is not', async () => {
  const { own, foreign, poll } = await setUp();
  own.append(refreshed(1), true);
  own.answered();
  expect(poll()).toEqual([]);
  foreign.append(refreshed(2));
  own.append(refreshed(3), true);
  own.answered();
  expect(poll()).toContain(2);
  own.append(refreshed(4), true);
  own.append(refreshed(5));
  own.answered();
  expect(poll()).toContain(5);
  expect(poll()).toEqual([]);
});

test('a routine refresh is reported to the other processes, and not to the one that made it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-changes-'));
  const url = `file:${join(folder, 'valetkey.db')}`;
  const [store, other] = [await openSqlite(url), await openSqlite(url)];
  onTestFinished(async () => {
    await Promise.all([store.close(), other.close()]);
    rmSync(folder, { recursive: true });
  });
  const { connection } = await connected(store, { failures: 0, lastRefreshError: null });
  const { id, generation } = connection;
  const [own, others]: [Change[], Change[]] = [[], []];
  await store.subscribe((changes) => void own.push(...changes));
  await other.subscribe((changes) => void others.push(...changes));
  const claimed = await store.claim(id, { attempt: 'att_1', generation, now: NOW, monotonic: 0 });
  if (typeof claimed === 'string') throw new Error(claimed);
  const held = { fence: claimed.fence, generation, isRoutine: true, keepsValues: true };
  await store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry, 'changes');
  await turn();
  vi.advanceTimersByTime(SQLITE_CHANGE_POLL_MS);
  expect(others).toEqual([{ kind: 'connection', id, generation: generation + 1 }]);
  expect(own).toEqual([]);
});
