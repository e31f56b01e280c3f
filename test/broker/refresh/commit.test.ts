// What a refresh brought is kept, whatever the store does. A real store, a real rescue file.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/telemetry.ts';
import { createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/audit-buffer.ts';
import { createCommitter } from '../../../src/broker/refresh/commit.ts';
import { createRecentCommits } from '../../../src/broker/refresh/recent-commits.ts';
import { type PendingCommit, type Rescue, type Store, StoreError } from '../../../src/ports/index.ts';
import { openRescue, type RescueFile } from '../../../src/stores/sqlite/rescue-file.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, aRotation, connected, NOW, someCredentials } from '../../stores/builders.ts';

const log = createLogger('silent');
const clock = { now: () => NOW, monotonic: () => performance.now() };
let folder: string;
let url: string;
let store: Store;
let rescue: RescueFile;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-keep-'));
  url = `file:${join(folder, 'valetkey.db')}`;
  store = await openSqlite(url);
  rescue = openRescue(url);
});
afterEach(async () => {
  await store.close();
  rescue.close();
  rmSync(folder, { recursive: true });
});

type KeeperParts = Parameters<typeof createCommitter>[0];

/** Fails so often, then does what the store does. */
function failing(times: number): KeeperParts['store'] {
  let left = times;
  return {
    rotate: (...given) => (left-- > 0 ? Promise.reject(new StoreError('disk full')) : store.rotate(...given)),
    addPendingRevocation: (revocation) => store.addPendingRevocation(revocation),
    connection: (id) => store.connection(id),
  };
}

function keeperOn(
  on: KeeperParts['store'] = store,
  into: Rescue = rescue,
  recentCommits?: KeeperParts['recentCommits'],
) {
  const access = createAccess({ auditBuffer: createAuditBuffer({ store, log }), clock });
  const committer = createCommitter({ store: on, rescue: into, recentCommits, access, clock, log });
  onTestFinished(() => committer.stop());
  return committer;
}

/** Of a process that has this store. */
async function anAnswer(its: Store = store): Promise<PendingCommit> {
  return answerFor((await connected(store)).connection.id, its);
}

async function answerFor(id: string, its: Store = store): Promise<PendingCommit> {
  const connection = (await store.connection(id))!;
  const claimed = await its.claim(connection.id, { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 });
  if (typeof claimed === 'string') throw new Error(claimed);
  const { id: connectionId, integration, owner, params, captured } = connection;
  const held = { fence: claimed.fence, generation: 1 };
  const whose = { connectionId, integration, owner, params, captured };
  return { attempt: 'att_1', ...whose, held, change: aRotation(), grant: someCredentials() };
}

const tokenOf = async (id: string) => (await store.servedRow(id))?.accessToken;

test('an answer goes into the store, and the rescue file stays empty', async () => {
  const answer = await anAnswer();
  expect(await keeperOn().commit(answer)).toBe('kept');
  expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
  expect(await rescue.all()).toEqual([]);
});

describe('when the store does not take it', () => {
  test('it is durable in the rescue file, and taken in at the next chance', async () => {
    const answer = await anAnswer();
    const committer = keeperOn(failing(1));
    expect(await committer.commit(answer)).toBe('rescued');
    expect(await rescue.all()).toEqual([answer]);
    expect(committer.rescuedFor(answer.connectionId)).toEqual(answer);
    expect(committer.rescuedCount()).toBe(1);
    await committer.replayRescueFile();
    expect(committer.rescuedCount()).toBe(0);
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
    expect(committer.rescuedFor(answer.connectionId)).toBeUndefined();
    expect(await rescue.all()).toEqual([]);
  });

  test('the next process takes it in before anything else', async () => {
    const answer = await anAnswer();
    await keeperOn(failing(99)).commit(answer);
    await keeperOn().recover();
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
    expect(await rescue.all()).toEqual([]);
  });

  test('and the rescue file neither, both are tried until one does', async () => {
    const answer = await anAnswer();
    const broken: Rescue = { ...rescue, add: () => Promise.reject(new StoreError('disk full')) };
    expect(await keeperOn(failing(3), broken).commit(answer)).toBe('kept');
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
  });

  test('a rescue file that another process just writes into is tried again before the store is', async () => {
    const answer = await anAnswer();
    let busy = 3;
    const shared: Rescue = {
      ...rescue,
      add: (one) => (busy-- > 0 ? Promise.reject(new StoreError('database is locked')) : rescue.add(one)),
    };
    expect(await keeperOn(failing(1), shared).commit(answer)).toBe('rescued');
    expect(await rescue.all()).toEqual([answer]);
  });

  test('a reconnect in between wins, and what was rescued is let go', async () => {
    const answer = await anAnswer();
    const committer = keeperOn(failing(1));
    await committer.commit(answer);
    const claim = { attempt: 'att_2', generation: 1, now: NOW + 2_000, monotonic: 0 };
    const newer = await store.claim(answer.connectionId, claim);
    if (typeof newer === 'string') throw new Error(newer);
    const grant = someCredentials();
    await store.rotate(answer.connectionId, { fence: newer.fence, generation: 1 }, aRotation(), grant, anEntry());
    await committer.replayRescueFile();
    expect(await tokenOf(answer.connectionId)).toBe(grant.accessToken);
    expect(await rescue.all()).toEqual([]);
  });
});

describe('when another broker on the same file has claimed the connection since', () => {
  /** What a broker that is gone has rescued, and another one that lives and holds the next claim. */
  async function claimedSince() {
    const gone = await openSqlite(url);
    const answer = await anAnswer(gone);
    await rescue.add(answer);
    await gone.close();
    const other = await openSqlite(url);
    const rescueOfOther = openRescue(url);
    onTestFinished(async () => {
      await other.close();
      rescueOfOther.close();
    });
    const newer = await other.claim(answer.connectionId, { attempt: 'att_2', generation: 1, now: NOW, monotonic: 0 });
    if (typeof newer === 'string') throw new Error(newer);
    return { answer, other, newer, keeperOfOther: keeperOn(other, rescueOfOther) };
  }
  const isAdopted = async (answer: PendingCommit) => {
    expect(await tokenOf(answer.connectionId)).toBe(answer.grant.accessToken);
    expect(await store.connection(answer.connectionId)).toMatchObject({ generation: 2, status: 'active' });
    expect(await rescue.all()).toEqual([]);
  };

  test('a start leaves the answer to that one, which adopts it', async () => {
    const { answer, newer, keeperOfOther } = await claimedSince();
    const started = keeperOn();
    await started.recover();
    expect(await rescue.all()).toEqual([answer]);
    expect(started.rescuedFor(answer.connectionId)).toBeUndefined();
    expect(await keeperOfOther.adopt(newer.connection, newer.fence, true)).toBe(true);
    await isAdopted(answer);
  });

  test('and that one dies too, the next claim adopts it', async () => {
    const { answer, other } = await claimedSince();
    const started = keeperOn();
    await started.recover();
    await other.close();
    expect(await store.unresolvedRefreshes()).toEqual([{ id: answer.connectionId, startedAt: NOW }]);
    const next = await store.claim(answer.connectionId, { attempt: 'att_3', generation: 1, now: NOW, monotonic: 0 });
    if (typeof next === 'string') throw new Error(next);
    expect(await started.adopt(next.connection, next.fence, true)).toBe(true);
    await isAdopted(answer);
  });

  test('and was itself claimed after, it leaves the answer to the newest', async () => {
    const { answer, other, newer, keeperOfOther } = await claimedSince();
    const newest = await other.claim(answer.connectionId, { attempt: 'att_3', generation: 1, now: NOW, monotonic: 0 });
    if (typeof newest === 'string') throw new Error(newest);
    expect(await keeperOfOther.adopt(newer.connection, newer.fence, true)).toBe(true);
    expect(await rescue.all()).toEqual([answer]);
    expect(await keeperOfOther.adopt(newest.connection, newest.fence, true)).toBe(true);
    await isAdopted(answer);
  });

  test('and has kept a newer grant, or it was revoked, the answer is let go', async () => {
    const { answer, other, newer } = await claimedSince();
    const grant = someCredentials();
    await other.rotate(answer.connectionId, { fence: newer.fence, generation: 1 }, aRotation(), grant, anEntry());
    await keeperOn().recover();
    expect(await tokenOf(answer.connectionId)).toBe(grant.accessToken);
    expect(await rescue.all()).toEqual([]);

    const revoked = await claimedSince();
    await store.revoke(revoked.answer.connectionId, 'unsupported', NOW, anEntry());
    await keeperOn().recover();
    expect(await rescue.all()).toEqual([]);
  });
});

describe('when a standby has taken the store over that lacks the last commits', () => {
  /** As the database was `when` it was copied, from now on: the lease and the intent are gone with the rest. */
  async function goneBack(work: () => Promise<unknown>): Promise<void> {
    const file = new Sqlite(url.replace('file:', ''));
    const rowsOf = (table: string) => file.prepare(`select * from ${table}`).all() as Record<string, unknown>[];
    const tables = ['connections', 'grants', 'leases'];
    const before = tables.map(rowsOf);
    await work();
    file.pragma('foreign_keys = off');
    for (const [i, table] of tables.entries()) {
      file.exec(`delete from ${table}`);
      for (const row of before[i]!) {
        const columns = Object.keys(row);
        const slots = columns.map((column) => `@${column}`);
        file.prepare(`insert into ${table} (${columns.join()}) values (${slots.join()})`).run(row);
      }
    }
    file.close();
  }
  const claimAnew = async (id: string) => {
    const claimed = await store.claim(id, { attempt: 'att_9', generation: 1, now: NOW, monotonic: 0 });
    if (typeof claimed === 'string') throw new Error(claimed);
    return claimed;
  };

  test('what was kept is found missing, and kept once more under the next claim', async () => {
    const recentCommits = createRecentCommits({ store, clock });
    const committer = keeperOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    let answer: PendingCommit | undefined;
    await goneBack(async () => {
      answer = await answerFor(connection.id);
      expect(await committer.commit(answer)).toBe('kept');
      expect(await recentCommits.missingFromStore()).toEqual([]);
    });
    expect(await store.connection(connection.id)).toMatchObject({ generation: 1 });
    expect(await recentCommits.missingFromStore()).toEqual([connection.id]);
    const claimed = await claimAnew(connection.id);
    expect(claimed.unresolved).toBeNull();
    expect(await committer.adopt(claimed.connection, claimed.fence, false)).toBe(true);
    expect(await store.connection(connection.id)).toMatchObject({ generation: 2, status: 'active' });
    expect(await tokenOf(connection.id)).toBe(answer!.grant.accessToken);
    expect(await recentCommits.missingFromStore()).toEqual([]);
  });

  test('it is remembered for longer than a fail-over takes', async () => {
    let moved = 0;
    const recentCommits = createRecentCommits({ store, clock: { monotonic: () => performance.now() + moved } });
    const committer = keeperOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    await goneBack(async () => committer.commit(await answerFor(connection.id)));
    moved = 5 * 60_000;
    await expect.poll(() => recentCommits.missingFromStore()).toEqual([connection.id]);
    moved = 11 * 60_000;
    await expect.poll(() => recentCommits.missingFromStore()).toEqual([]);
  });

  test('what somebody has put there since stays', async () => {
    const recentCommits = createRecentCommits({ store, clock });
    const committer = keeperOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    await goneBack(async () => committer.commit(await answerFor(connection.id)));
    const claimed = await claimAnew(connection.id);
    await store.rotate(
      connection.id,
      { fence: claimed.fence, generation: 1 },
      aRotation(),
      someCredentials(),
      anEntry(),
    );
    expect(await recentCommits.missingFromStore()).toEqual([]);
    expect(recentCommits.after({ id: connection.id, generation: 2 })).toBeUndefined();
  });

  test('what was rescued is adopted, although no intent tells of it any more', async () => {
    const committer = keeperOn(failing(1));
    const { connection } = await connected(store);
    let answer: PendingCommit | undefined;
    await goneBack(async () => {
      answer = await answerFor(connection.id);
      expect(await committer.commit(answer)).toBe('rescued');
    });
    await committer.replayRescueFile();
    expect(await rescue.all()).toEqual([answer]);
    const claimed = await claimAnew(connection.id);
    expect(await committer.adopt(claimed.connection, claimed.fence, false)).toBe(true);
    expect(await tokenOf(connection.id)).toBe(answer!.grant.accessToken);
    expect(await rescue.all()).toEqual([]);
  });
});

test('what arrives for a connection that was revoked meanwhile is to be revoked at the provider', async () => {
  const answer = await anAnswer();
  await store.revoke(answer.connectionId, 'unsupported', NOW, anEntry());
  expect(await keeperOn().commit(answer)).toBe('gone');
  const { accessToken, refreshToken } = answer.grant;
  expect(await store.claimRevocations(NOW, NOW + 1, 10)).toMatchObject([{ accessToken, refreshToken }]);
});

describe('the rescue file', () => {
  const sizes = () => ['', '-journal'].map((end) => statSync(`${url.slice('file:'.length)}.rescue${end}`).size);

  test('does not grow while a hundred answers go in, so that it works on a full disk', async () => {
    const answer = await anAnswer();
    await rescue.add(answer);
    const before = sizes();
    for (let i = 0; i < 100; i++) await rescue.add({ ...answer, attempt: `att_${i}` });
    expect(sizes()).toEqual(before);
    expect(await rescue.all()).toHaveLength(100);
  });

  test('is for its owner alone', () => {
    expect(statSync(`${url.slice('file:'.length)}.rescue`).mode & 0o777).toBe(0o600);
  });
});
