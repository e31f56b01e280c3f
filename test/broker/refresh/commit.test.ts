// The commit of a refresh: no response is lost, whatever the store does. On a real store and a real rescue file.
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createAccess } from '../../../src/broker/audit/access.ts';
import { createAuditBuffer } from '../../../src/broker/audit/log/audit-buffer.ts';
import { createCommitter } from '../../../src/broker/refresh/commit.ts';
import { createRecentCommits } from '../../../src/broker/refresh/recent-commits.ts';
import { decryptAccessToken, encryptCredentials } from '../../../src/broker/secrets/token-encryption.ts';
import { type PendingCommit, type Rescue, type Store, StoreError } from '../../../src/ports/index.ts';
import { backupSqlite } from '../../../src/stores/sqlite/backup.ts';
import { openRescue, type RescueFile } from '../../../src/stores/sqlite/rescue-file.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, connected, NOW, someCredentials, someRefreshedFields } from '../../stores/builders.ts';
import { createMigratedFile } from '../../support/sqlite-file.ts';

const log = createLogger('silent');
const clock = { now: () => NOW, monotonic: () => performance.now() };
let folder: string;
let url: string;
let store: Store;
let rescue: RescueFile;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-commit-'));
  url = `file:${join(folder, 'valetkey.db')}`;
  await createMigratedFile(join(folder, 'valetkey.db'));
  store = await openSqlite(url);
  rescue = openRescue(url);
});
afterEach(async () => {
  await store.close();
  rescue.close();
  rmSync(folder, { recursive: true });
});

const vault = createKeyRing([{ kid: 'k1', key: createSecretKey(randomBytes(32)) }]);

type CommitterParts = Parameters<typeof createCommitter>[0];

/** A store that fails this many times, then works. */
function failing(times: number): CommitterParts['store'] {
  let left = times;
  return {
    commitRefresh: (...given) =>
      left-- > 0 ? Promise.reject(new StoreError('disk full')) : store.commitRefresh(...given),
    addPendingRevocation: (revocation) => store.addPendingRevocation(revocation),
    connection: (id) => store.connection(id),
    keyChecks: () => store.keyChecks(),
  };
}

function committerOn(
  on: CommitterParts['store'] = store,
  into: Rescue = rescue,
  recentCommits?: CommitterParts['recentCommits'],
  recordedRefreshes: CommitterParts['recordedRefreshes'] = 'all',
  ring: CommitterParts['vault'] = vault,
) {
  const access = createAccess({ auditBuffer: createAuditBuffer({ store, log }), clock });
  const committer = createCommitter({
    ...{ store: on, vault: ring, rescue: into, recentCommits, access, clock, log },
    recordedRefreshes,
  });
  onTestFinished(() => committer.stop());
  return committer;
}

/** Claimed by a process that has this store. */
async function aPendingCommit(its: Store = store): Promise<PendingCommit> {
  return pendingCommitOf((await connected(store)).connection.id, its);
}

async function pendingCommitOf(id: string, its: Store = store): Promise<PendingCommit> {
  const connection = (await store.connection(id))!;
  const { generation } = connection;
  const claimed = await its.claim(connection.id, { attempt: 'att_1', generation, now: NOW, monotonic: 0 });
  if (typeof claimed === 'string') throw new Error(claimed);
  const { id: connectionId, integration, owner, params, captured } = connection;
  const held = { fence: claimed.fence, generation };
  const whose = { connectionId, integration, owner, params, captured };
  const replaces = { issuedAt: connection.issuedAt };
  return { attempt: 'att_1', ...whose, held, replaces, change: someRefreshedFields(), grant: someCredentials() };
}

const rescuedResponses = async () => (await rescue.all()).responses;
const tokenOf = async (id: string) => (await store.servedRow(id))?.accessToken;

test('commit: the response is in the store, and the rescue file is empty', async () => {
  const pending = await aPendingCommit();
  expect(await committerOn().commit(pending)).toBe('committed');
  expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
  expect(await rescuedResponses()).toEqual([]);
});

test('commit: a process that hung while the keys were rotated writes what the database accepts since', async () => {
  const keys = [{ kid: 'k1', key: createSecretKey(randomBytes(32)) }];
  const hung = createKeyRing(keys, undefined, { envelope: 'v1', protection: 'legacy' });
  const rotated = createKeyRing(keys);
  const pending = await aPendingCommit();
  const place = { ...(await store.connection(pending.connectionId))! };
  const tokens = { accessToken: 'fresh', refreshToken: 'rotated', idToken: null, credentials: null };
  await store.addKeyCheck(rotated.check('k1', rotated.stage()));
  const grant = encryptCredentials(hung, place, tokens);
  const committer = committerOn(store, rescue, undefined, 'all', hung);
  expect(await committer.commit({ ...pending, grant })).toBe('committed');
  const accessToken = await tokenOf(pending.connectionId);
  expect(decryptAccessToken(rotated, place, accessToken!)).toBe('fresh');
});

describe('commit that the store rejects', () => {
  test('is durable in the rescue file, and committed by the next replay', async () => {
    const pending = await aPendingCommit();
    const committer = committerOn(failing(1));
    expect(await committer.commit(pending)).toBe('rescued');
    expect(await rescuedResponses()).toEqual([pending]);
    expect(committer.rescuedFor(pending.connectionId)).toEqual(pending);
    expect(committer.rescuedCount()).toBe(1);
    await committer.replayRescued(pending);
    expect(committer.rescuedCount()).toBe(0);
    expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
    expect(committer.rescuedFor(pending.connectionId)).toBeUndefined();
    expect(await rescuedResponses()).toEqual([]);
  });

  test('is told to this process when it is replayed: the token before may be cached since', async () => {
    const { connection } = await connected(store, { failures: 0, lastRefreshError: null });
    const routine = await pendingCommitOf(connection.id);
    const { connectionId: id, held } = routine;
    const heard: unknown[] = [];
    const feed = await store.subscribe(async (changes) => void heard.push(...changes));
    onTestFinished(() => feed.stop());
    const committer = committerOn(failing(1), rescue, undefined, 'changes');
    const pending = { ...routine, held: { ...held, keepsValues: true, isRoutine: true } };
    expect(await committer.commit(pending)).toBe('rescued');
    await committer.replayRescued(pending);
    const generation = held.generation + 1;
    await expect.poll(() => heard).toContainEqual(expect.objectContaining({ kind: 'connection', id, generation }));
  });

  test('is in a backup, and committed where that is restored', async () => {
    const pending = await aPendingCommit();
    const committer = committerOn(failing(99));
    expect(await committer.commit(pending)).toBe('rescued');
    const to = join(folder, 'restored.db');
    expect(backupSqlite(url, to)).toMatchObject({ rescued: 1 });
    const restored = await openSqlite(`file:${to}`);
    const its = openRescue(`file:${to}`);
    onTestFinished(async () => {
      await restored.close();
      its.close();
    });
    expect((await restored.servedRow(pending.connectionId))?.accessToken).not.toBe(pending.grant.accessToken);
    await committerOn(restored, its).recover();
    expect((await restored.servedRow(pending.connectionId))?.accessToken).toBe(pending.grant.accessToken);
    expect((await its.all()).responses).toEqual([]);
  });

  test('is committed by the next process when it starts', async () => {
    const pending = await aPendingCommit();
    await committerOn(failing(99)).commit(pending);
    await committerOn().recover();
    expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
    expect(await rescuedResponses()).toEqual([]);
  });

  test('is committed for its reader while another one hangs', async () => {
    const [hanging, pending] = [await aPendingCommit(), { ...(await aPendingCommit()), attempt: 'att_2' }];
    const never = Promise.withResolvers<never>();
    const { commitRefresh, ...others } = failing(2);
    let isDown = true;
    const committer = committerOn({
      ...others,
      commitRefresh: (id, ...given) =>
        !isDown && id === hanging.connectionId ? never.promise : commitRefresh(id, ...given),
    });
    for (const each of [hanging, pending]) expect(await committer.commit(each)).toBe('rescued');
    isDown = false;
    const replayed = committer.replayRescued(hanging);
    await committer.replayRescued(pending);
    expect(await rescuedResponses()).toEqual([hanging]);
    never.reject(new StoreError('the connection was cut'));
    await replayed;
    expect(committer.rescuedFor(hanging.connectionId)).toEqual(hanging);
  });

  test('waits although an earlier one of its connection is replayed meanwhile', async () => {
    const earlier = await aPendingCommit();
    const removed = Promise.withResolvers<void>();
    const slow: Rescue = { ...rescue, remove: (attempt) => removed.promise.then(() => rescue.remove(attempt)) };
    const full = { isSo: true };
    const commitRefresh: Store['commitRefresh'] = (...given) =>
      full.isSo ? Promise.reject(new StoreError('disk full')) : store.commitRefresh(...given);
    const committer = committerOn({ ...failing(0), commitRefresh }, slow);
    expect(await committer.commit(earlier)).toBe('rescued');
    full.isSo = false;
    const replayed = committer.replayRescued(earlier);
    await expect.poll(() => tokenOf(earlier.connectionId)).toBe(earlier.grant.accessToken);
    full.isSo = true;
    const later = { ...(await pendingCommitOf(earlier.connectionId)), attempt: 'att_2' };
    expect(await committer.commit(later)).toBe('rescued');
    removed.resolve();
    await replayed;
    expect(committer.rescuedFor(later.connectionId)).toEqual(later);
  });

  test('is left for as long as a later process cannot commit it', async () => {
    const pending = await aPendingCommit();
    await committerOn(failing(99)).commit(pending);
    const next = committerOn(failing(2));
    expect(await next.recover()).toBe(false);
    expect(await next.recover()).toBe(false);
    expect(await next.recover()).toBe(true);
    expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
  });

  test('until the broker has stopped: is left for the next one, and not tried any more', async () => {
    const pending = await aPendingCommit();
    const committer = committerOn(failing(2));
    expect(await committer.commit(pending)).toBe('rescued');
    await committer.stop();
    expect(await committer.recover()).toBe(false);
    expect(await rescuedResponses()).toEqual([pending]);
  });

  test('and that the rescue file rejects too: is given up when the broker stops', async () => {
    const pending = await aPendingCommit();
    const tried = Promise.withResolvers<void>();
    const broken: Rescue = {
      ...rescue,
      add() {
        tried.resolve();
        return Promise.reject(new StoreError('disk full'));
      },
    };
    const committer = committerOn(failing(Number.POSITIVE_INFINITY), broken);
    const givenUp = expect(committer.commit(pending)).rejects.toThrow('disk full');
    await tried.promise;
    await committer.stop();
    await givenUp;
  });

  test('is kept when the broker stops and the rescue file accepts it at last', async () => {
    const pending = await aPendingCommit();
    let tries = 0;
    const tried = Promise.withResolvers<void>();
    const full: Rescue = {
      ...rescue,
      add(one) {
        if (tries++ > 0) return rescue.add(one);
        tried.resolve();
        return Promise.reject(new StoreError('disk full'));
      },
    };
    const committer = committerOn(failing(Number.POSITIVE_INFINITY), full);
    const committing = committer.commit(pending);
    await tried.promise;
    await committer.stop();
    expect(await committing).toBe('rescued');
    expect(await rescuedResponses()).toEqual([pending]);
  });

  test('and that the rescue file rejects too: both are tried until one accepts it', async () => {
    const pending = await aPendingCommit();
    const broken: Rescue = { ...rescue, add: () => Promise.reject(new StoreError('disk full')) };
    expect(await committerOn(failing(3), broken).commit(pending)).toBe('committed');
    expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
  });

  test('a rescue file that another process has locked is tried again before the store', async () => {
    const pending = await aPendingCommit();
    let busy = 3;
    const shared: Rescue = {
      ...rescue,
      add: (one) => (busy-- > 0 ? Promise.reject(new StoreError('database is locked')) : rescue.add(one)),
    };
    expect(await committerOn(failing(1), shared).commit(pending)).toBe('rescued');
    expect(await rescuedResponses()).toEqual([pending]);
  });

  test('is discarded when the connection got newer credentials meanwhile', async () => {
    const pending = await aPendingCommit();
    const committer = committerOn(failing(1));
    await committer.commit(pending);
    const claim = { attempt: 'att_2', generation: 1, now: NOW + 2_000, monotonic: 0 };
    const newer = await store.claim(pending.connectionId, claim);
    if (typeof newer === 'string') throw new Error(newer);
    const grant = someCredentials();
    await store.commitRefresh(
      pending.connectionId,
      { fence: newer.fence, generation: 1 },
      someRefreshedFields(),
      grant,
      anEntry,
    );
    await committer.replayRescued(pending);
    expect(await tokenOf(pending.connectionId)).toBe(grant.accessToken);
    expect(await rescuedResponses()).toEqual([]);
  });
});

describe('rescue file with an entry that cannot be replayed', () => {
  /** Two connections with a response in the file, in this order. */
  async function twoRescued(): Promise<[PendingCommit, PendingCommit]> {
    const first = { ...(await aPendingCommit()), attempt: 'att_1' };
    const second = { ...(await aPendingCommit()), attempt: 'att_2' };
    for (const pending of [first, second]) await rescue.add(pending);
    return [first, second];
  }
  const rescueRows = (change: string) => {
    const file = new Sqlite(`${url.replace('file:', '')}.rescue`);
    file.exec(change);
    file.close();
  };

  test.each([
    ['is no JSON', '\'{"attempt":\''],
    ['is empty', "''"],
    ['is null', "'null'"],
    ['lacks the lease', `'{"attempt":"att_0","connectionId":"con_1"}'`],
    ['is of another attempt', "(select answer from rescued where attempt = 'att_1')"],
    ['is binary', "x'00ff'"],
  ])('since it %s: it stays and is counted, the others are committed', async (_, answer) => {
    const [first, second] = await twoRescued();
    rescueRows(`insert into rescued values ('att_0', ${answer})`);
    const committer = committerOn();
    await committer.recover();
    for (const pending of [first, second]) expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
    expect(await rescue.all()).toMatchObject({ responses: [], unreadable: [{ attempt: 'att_0' }] });
    expect(committer.rescuedCount()).toBe(1);
  });

  test('since the database does not know its connection: it stays, and its tokens are not revoked', async () => {
    const [first, second] = await twoRescued();
    const foreign = { ...first, connectionId: 'con_of_another_database' };
    await rescue.add(foreign);
    const committer = committerOn();
    await committer.recover();
    expect(await tokenOf(second.connectionId)).toBe(second.grant.accessToken);
    expect(await rescuedResponses()).toEqual([foreign]);
    expect(committer.rescuedCount()).toBe(1);
    expect(committer.rescuedFor(foreign.connectionId)).toBeUndefined();
    expect(await store.claimRevocations('slack', NOW, NOW + 1, 10)).toEqual([]);
  });

  test('since the store rejects it again and again: the others are committed', async () => {
    const [first, second] = await twoRescued();
    const rejecting: CommitterParts['store'] = {
      ...failing(0),
      commitRefresh: (id, ...given) =>
        id === first.connectionId
          ? Promise.reject(new StoreError('value too large'))
          : store.commitRefresh(id, ...given),
    };
    const committer = committerOn(rejecting);
    await committer.recover();
    expect(await tokenOf(second.connectionId)).toBe(second.grant.accessToken);
    expect(await rescuedResponses()).toEqual([first]);
  });
});

test('commit for a connection that the store has lost: the response stays in the rescue file, nothing is revoked', async () => {
  const pending = { ...(await aPendingCommit()), connectionId: 'con_lost' };
  expect(await committerOn().commit(pending)).toBe('rescued');
  expect(await rescuedResponses()).toEqual([pending]);
  expect(await store.claimRevocations('slack', NOW, NOW + 1, 10)).toEqual([]);
});

describe('rescued response whose connection another broker on the same file has claimed since', () => {
  /** A response that a dead broker has rescued, and another broker that is alive and holds the next claim. */
  async function claimedByOther() {
    const gone = await openSqlite(url);
    const pending = await aPendingCommit(gone);
    await rescue.add(pending);
    await gone.close();
    const other = await openSqlite(url);
    const rescueOfOther = openRescue(url);
    onTestFinished(async () => {
      await other.close();
      rescueOfOther.close();
    });
    const newer = await other.claim(pending.connectionId, { attempt: 'att_2', generation: 1, now: NOW, monotonic: 0 });
    if (typeof newer === 'string') throw new Error(newer);
    return { pending, other, newer, committerOfOther: committerOn(other, rescueOfOther) };
  }
  const expectAdopted = async (pending: PendingCommit) => {
    expect(await tokenOf(pending.connectionId)).toBe(pending.grant.accessToken);
    expect(await store.connection(pending.connectionId)).toMatchObject({ generation: 2, status: 'active' });
    expect(await rescuedResponses()).toEqual([]);
  };

  test('a start commits it, and the failure of the other claim changes nothing', async () => {
    const { pending, other, newer } = await claimedByOther();
    await committerOn().recover();
    await expectAdopted(pending);
    const error = { code: 'invalid_grant', detail: 'spent', at: NOW, retryAt: null };
    const failure = { reason: 'refresh_outcome_unknown' as const, error, nextRefreshAt: null, resolved: true };
    const held = { fence: newer.fence, generation: 1 };
    expect(await other.recordRefreshFailure(pending.connectionId, held, failure, anEntry())).toBe('superseded');
    await expectAdopted(pending);
  });

  test('the other broker adopts it, if it is the first to look', async () => {
    const { pending, newer, committerOfOther } = await claimedByOther();
    expect(await committerOfOther.adopt(newer.connection, newer.fence, true)).toBe(true);
    await expectAdopted(pending);
  });

  test('it reactivates a connection that the other broker has judged meanwhile', async () => {
    const { pending, other, newer } = await claimedByOther();
    const error = { code: 'invalid_grant', detail: 'spent', at: NOW, retryAt: null };
    const failure = { reason: 'refresh_outcome_unknown' as const, error, nextRefreshAt: null, resolved: true };
    await other.recordRefreshFailure(pending.connectionId, { fence: newer.fence, generation: 1 }, failure, anEntry());
    expect(await store.connection(pending.connectionId)).toMatchObject({ status: 'needs_reauth' });
    await committerOn().recover();
    await expectAdopted(pending);
  });

  test('it is discarded when newer credentials are stored, or the connection is revoked', async () => {
    const { pending, other, newer } = await claimedByOther();
    const grant = someCredentials();
    await other.commitRefresh(
      pending.connectionId,
      { fence: newer.fence, generation: 1 },
      someRefreshedFields(),
      grant,
      anEntry,
    );
    await committerOn().recover();
    expect(await tokenOf(pending.connectionId)).toBe(grant.accessToken);
    expect(await rescuedResponses()).toEqual([]);

    const revoked = await claimedByOther();
    await store.revoke(revoked.pending.connectionId, 'unsupported', NOW, anEntry());
    await committerOn().recover();
    expect(await rescuedResponses()).toEqual([]);
  });
});

describe('standby that took the store over without the last commits', () => {
  /** Does the work, then sets the database back to what it was before: the lease and the intent are lost too. */
  async function losingCommits(work: () => Promise<unknown>): Promise<void> {
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
        // Its trigger has made a lease beside a connection.
        file.prepare(`insert or replace into ${table} (${columns.join()}) values (${slots.join()})`).run(row);
      }
    }
    file.close();
  }
  const claimAgain = async (id: string, generation = 1) => {
    const claimed = await store.claim(id, { attempt: 'att_9', generation, now: NOW, monotonic: 0 });
    if (typeof claimed === 'string') throw new Error(claimed);
    return claimed;
  };

  test('a lost commit is found missing, and committed again under the next claim', async () => {
    const recentCommits = createRecentCommits({ store, clock });
    const committer = committerOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    let pending: PendingCommit | undefined;
    await losingCommits(async () => {
      pending = await pendingCommitOf(connection.id);
      expect(await committer.commit(pending)).toBe('committed');
      expect(await recentCommits.missingFromStore()).toEqual([]);
    });
    expect(await store.connection(connection.id)).toMatchObject({ generation: 1 });
    expect(await recentCommits.missingFromStore()).toEqual([connection.id]);
    const claimed = await claimAgain(connection.id);
    expect(claimed.unresolved).toBeNull();
    expect(await committer.adopt(claimed.connection, claimed.fence, false)).toBe(true);
    expect(await store.connection(connection.id)).toMatchObject({ generation: 2, status: 'active' });
    expect(await tokenOf(connection.id)).toBe(pending!.grant.accessToken);
    expect(await recentCommits.missingFromStore()).toEqual([]);
  });

  test('a commit is remembered for longer than a failover takes', async () => {
    let movedMs = 0;
    const recentCommits = createRecentCommits({ store, clock: { monotonic: () => performance.now() + movedMs } });
    const committer = committerOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    await losingCommits(async () => committer.commit(await pendingCommitOf(connection.id)));
    movedMs = 5 * 60_000;
    await expect.poll(() => recentCommits.missingFromStore()).toEqual([connection.id]);
    movedMs = 11 * 60_000;
    await expect.poll(() => recentCommits.missingFromStore()).toEqual([]);
  });

  test('newer credentials that were stored since are left alone', async () => {
    const recentCommits = createRecentCommits({ store, clock });
    const committer = committerOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    await losingCommits(async () => committer.commit(await pendingCommitOf(connection.id)));
    const claimed = await claimAgain(connection.id);
    await store.commitRefresh(
      connection.id,
      { fence: claimed.fence, generation: 1 },
      someRefreshedFields(),
      someCredentials(),
      anEntry,
    );
    expect(await recentCommits.missingFromStore()).toEqual([]);
    expect(recentCommits.after({ ...connection, generation: 2 })).toBeUndefined();
  });

  /** The owner connects again, after all that was lost. Returns what is stored. */
  async function reconnect(id: string) {
    const connection = (await store.connection(id))!;
    const credentials = someCredentials();
    const later = { ...connection, issuedAt: NOW + 60_000, updatedAt: NOW + 60_000 };
    expect(await store.renewConnection(later, credentials, null, anEntry())).toMatchObject({ generation: 2 });
    return credentials;
  }

  test('a reconnect that counts the lost generations again is not replaced by a lost commit', async () => {
    const recentCommits = createRecentCommits({ store, clock });
    const committer = committerOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    await losingCommits(async () => {
      await committer.commit(await pendingCommitOf(connection.id));
      expect(await committer.commit(await pendingCommitOf(connection.id))).toBe('committed');
    });
    expect(await recentCommits.missingFromStore()).toEqual([connection.id]);
    const { accessToken } = await reconnect(connection.id);
    expect(await recentCommits.missingFromStore()).toEqual([]);
    const claimed = await claimAgain(connection.id, 2);
    expect(await committer.adopt(claimed.connection, claimed.fence, false)).toBe(false);
    expect(await tokenOf(connection.id)).toBe(accessToken);
  });

  test('nor by a rescued response, which is discarded', async () => {
    const committer = committerOn();
    const { connection } = await connected(store);
    await losingCommits(async () => {
      await committer.commit(await pendingCommitOf(connection.id));
      await rescue.add(await pendingCommitOf(connection.id));
    });
    const { accessToken } = await reconnect(connection.id);
    const claimed = await claimAgain(connection.id, 2);
    expect(await committer.adopt(claimed.connection, claimed.fence, true)).toBe(false);
    await committer.recover();
    expect(await tokenOf(connection.id)).toBe(accessToken);
    expect(await rescuedResponses()).toEqual([]);
  });

  test('of two lost commits the last one is committed again, over the first generation', async () => {
    const recentCommits = createRecentCommits({ store, clock });
    const committer = committerOn(store, rescue, recentCommits);
    const { connection } = await connected(store);
    let last: PendingCommit | undefined;
    await losingCommits(async () => {
      await committer.commit(await pendingCommitOf(connection.id));
      last = await pendingCommitOf(connection.id);
      await committer.commit(last);
    });
    const claimed = await claimAgain(connection.id);
    expect(await committer.adopt(claimed.connection, claimed.fence, false)).toBe(true);
    expect(await tokenOf(connection.id)).toBe(last!.grant.accessToken);
    expect(await recentCommits.missingFromStore()).toEqual([]);
  });

  test('a rescued response is committed although its claim is lost', async () => {
    const committer = committerOn(failing(1));
    const { connection } = await connected(store);
    let pending: PendingCommit | undefined;
    await losingCommits(async () => {
      pending = await pendingCommitOf(connection.id);
      expect(await committer.commit(pending)).toBe('rescued');
    });
    await committer.replayRescued(pending!);
    expect(await tokenOf(connection.id)).toBe(pending!.grant.accessToken);
    expect(await rescuedResponses()).toEqual([]);
  });
});

test('commit for a connection that was revoked meanwhile: the received tokens are queued for revocation', async () => {
  const pending = await aPendingCommit();
  await store.revoke(pending.connectionId, 'unsupported', NOW, anEntry());
  expect(await committerOn().commit(pending)).toBe('gone');
  const { accessToken, refreshToken } = pending.grant;
  expect(await store.claimRevocations('slack', NOW, NOW + 1, 10)).toMatchObject([{ accessToken, refreshToken }]);
});

describe('rescue file', () => {
  const sizes = () => ['', '-journal'].map((end) => statSync(`${url.slice('file:'.length)}.rescue${end}`).size);

  test('does not grow with its first hundred responses, so that it works on a full disk', async () => {
    const pending = await aPendingCommit();
    await rescue.add(pending);
    const before = sizes();
    for (let i = 0; i < 100; i++) await rescue.add({ ...pending, attempt: `att_${i}` });
    expect(sizes()).toEqual(before);
    expect(await rescuedResponses()).toHaveLength(100);
  });

  test('is readable by its owner only', () => {
    expect(statSync(`${url.slice('file:'.length)}.rescue`).mode & 0o777).toBe(0o600);
  });
});
