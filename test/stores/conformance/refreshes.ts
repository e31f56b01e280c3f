// The contract of the store: leases, intents, refreshed grants, and what is due.
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/domain/connection.ts';
import { LEASE_MS } from '../../../src/domain/time-limits.ts';
import type { Claim, Claimed, RefreshFailure, Store } from '../../../src/ports/index.ts';
import { anEntry, connected, NOW, recorded, someCredentials, someRefreshedFields } from '../builders.ts';
import type { Opened } from './index.ts';

const aClaim = (given: Partial<Claim> = {}): Claim => ({
  attempt: 'att_1',
  generation: 99,
  now: NOW,
  monotonic: 0,
  ...given,
});

const aFailure = (given: Partial<RefreshFailure> = {}): RefreshFailure => ({
  reason: null,
  error: { code: 'timeout', detail: 'no answer in 10 s', at: NOW + 50, retryAt: NOW + 90 },
  nextRefreshAt: NOW + 60_000,
  resolved: true,
  ...given,
});

export function refreshes(at: Opened): void {
  async function claimed(id: string, claim: Claim = aClaim(), store: Store = at.store): Promise<Claimed> {
    const outcome = await store.claim(id, claim);
    if (typeof outcome === 'string') throw new Error(outcome);
    return outcome;
  }
  /** By one who sees it held for as long as it takes. */
  async function takenOver(id: string, store: Store, given: Partial<Claim>): Promise<Claimed> {
    expect(await store.claim(id, aClaim(given))).toBe('busy');
    return claimed(id, aClaim({ ...given, monotonic: LEASE_MS }), store);
  }
  const heldBy = ({ fence, connection }: Claimed) => ({ fence, generation: connection.generation });
  async function claimedNew(given: Partial<Connection> = {}) {
    const { connection } = await connected(at.store, given);
    return { id: connection.id, connection, held: heldBy(await claimed(connection.id)) };
  }

  describe('claiming', () => {
    test('gives the connection and its credentials', async () => {
      const { connection, credentials } = await connected(at.store);
      const first = await claimed(connection.id);
      expect(first).toEqual({ connection, credentials, fence: expect.any(Number), unresolved: null });
      expect(await at.store.connection(connection.id)).toEqual(connection);
    });

    test('is busy while the lease of another process lives', async () => {
      const { id } = await claimedNew();
      const other = await at.another();
      expect(await other.claim(id, aClaim({ attempt: 'att_2' }))).toBe('busy');
      expect(await other.claim(id, aClaim({ attempt: 'att_2', monotonic: LEASE_MS - 1 }))).toBe('busy');
    });

    test('gives a process its own lease again, with the intent that it left', async () => {
      const { id, held } = await claimedNew();
      const again = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(again.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
      expect(again.fence).toBeGreaterThan(held.fence);
    });

    test('says gone for a generation that was replaced meanwhile', async () => {
      const { connection } = await connected(at.store, { generation: 1 });
      expect(await at.store.claim(connection.id, aClaim({ generation: 0 }))).toBe('gone');
    });

    test('takes over a lease that it has seen held for long, with a higher fence and the intent that was left', async () => {
      const { id, held } = await claimedNew();
      const second = await takenOver(id, await at.another(), { attempt: 'att_2', now: NOW + 30_000 });
      expect(second.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
      expect(second.fence).toBeGreaterThan(held.fence);
      const third = await takenOver(id, at.store, { attempt: 'att_3', now: NOW + 60_000 });
      // Since the first of them the refresh token may have been spent.
      expect(third.unresolved).toEqual({ attempt: 'att_2', startedAt: NOW });
      expect(third.fence).toBeGreaterThan(second.fence);
    });

    test('is busy however far the wall clock has jumped', async () => {
      const { id } = await claimedNew();
      const other = await at.another();
      for (const now of [NOW + 86_400_000, NOW - 86_400_000])
        expect(await other.claim(id, aClaim({ attempt: 'att_2', now }))).toBe('busy');
    });

    test('counts anew for each claim of the same holder', async () => {
      const { id } = await claimedNew();
      const other = await at.another();
      expect(await other.claim(id, aClaim({ attempt: 'att_2' }))).toBe('busy');
      await claimed(id, aClaim({ attempt: 'att_3' }));
      expect(await other.claim(id, aClaim({ attempt: 'att_4', monotonic: LEASE_MS }))).toBe('busy');
      const late = aClaim({ attempt: 'att_4', monotonic: 2 * LEASE_MS });
      expect((await claimed(id, late, other)).unresolved?.attempt).toBe('att_3');
    });

    test('takes the lease of a process that is gone at once, and its intent', async () => {
      const { connection } = await connected(at.store);
      const other = await at.another();
      await claimed(connection.id, aClaim(), other);
      expect(await at.store.claim(connection.id, aClaim({ attempt: 'att_2' }))).toBe('busy');
      expect(await at.store.unresolvedRefreshes()).toEqual([]);
      await other.close();
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id: connection.id, startedAt: NOW }]);
      const second = await claimed(connection.id, aClaim({ attempt: 'att_2' }));
      expect(second.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
      expect(await at.store.unresolvedRefreshes()).toEqual([]);
    });

    test('is won by one of many processes at once', async () => {
      const { connection } = await connected(at.store);
      const stores = [at.store, await at.another(), await at.another(), await at.another()];
      const outcomes = await Promise.all(
        stores.map((store, i) => store.claim(connection.id, aClaim({ attempt: `att_${i}` }))),
      );
      expect(outcomes.filter((outcome) => outcome === 'busy')).toHaveLength(3);
    });

    test('says gone for what is absent, revoked, or needs its owner', async () => {
      const { connection: asleep } = await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked' });
      const { connection: dead } = await connected(at.store);
      await at.store.revoke(dead.id, 'unsupported', NOW, anEntry());
      for (const id of [asleep.id, dead.id, 'con_none']) expect(await at.store.claim(id, aClaim())).toBe('gone');
    });

    test('leaves other connections alone', async () => {
      await claimedNew();
      expect((await claimedNew()).held.fence).toBeGreaterThan(0);
    });
  });

  describe('keeping an answer', () => {
    test('changes the connection and the credentials, and releases the lease', async () => {
      const { id, connection, held } = await claimedNew();
      const [change, credentials, by] = [someRefreshedFields(), someCredentials({ idToken: null }), anEntry()];
      expect(await at.store.commitRefresh(id, held, change, credentials, by)).toBe('committed');
      const kept = { ...connection, ...change, generation: 2, failures: 0, lastRefreshError: null };
      expect(await at.store.servedRow(id)).toEqual({ connection: kept, accessToken: credentials.accessToken });
      expect(await recorded(at.store, by)).toBe(true);
      const next = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(next).toEqual({ connection: kept, credentials, fence: expect.any(Number), unresolved: null });
      expect(next.fence).toBeGreaterThan(held.fence);
    });

    test('takes a token that does not expire, of somebody unknown', async () => {
      const { id, held } = await claimedNew();
      const unknown = { expiresAt: null, nextRefreshAt: null, identity: null };
      await at.store.commitRefresh(id, held, someRefreshedFields(unknown), someCredentials(), anEntry());
      expect(await at.store.connection(id)).toMatchObject(unknown);
    });

    test('still takes it when the lease ran out and nobody else came', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry())).toBe(
        'committed',
      );
    });

    test('brings back one that was given up meanwhile by the same claim', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ reason: 'refresh_outcome_unknown' }), anEntry());
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry())).toBe(
        'committed',
      );
      expect(await at.store.connection(id)).toMatchObject({ status: 'active', reason: null });
    });

    test('happens once', async () => {
      const { id, held } = await claimedNew();
      const keep = () => at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry());
      expect((await Promise.all([keep(), keep()])).sort()).toEqual(['committed', 'superseded']);
      expect((await at.store.connection(id))?.generation).toBe(2);
    });

    test('is superseded by a later claim, which keeps its lease', async () => {
      const { id, held } = await claimedNew();
      const other = await at.another();
      const later = await takenOver(id, other, { attempt: 'att_2' });
      const before = await at.store.servedRow(id);
      const by = anEntry();
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), by)).toBe('superseded');
      expect(await at.store.recordRefreshFailure(id, held, aFailure({ reason: 'grant_revoked' }), by)).toBe(
        'superseded',
      );
      expect(await at.store.servedRow(id)).toEqual(before);
      expect(await recorded(at.store, by)).toBe(false);
      expect(await at.store.claim(id, aClaim())).toBe('busy');
      expect(await other.commitRefresh(id, heldBy(later), someRefreshedFields(), someCredentials(), anEntry())).toBe(
        'committed',
      );
    });

    test('is superseded when another generation is there, or nothing was ever claimed', async () => {
      const { id, held } = await claimedNew();
      const { connection } = await connected(at.store);
      const wrong = { ...held, generation: held.generation + 1 };
      expect(await at.store.commitRefresh(id, wrong, someRefreshedFields(), someCredentials(), anEntry())).toBe(
        'superseded',
      );
      const never = { fence: 0, generation: 1 };
      expect(
        await at.store.commitRefresh(connection.id, never, someRefreshedFields(), someCredentials(), anEntry()),
      ).toBe('superseded');
    });

    test('says gone after a revocation, and brings nothing back', async () => {
      const { id, held } = await claimedNew();
      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      const tombstone = await at.store.servedRow(id);
      const by = anEntry();
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), by)).toBe('gone');
      expect(await at.store.recordRefreshFailure(id, held, aFailure(), by)).toBe('gone');
      expect(await at.store.commitRefresh('con_none', held, someRefreshedFields(), someCredentials(), by)).toBe('gone');
      expect(await at.store.servedRow(id)).toEqual(tombstone);
      expect(await recorded(at.store, by)).toBe(false);
    });
  });

  describe('recording a failure', () => {
    test('keeps the credentials and the connection active, counts, and sets the next try', async () => {
      const { id, connection, held } = await claimedNew();
      const before = await at.store.servedRow(id);
      const [failure, by] = [aFailure(), anEntry()];
      expect(await at.store.recordRefreshFailure(id, held, failure, by)).toBe('recorded');
      expect(await at.store.servedRow(id)).toEqual({
        accessToken: before?.accessToken,
        connection: {
          ...connection,
          lastRefreshError: failure.error,
          nextRefreshAt: failure.nextRefreshAt,
          failures: connection.failures + 1,
          updatedAt: failure.error.at,
        },
      });
      expect(await recorded(at.store, by)).toBe(true);
    });

    test('asks for the owner when there is a reason', async () => {
      const { id, held } = await claimedNew();
      const failure = aFailure({ reason: 'grant_revoked', nextRefreshAt: null });
      await at.store.recordRefreshFailure(id, held, failure, anEntry());
      const row = await at.store.connection(id);
      expect(row).toMatchObject({
        status: 'needs_reauth',
        reason: 'grant_revoked',
        nextRefreshAt: null,
        generation: 1,
      });
    });

    test('releases the lease and clears the intent when resolved', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure(), anEntry());
      const next = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(next.unresolved).toBeNull();
      expect(next.fence).toBeGreaterThan(held.fence);
    });

    test('releases the lease and keeps the intent on record when not', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      const next = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(next.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
    });
  });

  describe('an intent without a holder', () => {
    test('is one whose outcome is not known, and only that', async () => {
      const lost = await claimedNew();
      const failed = await claimedNew();
      await claimedNew();
      await at.store.recordRefreshFailure(lost.id, lost.held, aFailure({ resolved: false }), anEntry());
      await at.store.recordRefreshFailure(failed.id, failed.held, aFailure(), anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id: lost.id, startedAt: NOW }]);
    });

    test('is as old as the first of those that followed one another', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      const again = await claimed(id, aClaim({ attempt: 'att_2', now: NOW + 9_000 }));
      await at.store.recordRefreshFailure(id, heldBy(again), aFailure({ resolved: false }), anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
      const third = await claimed(id, aClaim({ attempt: 'att_3', now: NOW + 12_000 }));
      await at.store.commitRefresh(id, heldBy(third), someRefreshedFields(), someCredentials(), anEntry());
      const later = await claimed(id, aClaim({ attempt: 'att_4', now: NOW + 20_000 }));
      await at.store.recordRefreshFailure(id, heldBy(later), aFailure({ resolved: false }), anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW + 20_000 }]);
    });
  });

  describe('what is due', () => {
    const PUSH = NOW + 60_000;
    const due = async (nextRefreshAt: number | null, more: Partial<Connection> = {}) =>
      (await connected(at.store, { nextRefreshAt, ...more })).connection;
    const take = (now = NOW, limit = 10, store: Store = at.store) => store.claimDue('slack', now, PUSH, limit);

    test('comes oldest first, once, and is pushed forward', async () => {
      const second = await due(NOW);
      const first = await due(NOW - 5);
      const later = await due(NOW + 1);
      await due(null);
      expect(await take()).toEqual([first.id, second.id]);
      expect(await at.store.connection(first.id)).toEqual({ ...first, nextRefreshAt: PUSH });
      expect(await at.store.connection(later.id)).toEqual(later);
      expect(await take()).toEqual([]);
      expect(await at.store.claimDue('slack', PUSH, PUSH + 1, 10)).toHaveLength(3);
    });

    test('comes in portions', async () => {
      for (let i = 0; i < 5; i++) await due(NOW - i);
      expect(await take(NOW, 3)).toHaveLength(3);
      expect(await take(NOW, 3)).toHaveLength(2);
    });

    test('is only what is active', async () => {
      await due(NOW, { status: 'needs_reauth', reason: 'grant_expired' });
      const { id } = await due(NOW);
      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      expect(await at.store.dueIntegrations(NOW)).toEqual([]);
      expect(await take()).toEqual([]);
    });

    test('is told and taken by integration', async () => {
      const mine = await due(NOW - 7);
      await due(NOW - 3);
      const other = await due(NOW - 9, { integration: 'beta' });
      const told = [
        { integration: 'beta', dueAt: NOW - 9 },
        { integration: 'slack', dueAt: NOW - 7 },
      ];
      expect(await at.store.dueIntegrations(NOW)).toEqual(told);
      expect(await at.store.dueIntegrations(NOW - 8)).toEqual(told.slice(0, 1));
      expect(await at.store.countDue(NOW)).toEqual([
        { ...told[0], count: 1 },
        { ...told[1], count: 2 },
      ]);
      expect(await at.store.claimDue('beta', NOW, PUSH, 10)).toEqual([other.id]);
      expect(await take(NOW, 1)).toEqual([mine.id]);
      expect(await at.store.dueIntegrations(NOW)).toEqual([{ integration: 'slack', dueAt: NOW - 3 }]);
    });

    test('is never taken by two replicas', async () => {
      const all: string[] = [];
      for (let i = 0; i < 20; i++) all.push((await due(NOW - i)).id);
      const other = await at.another();
      const taken = await Promise.all([at.store, other, at.store, other].map((store) => take(NOW, 8, store)));
      expect(taken.flat().sort()).toEqual(all.sort());
    });
  });
}
