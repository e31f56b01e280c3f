// Two processes on one file whose disk hangs for longer than a lease lasts: whether a refresh token can be spent twice, or its
// successor lost.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LEASE_MS } from '../../../src/domain/time-limits.ts';
import type { Claimed, Store } from '../../../src/ports/index.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';
import { anEntry, connected, NOW, someCredentials, someRefreshedFields } from '../builders.ts';

const aClaim = { generation: 99, now: NOW, monotonic: 0 };
const [GIVE_UP_MS, UNSYNCED_AFTER_MS] = [20, 20];

/** The store of one process, and of another one on the same file; the disk of the first one hangs when told. */
async function twoStores() {
  const folder = mkdtempSync(join(tmpdir(), 'valetkey-silent-'));
  const url = `file:${join(folder, 'valetkey.db')}`;
  await createMigratedFile(join(folder, 'valetkey.db'));
  let answers = Promise.withResolvers<void>();
  answers.resolve();
  let asked = 0;
  const sync = () => {
    asked++;
    return answers.promise;
  };
  const disk = { sync, giveUpMs: GIVE_UP_MS, unsyncedAfterMs: UNSYNCED_AFTER_MS };
  const store = await openSqlite(url, undefined, undefined, undefined, disk);
  const other = await openSqlite(url);
  onTestFinished(async () => {
    answers.resolve();
    await store.close();
    await other.close();
    rmSync(folder, { recursive: true });
  });
  return {
    store,
    other,
    /** Hangs it, under a commit that is in the log; the returned function lets it go on. */
    async hang() {
      answers = Promise.withResolvers<void>();
      const before = asked;
      void store.ping();
      await expect.poll(() => asked).toBe(before + 1);
      return answers.resolve;
    },
  };
}

async function claimed(store: Store, id: string, attempt: string, monotonic = 0): Promise<Claimed> {
  const outcome = await store.claim(id, { ...aClaim, attempt, monotonic });
  if (typeof outcome === 'string') throw new Error(outcome);
  return outcome;
}

test('answer that waits for the disk: another process finds it where it would take the lease over', async () => {
  const { store, other, hang } = await twoStores();
  const { connection } = await connected(store);
  const { id } = connection;
  const { fence } = await claimed(store, id, 'att_1');
  expect(await other.claim(id, { ...aClaim, attempt: 'att_2' })).toBe('busy');
  const goOn = await hang();
  let outcome: string | undefined;
  const held = { fence, generation: connection.generation };
  const answer = store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry).then((committed) => {
    outcome = committed;
  });
  const generation = async () => (await other.connection(id))?.generation;
  await expect.poll(generation).toBe(connection.generation + 1);
  // It has seen the lease for so long: of the generation that is spent, it gets none.
  const late = { ...aClaim, generation: connection.generation, monotonic: LEASE_MS };
  expect(await other.claim(id, { ...late, attempt: 'att_2' })).toBe('gone');
  expect(outcome).toBe(undefined);
  goOn();
  await answer;
  expect(outcome).toBe('committed');
});

test('what can be repeated is refused meanwhile, and further answers are in the log at once', async () => {
  const { store, other, hang } = await twoStores();
  const [first, second] = [await connected(store), await connected(store)];
  const answered = async ({ connection: { id, generation } }: typeof first) => {
    const { fence } = await claimed(store, id, 'att_1');
    return () => store.commitRefresh(id, { fence, generation }, someRefreshedFields(), someCredentials(), anEntry);
  };
  const [commitFirst, commitSecond] = [await answered(first), await answered(second)];
  const generationOf = async ({ connection }: typeof first) => (await other.connection(connection.id))?.generation;
  const goOn = await hang();
  const commits = [commitFirst()];
  await expect.poll(() => generationOf(first)).toBe(first.connection.generation + 1);
  await expect(store.ping()).rejects.toThrow('the disk does not answer');
  commits.push(commitSecond());
  await expect.poll(() => generationOf(second)).toBe(second.connection.generation + 1);
  goOn();
  expect(await Promise.all(commits)).toEqual(['committed', 'committed']);
  await store.ping();
});
