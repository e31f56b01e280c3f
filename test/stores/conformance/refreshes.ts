// The contract of the store: leases, intents, committed refreshes, and what is due.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Connection } from '../../../src/domain/connection.ts';
import { CLAIMED_DUE_AGAIN_MS, DUE_FOR_OTHERS_MS, LEASE_MS } from '../../../src/domain/time-limits.ts';
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
  /** By a process that observes the lease until it expires. */
  async function takenOver(id: string, store: Store, given: Partial<Claim>): Promise<Claimed> {
    expect(await store.claim(id, aClaim(given))).toBe('busy');
    return claimed(id, aClaim({ ...given, monotonic: LEASE_MS }), store);
  }
  const heldBy = ({ fence, connection }: Claimed) => ({ fence, generation: connection.generation });
  async function claimedNew(given: Partial<Connection> = {}) {
    const { connection } = await connected(at.store, given);
    return { id: connection.id, connection, held: heldBy(await claimed(connection.id)) };
  }

  describe('claim', () => {
    test('returns the connection and its credentials', async () => {
      const { connection, credentials } = await connected(at.store);
      const first = await claimed(connection.id);
      const isStillHeld = expect.any(Function);
      expect(first).toEqual({ connection, credentials, fence: expect.any(Number), unresolved: null, isStillHeld });
      expect(first.isStillHeld()).toBe(true);
      expect(await at.store.connection(connection.id)).toEqual(connection);
    });

    test('busy while another live process holds the lease', async () => {
      const { id } = await claimedNew();
      const other = await at.another();
      expect(await other.claim(id, aClaim({ attempt: 'att_2' }))).toBe('busy');
      expect(await other.claim(id, aClaim({ attempt: 'att_2', monotonic: LEASE_MS - 1 }))).toBe('busy');
    });

    test('a process gets its own lease again, with the unresolved intent', async () => {
      const { id, held } = await claimedNew();
      const again = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(again.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
      expect(again.fence).toBeGreaterThan(held.fence);
    });

    test('gone when the generation was replaced meanwhile', async () => {
      const { connection } = await connected(at.store, { generation: 1 });
      expect(await at.store.claim(connection.id, aClaim({ generation: 0 }))).toBe('gone');
    });

    test('takes over a lease that it observed for LEASE_MS, with a higher fence and the unresolved intent', async () => {
      const { id, held } = await claimedNew();
      const second = await takenOver(id, await at.another(), { attempt: 'att_2', now: NOW + 30_000 });
      expect(second.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
      expect(second.fence).toBeGreaterThan(held.fence);
      const third = await takenOver(id, at.store, { attempt: 'att_3', now: NOW + 60_000 });
      // The first attempt may have spent the refresh token.
      expect(third.unresolved).toEqual({ attempt: 'att_2', startedAt: NOW });
      expect(third.fence).toBeGreaterThan(second.fence);
    });

    test('busy however far the wall clock has jumped', async () => {
      const { id } = await claimedNew();
      const other = await at.another();
      for (const now of [NOW + 86_400_000, NOW - 86_400_000])
        expect(await other.claim(id, aClaim({ attempt: 'att_2', now }))).toBe('busy');
    });

    test('observation starts again with each claim of the same holder', async () => {
      const { id } = await claimedNew();
      const other = await at.another();
      expect(await other.claim(id, aClaim({ attempt: 'att_2' }))).toBe('busy');
      await claimed(id, aClaim({ attempt: 'att_3' }));
      expect(await other.claim(id, aClaim({ attempt: 'att_4', monotonic: LEASE_MS }))).toBe('busy');
      const late = aClaim({ attempt: 'att_4', monotonic: 2 * LEASE_MS });
      expect((await claimed(id, late, other)).unresolved?.attempt).toBe('att_3');
    });

    test('takes the lease of a closed process at once, with its intent', async () => {
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

    test('of many concurrent processes, one succeeds', async () => {
      const { connection } = await connected(at.store);
      const stores = [at.store, await at.another(), await at.another(), await at.another()];
      const outcomes = await Promise.all(
        stores.map((store, i) => store.claim(connection.id, aClaim({ attempt: `att_${i}` }))),
      );
      expect(outcomes.filter((outcome) => outcome === 'busy')).toHaveLength(3);
    });

    test('gone when absent, revoked, or in need of reauthorization', async () => {
      const { connection: asleep } = await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked' });
      const { connection: dead } = await connected(at.store);
      await at.store.revoke(dead.id, 'unsupported', NOW, anEntry());
      for (const id of [asleep.id, dead.id, 'con_none']) expect(await at.store.claim(id, aClaim())).toBe('gone');
    });

    test('does not affect other connections', async () => {
      await claimedNew();
      expect((await claimedNew()).held.fence).toBeGreaterThan(0);
    });
  });

  describe('commitRefresh', () => {
    test('replaces fields and credentials, and releases the lease', async () => {
      const { id, connection, held } = await claimedNew();
      const [change, credentials, audit] = [someRefreshedFields(), someCredentials({ idToken: null }), anEntry()];
      expect(await at.store.commitRefresh(id, held, change, credentials, () => audit)).toBe('committed');
      const committed = { ...connection, ...change, generation: 2, failures: 0, lastRefreshError: null };
      expect(await at.store.servedRow(id)).toEqual({ connection: committed, accessToken: credentials.accessToken });
      expect(await recorded(at.store, audit)).toBe(true);
      const next = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(next).toMatchObject({ connection: committed, credentials, unresolved: null });
      expect(next.fence).toBeGreaterThan(held.fence);
    });

    describe('of a routine refresh', () => {
      const healthy = { failures: 0, lastRefreshError: null };
      const times = ({ captured, scopes, tokenType, identity, account }: Connection) =>
        someRefreshedFields({ captured, scopes, tokenType, identity, account });

      test('replaces tokens and times; `changes` makes no entry of it, `all` does', async () => {
        const { id, connection, held } = await claimedNew(healthy);
        const [change, second] = [times(connection), anEntry()];
        const routine = { ...held, isRoutine: true };
        const entry = vi.fn(anEntry);
        expect(await at.store.commitRefresh(id, routine, change, someCredentials(), entry, 'changes')).toBe(
          'committed',
        );
        expect(await at.store.connection(id)).toEqual({ ...connection, ...change, generation: 2 });
        expect(entry).not.toHaveBeenCalled();
        const again = { ...heldBy(await claimed(id, aClaim({ attempt: 'att_2' }))), isRoutine: true };
        expect(await at.store.commitRefresh(id, again, change, someCredentials(), () => second, 'all')).toBe(
          'committed',
        );
        expect(await recorded(at.store, second)).toBe(true);
      });

      test('`changes` records the first one after a failure, and clears that', async () => {
        const { id, connection, held } = await claimedNew(healthy);
        await at.store.recordRefreshFailure(id, held, aFailure(), anEntry());
        const routine = { ...heldBy(await claimed(id, aClaim({ attempt: 'att_2' }))), isRoutine: true };
        const audit = anEntry();
        await at.store.commitRefresh(id, routine, times(connection), someCredentials(), () => audit, 'changes');
        expect(await recorded(at.store, audit)).toBe(true);
        expect(await at.store.connection(id)).toMatchObject({ generation: 2, failures: 0, lastRefreshError: null });
      });

      test('`changes` records one that is late, or changes more', async () => {
        const { id, connection, held } = await claimedNew(healthy);
        await claimed(id, aClaim({ attempt: 'att_2' }));
        const [late, more] = [anEntry(), anEntry()];
        const credentials = someCredentials();
        await at.store.commitRefresh(
          id,
          { ...held, isRoutine: true },
          times(connection),
          credentials,
          () => late,
          'changes',
        );
        const other = await claimedNew({ ...healthy, owner: 'another' });
        await at.store.commitRefresh(other.id, other.held, someRefreshedFields(), credentials, () => more, 'changes');
        expect([await recorded(at.store, late), await recorded(at.store, more)]).toEqual([true, true]);
      });
    });

    test('stores a token that does not expire, without identity', async () => {
      const { id, held } = await claimedNew();
      const unknown = { expiresAt: null, nextRefreshAt: null, identity: null };
      await at.store.commitRefresh(id, held, someRefreshedFields(unknown), someCredentials(), anEntry);
      expect(await at.store.connection(id)).toMatchObject(unknown);
    });

    test('succeeds after the lease was released, when no other claim came', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'committed',
      );
    });

    test('reactivates a connection that the same claim has failed meanwhile', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ reason: 'refresh_outcome_unknown' }), anEntry());
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'committed',
      );
      expect(await at.store.connection(id)).toMatchObject({ status: 'active', reason: null });
    });

    test('succeeds once', async () => {
      const { id, held } = await claimedNew();
      const commit = () => at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry);
      expect((await Promise.all([commit(), commit()])).sort()).toEqual(['committed', 'superseded']);
      expect((await at.store.connection(id))?.generation).toBe(2);
    });

    test('superseded by newer credentials', async () => {
      const { id, held } = await claimedNew();
      const later = await takenOver(id, await at.another(), { attempt: 'att_2' });
      await at.store.commitRefresh(id, heldBy(later), someRefreshedFields(), someCredentials(), anEntry);
      const before = await at.store.servedRow(id);
      const audit = anEntry();
      for (const generation of [held.generation, held.generation + 2])
        expect(
          await at.store.commitRefresh(
            id,
            { ...held, generation },
            someRefreshedFields(),
            someCredentials(),
            () => audit,
          ),
        ).toBe('superseded');
      expect(await at.store.servedRow(id)).toEqual(before);
      expect(await recorded(at.store, audit)).toBe(false);
    });

    test('superseded by a reconnect, also of the claim that was under way', async () => {
      const { id, connection, held } = await claimedNew();
      await at.store.renewConnection(connection, someCredentials(), null, anEntry());
      const before = await at.store.servedRow(id);
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'superseded',
      );
      expect(await at.store.servedRow(id)).toEqual(before);
    });

    test('succeeds for a claim that the database has lost', async () => {
      const { connection } = await connected(at.store);
      const held = { fence: 7, generation: 1 };
      expect(await at.store.commitRefresh(connection.id, held, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'committed',
      );
    });

    test.each([true, false])(
      'superseded by other credentials of the same generation and fence (routine: %s)',
      async (isRoutine) => {
        const { id, connection, held } = await claimedNew({ failures: 0, lastRefreshError: null });
        const before = await at.store.servedRow(id);
        const other = { ...held, isRoutine, keepsValues: isRoutine, issuedAt: connection.issuedAt - 1 };
        const commit = (as: typeof other) =>
          at.store.commitRefresh(id, as, someRefreshedFields(), someCredentials(), anEntry, 'changes');
        expect(await commit(other)).toBe('superseded');
        expect(await at.store.servedRow(id)).toEqual(before);
        expect(await commit({ ...other, issuedAt: connection.issuedAt })).toBe('committed');
      },
    );

    test('gone after a revocation, and nothing changes', async () => {
      const { id, held } = await claimedNew();
      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      const tombstone = await at.store.servedRow(id);
      const audit = anEntry();
      expect(await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), () => audit)).toBe(
        'gone',
      );
      expect(await at.store.recordRefreshFailure(id, held, aFailure(), audit)).toBe('gone');
      expect(
        await at.store.commitRefresh('con_none', held, someRefreshedFields(), someCredentials(), () => audit),
      ).toBe('gone');
      expect(await at.store.servedRow(id)).toEqual(tombstone);
      expect(await recorded(at.store, audit)).toBe(false);
    });
  });

  describe('commitRefresh of a late answer', () => {
    /** Claimed, then taken over by another process. */
    async function overtaken() {
      const { id, connection, held } = await claimedNew();
      const other = await at.another();
      const later = heldBy(await takenOver(id, other, { attempt: 'att_2' }));
      const credentials = someCredentials();
      const change = someRefreshedFields();
      const audit = anEntry();
      const commitLate = () => at.store.commitRefresh(id, held, change, credentials, () => audit);
      return { id, connection, held, other, later, credentials, change, audit, commitLate };
    }
    const tokenOf = async (id: string) => (await at.store.servedRow(id))?.accessToken;

    test.each([true, false])('succeeds after the newer claim has failed, resolved: %s', async (resolved) => {
      const { id, connection, other, later, credentials, change, audit, commitLate } = await overtaken();
      await other.recordRefreshFailure(id, later, aFailure({ resolved }), anEntry());
      expect(await commitLate()).toBe('committed');
      expect(await at.store.servedRow(id)).toEqual({
        connection: { ...connection, ...change, generation: 2, failures: 0, lastRefreshError: null },
        accessToken: credentials.accessToken,
      });
      expect(await recorded(at.store, audit)).toBe(true);
      expect((await claimed(id, aClaim({ attempt: 'att_3' }), other)).unresolved).toBeNull();
    });

    test.each(['refresh_outcome_unknown', 'grant_revoked'] as const)(
      'reactivates a connection that the newer claim has judged %s, and is due at once',
      async (reason) => {
        const { id, other, later, credentials, change, commitLate } = await overtaken();
        await other.recordRefreshFailure(id, later, aFailure({ reason, nextRefreshAt: null }), anEntry());
        expect(await commitLate()).toBe('committed');
        expect(await at.store.connection(id)).toMatchObject({
          status: 'active',
          reason: null,
          generation: 2,
          failures: 0,
          lastRefreshError: null,
          nextRefreshAt: change.updatedAt,
        });
        expect(await tokenOf(id)).toBe(credentials.accessToken);
      },
    );

    test('under a newer claim: succeeds, and that claim keeps its lease without its intent', async () => {
      const { id, other, credentials, commitLate } = await overtaken();
      expect(await commitLate()).toBe('committed');
      expect(await tokenOf(id)).toBe(credentials.accessToken);
      expect(await at.store.claim(id, aClaim({ attempt: 'att_3' }))).toBe('busy');
      await other.close();
      expect(await at.store.unresolvedRefreshes()).toEqual([]);
      expect((await claimed(id, aClaim({ attempt: 'att_3' }))).unresolved).toBeNull();
    });

    test('under a newer claim that fails then: its failure is not recorded, and its lease is free', async () => {
      const { id, other, later, commitLate } = await overtaken();
      await commitLate();
      const before = await at.store.servedRow(id);
      const audit = anEntry();
      const failure = aFailure({ reason: 'refresh_outcome_unknown' });
      expect(await other.recordRefreshFailure(id, later, failure, audit)).toBe('superseded');
      expect(await recorded(at.store, audit)).toBe(false);
      expect(await at.store.servedRow(id)).toEqual(before);
      expect((await claimed(id, aClaim({ attempt: 'att_3' }))).unresolved).toBeNull();
    });

    test('under a newer claim that succeeds then: its answer replaces the late one', async () => {
      const { id, other, later, commitLate } = await overtaken();
      await commitLate();
      const newest = someCredentials();
      expect(await other.commitRefresh(id, later, someRefreshedFields(), newest, anEntry)).toBe('committed');
      expect(await tokenOf(id)).toBe(newest.accessToken);
      expect((await at.store.connection(id))?.generation).toBe(3);
      expect(await other.commitRefresh(id, later, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'superseded',
      );
      expect((await claimed(id, aClaim({ attempt: 'att_3' }))).unresolved).toBeNull();
    });

    test('under a newer claim, and a reconnect after it: the answer of the newer claim is superseded', async () => {
      const { id, connection, other, later, commitLate } = await overtaken();
      await commitLate();
      const owners = someCredentials();
      await at.store.renewConnection(connection, owners, null, anEntry());
      expect(await other.commitRefresh(id, later, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'superseded',
      );
      expect(await tokenOf(id)).toBe(owners.accessToken);
    });

    test('its failure is not recorded, whatever the newer claim does', async () => {
      const { id, held, other, later } = await overtaken();
      const before = await at.store.servedRow(id);
      const failure = aFailure({ reason: 'grant_revoked' });
      expect(await at.store.recordRefreshFailure(id, held, failure, anEntry())).toBe('superseded');
      expect(await at.store.servedRow(id)).toEqual(before);
      expect(await at.store.claim(id, aClaim())).toBe('busy');
      expect(await other.commitRefresh(id, later, someRefreshedFields(), someCredentials(), anEntry)).toBe('committed');
    });
  });

  describe('of a grant that is ended while its refresh is in flight', () => {
    const ENDS = ['deauthorized', 'identity_changed', 'authorization_server_changed'] as const;
    const actionOf = async ({ id }: { id: string }) =>
      (await at.store.audit({}, { limit: 500, after: undefined })).data.find((one) => one.id === id)?.action;

    test.each(ENDS)('%s: the answer is kept, lifts nothing, and is not to be served', async (reason) => {
      const { id, connection, held } = await claimedNew();
      await at.store.deauthorize(id, 1, reason, anEntry());
      const [credentials, change] = [someCredentials(), someRefreshedFields()];
      const audit = anEntry({ action: 'connection.refreshed' });
      expect(await at.store.commitRefresh(id, held, change, credentials, () => audit)).toBe('held');
      expect(await at.store.connection(id)).toEqual({
        ...connection,
        ...change,
        ...{ status: 'needs_reauth', reason, nextRefreshAt: null, generation: 2, failures: 0, lastRefreshError: null },
      });
      // A later try of the grant has them.
      expect(await at.store.storedCredentials(id)).toEqual(credentials);
      expect(await at.store.dueIntegrations(NOW + 10 * LEASE_MS)).toEqual([]);
      expect(await actionOf(audit)).toBe('connection.refreshed');
    });

    test.each(ENDS)('%s: a refusal gives it no other reason', async (reason) => {
      const { id, held } = await claimedNew();
      await at.store.deauthorize(id, 1, reason, anEntry());
      const failure = aFailure({ reason: 'grant_revoked' });
      const audit = anEntry({ action: 'connection.needs_reauth' });
      expect(await at.store.recordRefreshFailure(id, held, failure, audit)).toBe('kept');
      const ended = { status: 'needs_reauth', reason, nextRefreshAt: null, lastRefreshError: failure.error };
      expect(await at.store.connection(id)).toMatchObject(ended);
      expect(await actionOf(audit)).toBe('connection.refresh_failed');
    });
  });

  describe('a claim under which nothing was sent', () => {
    test('is replaced by the next one, which inherits no intent of it', async () => {
      const { connection } = await connected(at.store);
      const first = await claimed(connection.id);
      const again = await claimed(connection.id, aClaim({ attempt: 'att_2', unsent: first }));
      expect(again.unresolved).toBeNull();
      expect(again.fence).toBeGreaterThan(first.fence);
    });

    test('leaves what it has inherited itself', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      const second = await claimed(id, aClaim({ attempt: 'att_2', now: NOW + 5_000 }));
      const third = await claimed(id, aClaim({ attempt: 'att_3', now: NOW + 9_000, unsent: second }));
      expect(third.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
    });

    test('leaves the intent of another process that has claimed since', async () => {
      const { connection } = await connected(at.store);
      const first = await claimed(connection.id);
      const other = await at.another();
      await takenOver(connection.id, other, { attempt: 'att_2' });
      await other.close();
      const third = await claimed(connection.id, aClaim({ attempt: 'att_3', unsent: first }));
      expect(third.unresolved).toMatchObject({ attempt: 'att_2' });
    });

    test('is given back as if it had never been made', async () => {
      const { connection } = await connected(at.store);
      const first = await claimed(connection.id);
      await at.store.releaseUnsent(connection.id, first);
      expect(await at.store.unresolvedRefreshes()).toEqual([]);
      expect(await at.store.connection(connection.id)).toEqual(connection);
      const other = await at.another();
      expect((await claimed(connection.id, aClaim({ attempt: 'att_2' }), other)).unresolved).toBeNull();
      // It is not the newest any more.
      await at.store.releaseUnsent(connection.id, first);
      expect(await at.store.claim(connection.id, aClaim({ attempt: 'att_3' }))).toBe('busy');
    });

    test('is given back, and due again at once', async () => {
      const { connection } = await connected(at.store, { nextRefreshAt: NOW - 1_000 });
      // So late that it falls to any process.
      const due = async () =>
        (await at.store.dueConnections('slack', NOW + DUE_FOR_OTHERS_MS, 10)).map(({ dueAt }) => dueAt);
      const first = await claimed(connection.id, aClaim({ now: NOW }));
      expect(await due()).toEqual([]);
      await at.store.releaseUnsent(connection.id, first);
      expect(await due()).toEqual([NOW]);
    });

    test('is given back with what it has inherited', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      const second = await claimed(id, aClaim({ attempt: 'att_2', now: NOW + 5_000 }));
      await at.store.releaseUnsent(id, second);
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
    });
  });

  describe('recordRefreshFailure', () => {
    test('leaves credentials and status, counts the failure, and sets the next attempt', async () => {
      const { id, connection, held } = await claimedNew();
      const before = await at.store.servedRow(id);
      const [failure, audit] = [aFailure(), anEntry()];
      expect(await at.store.recordRefreshFailure(id, held, failure, audit)).toBe('recorded');
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
      expect(await recorded(at.store, audit)).toBe(true);
    });

    test('a reason makes it needs_reauth', async () => {
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

    test('releases the lease and keeps the intent when not resolved', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      const next = await claimed(id, aClaim({ attempt: 'att_2' }));
      expect(next.unresolved).toEqual({ attempt: 'att_1', startedAt: NOW });
    });
  });

  describe('unresolvedRefreshes', () => {
    test('returns only intents whose outcome is unknown', async () => {
      const lost = await claimedNew();
      const failed = await claimedNew();
      await claimedNew();
      await at.store.recordRefreshFailure(lost.id, lost.held, aFailure({ resolved: false }), anEntry());
      await at.store.recordRefreshFailure(failed.id, failed.held, aFailure(), anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id: lost.id, startedAt: NOW }]);
    });

    test('startedAt is that of the first of consecutive intents', async () => {
      const { id, held } = await claimedNew();
      await at.store.recordRefreshFailure(id, held, aFailure({ resolved: false }), anEntry());
      const again = await claimed(id, aClaim({ attempt: 'att_2', now: NOW + 9_000 }));
      await at.store.recordRefreshFailure(id, heldBy(again), aFailure({ resolved: false }), anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
      const third = await claimed(id, aClaim({ attempt: 'att_3', now: NOW + 12_000 }));
      await at.store.commitRefresh(id, heldBy(third), someRefreshedFields(), someCredentials(), anEntry);
      const later = await claimed(id, aClaim({ attempt: 'att_4', now: NOW + 20_000 }));
      await at.store.recordRefreshFailure(id, heldBy(later), aFailure({ resolved: false }), anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW + 20_000 }]);
    });
  });

  describe('due connections', () => {
    /** So late that it falls to any process, however many have the database open. */
    const LATE = NOW + DUE_FOR_OTHERS_MS;
    const due = async (nextRefreshAt: number | null, more: Partial<Connection> = {}) =>
      (await connected(at.store, { nextRefreshAt, ...more })).connection;
    const found = (now = LATE, limit = 10, without: string[] = []) =>
      at.store.dueConnections('slack', now, limit, without);
    // Stores are used by one test after the other: at an earlier time, they look at everything again.
    const forgetting = async (store: Store) => {
      await store.dueIntegrations(NOW - 99_000);
      return store;
    };
    beforeEach(() => forgetting(at.store));
    const ids = async (rows: ReturnType<typeof found>) => (await rows).map(({ connection }) => connection.id);

    test('are found oldest first, as rows; nothing is written', async () => {
      const second = await due(NOW);
      const first = await due(NOW - 5);
      const later = await due(LATE + 1);
      await due(null);
      const rows = [
        { connection: first, dueAt: NOW - 5 },
        { connection: second, dueAt: NOW },
      ];
      expect(await found()).toEqual(rows);
      expect(await found()).toEqual(rows);
      expect(await ids(found(LATE, 10, [first.id]))).toEqual([second.id]);
      expect(await ids(found(LATE, 1))).toHaveLength(1);
      expect(await ids(found(later.nextRefreshAt! + DUE_FOR_OTHERS_MS))).toEqual([first.id, second.id, later.id]);
    });

    test('a claim moves one on, and not what people see of it', async () => {
      const connection = await due(NOW);
      const { id } = connection;
      await claimed(id, aClaim({ now: LATE }), await at.another());
      expect(await found()).toEqual([]);
      expect(await at.store.connection(id)).toEqual(connection);
      const again = LATE + CLAIMED_DUE_AGAIN_MS;
      expect(await at.store.dueIntegrations(again)).toEqual([{ integration: 'slack', dueAt: again }]);
      expect(await found(again + DUE_FOR_OTHERS_MS)).toEqual([{ connection, dueAt: again }]);
    });

    test('a claim leaves one that is due later as it is', async () => {
      const { id } = await due(NOW + 2 * CLAIMED_DUE_AGAIN_MS);
      await claimed(id, aClaim({ now: NOW }));
      const [row] = await found(NOW + 3 * CLAIMED_DUE_AGAIN_MS);
      expect(row?.dueAt).toBe(NOW + 2 * CLAIMED_DUE_AGAIN_MS);
      const endless = await due(null);
      await claimed(endless.id, aClaim({ now: NOW }));
      expect(await ids(found(Number.MAX_SAFE_INTEGER))).toEqual([id]);
    });

    test.each([true, false])('an answer, or a failure, says when it is due again (routine: %s)', async (isRoutine) => {
      const { id, held } = await claimedNew({ nextRefreshAt: NOW, failures: 0, lastRefreshError: null });
      const change = someRefreshedFields({ nextRefreshAt: NOW + 70_000 });
      const routine = { ...held, isRoutine, keepsValues: isRoutine };
      await at.store.commitRefresh(id, routine, change, someCredentials(), anEntry, 'changes');
      expect(await at.store.dueIntegrations(NOW + 70_000)).toEqual([{ integration: 'slack', dueAt: NOW + 70_000 }]);
      expect(await at.store.dueIntegrations(NOW + 69_999)).toEqual([]);
      const again = heldBy(await claimed(id, aClaim({ attempt: 'att_2', now: NOW + 70_000 })));
      await at.store.recordRefreshFailure(id, again, aFailure({ nextRefreshAt: NOW + 90_000 }), anEntry());
      expect(await found(NOW + 99_000)).toMatchObject([{ dueAt: NOW + 90_000, connection: { id, generation: 2 } }]);
    });

    test('postponed: those that are still due, by a while', async () => {
      const [first, second, later] = [await due(NOW - 1), await due(NOW), await due(LATE + 1)];
      await at.store.postponeDue([first.id, later.id, 'con_none'], LATE);
      expect(await ids(found())).toEqual([second.id]);
      expect(await at.store.connection(first.id)).toEqual(first);
      const again = LATE + CLAIMED_DUE_AGAIN_MS;
      const rows = await found(again + DUE_FOR_OTHERS_MS);
      expect(rows.map(({ connection, dueAt }) => [connection.id, dueAt]).sort()).toEqual(
        [
          [first.id, again],
          [second.id, NOW],
          [later.id, again],
        ].sort(),
      );
    });

    test('are only the active ones', async () => {
      await due(NOW, { status: 'needs_reauth', reason: 'grant_expired' });
      const { id } = await due(NOW);
      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      const failed = await claimedNew({ nextRefreshAt: NOW });
      await at.store.recordRefreshFailure(failed.id, failed.held, aFailure({ reason: 'grant_revoked' }), anEntry());
      expect(await at.store.dueIntegrations(LATE + 99_000)).toEqual([]);
      expect(await found(LATE + 99_000)).toEqual([]);
    });

    test('are counted and found by integration', async () => {
      const mine = await due(NOW - 7);
      await due(NOW - 3);
      const other = await due(NOW - 9, { integration: 'beta' });
      const rows = [
        { integration: 'beta', dueAt: NOW - 9 },
        { integration: 'slack', dueAt: NOW - 7 },
      ];
      expect(await at.store.dueIntegrations(NOW - 8)).toEqual(rows.slice(0, 1));
      expect(await at.store.dueIntegrations(NOW)).toEqual(rows);
      expect(await at.store.countDue(NOW)).toEqual([
        { ...rows[0], count: 1 },
        { ...rows[1], count: 2 },
      ]);
      expect(await ids(at.store.dueConnections('beta', LATE, 10))).toEqual([other.id]);
      await claimed(other.id);
      await claimed(mine.id);
      expect(await at.store.dueIntegrations(NOW)).toEqual([{ integration: 'slack', dueAt: NOW - 3 }]);
    });

    test('one that becomes due by an older time than was looked at is found', async () => {
      await due(NOW - 3);
      expect(await at.store.dueIntegrations(NOW)).toHaveLength(1);
      const { connection } = await connected(at.store, { integration: 'beta', nextRefreshAt: NOW });
      expect(await at.store.dueIntegrations(NOW + 1_000)).toMatchObject([
        { integration: 'slack' },
        { integration: 'beta' },
      ]);
      await at.store.hold(connection.id, 'account_disabled', NOW, anEntry());
      expect(await at.store.dueIntegrations(NOW + 2_000)).toMatchObject([{ integration: 'slack' }]);
      await at.store.release(connection.id, { at: NOW, nextRefreshAt: NOW + 1_500, isMinted: false }, anEntry());
      expect(await at.store.dueIntegrations(NOW + 3_000)).toMatchObject([
        { integration: 'slack' },
        { integration: 'beta', dueAt: NOW + 1_500 },
      ]);
    });

    test('those that are not late fall to one process alone', async () => {
      for (let i = 0; i < 20; i++) await due(NOW - i);
      const other = await forgetting(await at.another());
      const [mine, theirs] = [await found(NOW, 20), await other.dueConnections('slack', NOW, 20)];
      const all = [...mine, ...theirs].map(({ connection }) => connection.id);
      expect(new Set(all).size).toBe(all.length);
      for (const store of [at.store, other]) expect(await store.dueConnections('slack', LATE, 20)).toHaveLength(20);
    });
  });

  describe('retries of failed refreshes', () => {
    const LATER = NOW + 60_000;
    const waiting = async (at_: number, given: Partial<Connection> = {}) =>
      (
        await connected(at.store, {
          failures: 2,
          nextRefreshAt: LATER,
          lastRefreshError: { code: 'misconfigured.invalid_client', detail: 'a\u0000d', at: at_, retryAt: LATER },
          ...given,
        })
      ).connection;
    const due = async (integration: string) =>
      (await at.store.dueConnections(integration, NOW + DUE_FOR_OTHERS_MS, 10))
        .map(({ connection }) => connection.id)
        .sort();

    test('those that failed by then are due, and wait for nothing; all others are left as they are', async () => {
      const [one, two] = [await waiting(NOW - 9), await waiting(NOW)];
      const others = [
        await waiting(NOW + 1),
        await waiting(NOW, { integration: 'beta' }),
        await waiting(NOW, { status: 'needs_reauth', reason: 'grant_revoked' }),
        await waiting(NOW, { nextRefreshAt: NOW - 1 }),
        await waiting(NOW, { nextRefreshAt: null }),
        await waiting(NOW, { failures: 0, lastRefreshError: null }),
      ];
      const expired = [
        { integration: 'none', failedBy: NOW },
        { integration: 'slack', failedBy: NOW },
      ];
      const all = { limit: 50, after: undefined };
      expect(await at.store.retryFailed(expired, NOW, all)).toEqual({ retried: 2, next: null });
      for (const before of [one, two])
        expect(await at.store.connection(before.id)).toEqual({
          ...before,
          nextRefreshAt: NOW,
          lastRefreshError: { ...before.lastRefreshError, retryAt: null },
        });
      for (const before of others) expect(await at.store.connection(before.id)).toEqual(before);
      expect(await at.store.retryFailed(expired, NOW, all)).toEqual({ retried: 0, next: null });
      expect(await due('slack')).toEqual([one.id, two.id, others[3]!.id].sort());
      expect(await at.store.retryFailed([], NOW, all)).toEqual({ retried: 0, next: null });
    });

    test('in pages of those that have failed, of any integration', async () => {
      const mine: string[] = [];
      for (let i = 0; i < 3; i++) {
        mine.push((await waiting(NOW)).id);
        await waiting(NOW, { integration: 'beta' });
      }
      const retried: number[] = [];
      for (let after: string | undefined | null; after !== null; ) {
        const expired = [{ integration: 'slack', failedBy: NOW }];
        const page = await at.store.retryFailed(expired, NOW, { limit: 2, after });
        retried.push(page.retried);
        after = page.next;
      }
      expect(retried.reduce((sum, n) => sum + n)).toBe(3);
      expect(retried.length).toBeGreaterThan(2);
      expect(await due('slack')).toEqual(mine.sort());
    });
  });

  describe('dead grants', () => {
    const dead = async (updatedAt: number, given: Partial<Connection> = {}) =>
      (await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked', updatedAt, ...given })).connection;

    test('of an integration since a time, the newest first', async () => {
      await dead(NOW - 20);
      const first = await dead(NOW - 10);
      const second = await dead(NOW - 5);
      await dead(NOW, { integration: 'beta' });
      await connected(at.store, { updatedAt: NOW });
      expect(await at.store.recentlyDead('slack', NOW - 10, 10)).toEqual([second, first]);
      expect(await at.store.recentlyDead('slack', NOW - 10, 1)).toEqual([second]);
    });

    test('reactivated: active and due, the rest as it was, and the change is reported', async () => {
      const connection = await dead(NOW - 10);
      const { id, generation, reason } = connection;
      expect(await at.store.reactivate(id, { generation, reason }, NOW, anEntry())).toBe('reactivated');
      const active = { ...connection, status: 'active', reason: null, nextRefreshAt: NOW };
      expect(await at.store.connection(id)).toEqual(active);
      expect(await at.store.dueIntegrations(NOW)).toEqual([{ integration: 'slack', dueAt: NOW }]);
      expect(await claimed(id)).toMatchObject({ connection: { id } });
    });

    test('changed: another generation, reason or status', async () => {
      const { id, generation, reason } = await dead(NOW);
      const audit = anEntry();
      const attempts = [
        { generation: generation + 1, reason },
        { generation, reason: 'grant_expired' as const },
        { generation, reason: null },
      ];
      for (const expected of attempts) expect(await at.store.reactivate(id, expected, NOW, audit)).toBe('changed');
      expect(await at.store.connection(id)).toMatchObject({ status: 'needs_reauth', reason });
      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      expect(await at.store.reactivate(id, { generation, reason }, NOW, audit)).toBe('changed');
      expect(await at.store.reactivate('con_none', { generation, reason }, NOW, audit)).toBe('changed');
    });

    test('a failure may leave the time of the last change as it was', async () => {
      const { id, held } = await claimedNew({ updatedAt: NOW - 99 });
      const failure = aFailure({ reason: 'grant_revoked', nextRefreshAt: null, updatedAt: NOW - 99 });
      expect(await at.store.recordRefreshFailure(id, held, failure, anEntry())).toBe('recorded');
      expect(await at.store.connection(id)).toMatchObject({ status: 'needs_reauth', updatedAt: NOW - 99 });
    });

    test('the last refresh of an integration: null while there was none', async () => {
      await connected(at.store, { lastRefreshedAt: null, nextRefreshAt: NOW + 9 });
      expect(await at.store.lastRefreshAt('slack')).toBeNull();
      await connected(at.store, { lastRefreshedAt: NOW - 5, nextRefreshAt: NOW + 1 });
      await connected(at.store, { lastRefreshedAt: NOW - 7, nextRefreshAt: NOW + 5 });
      await connected(at.store, { integration: 'beta', lastRefreshedAt: NOW, nextRefreshAt: NOW + 1 });
      expect(await at.store.lastRefreshAt('slack')).toBe(NOW - 5);
    });
  });
}
