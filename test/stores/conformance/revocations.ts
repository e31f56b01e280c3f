// The contract of the store: tombstones, and revocations that the provider has not confirmed.
import { describe, expect, test } from 'vitest';
import { aFlow, anEntry, aRevocation, aSession, connected, NOW, recorded, someCredentials } from '../builders.ts';
import type { Opened } from './index.ts';

const PUSH = NOW + 60_000;

export function revocations(at: Opened): void {
  const revoked = async () => {
    const { connection, credentials } = await connected(at.store);
    const outcome = await at.store.revoke(connection.id, 'pending', NOW + 10, anEntry({ at: NOW + 3 }));
    if (!outcome?.pending) throw new Error('nothing pending');
    return { connection, credentials, pending: outcome.pending };
  };
  const shown = async (id: string) => (await at.store.connection(id))?.upstreamRevocation;
  const allDue = () => at.store.claimRevocations('slack', Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER, 500);

  describe('revoke', () => {
    test('leaves a tombstone without secrets, and moves the tokens to the outbox', async () => {
      const { connection, credentials } = await connected(at.store, {
        status: 'needs_reauth',
        reason: 'grant_expired',
      });
      const audit = anEntry({ at: NOW + 3 });
      const outcome = await at.store.revoke(connection.id, 'pending', NOW + 10, audit);
      const tombstone = {
        ...connection,
        status: 'revoked',
        reason: null,
        nextRefreshAt: null,
        reauthDueAt: null,
        upstreamRevocation: 'pending',
        updatedAt: NOW + 3,
      };
      const pending = {
        id: expect.stringMatching(/^rev_./),
        connectionId: connection.id,
        integration: connection.integration,
        owner: connection.owner,
        label: connection.label,
        account: connection.account,
        params: connection.params,
        captured: connection.captured,
        accessToken: credentials.accessToken,
        refreshToken: credentials.refreshToken,
        credentials: null,
        attempts: 0,
        nextAt: NOW + 10,
        claimedUntil: NOW + 10,
        createdAt: NOW + 3,
      };
      expect(outcome).toEqual({ connection: tombstone, already: false, pending });
      expect(await at.store.servedRow(connection.id)).toEqual({ connection: tombstone, accessToken: null });
      expect(await recorded(at.store, audit)).toBe(true);
      expect(await at.store.claimRevocations('slack', NOW + 9, PUSH, 10)).toEqual([]);
      expect(await at.store.claimRevocations('slack', NOW + 10, PUSH, 10)).toEqual([
        { ...pending, attempts: 1, nextAt: PUSH, claimedUntil: PUSH },
      ]);
    });

    test('adds nothing to the outbox when unsupported', async () => {
      const { connection } = await connected(at.store);
      const outcome = await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      expect(outcome).toMatchObject({ already: false, pending: null });
      expect(await shown(connection.id)).toBe('unsupported');
      expect(await allDue()).toEqual([]);
    });

    test('moves where the grant comes from only where it is asked to: other credentials are deleted', async () => {
      const { connection, credentials } = await connected(at.store);
      await at.store.revoke(connection.id, 'pending', NOW, anEntry(), true);
      expect(await allDue()).toMatchObject([{ credentials: credentials.credentials }]);
    });

    test('moves missing tokens as null', async () => {
      const { connection } = await connected(at.store, {}, someCredentials({ accessToken: null, refreshToken: null }));
      await at.store.revoke(connection.id, 'pending', NOW, anEntry());
      expect(await allDue()).toMatchObject([{ accessToken: null, refreshToken: null }]);
    });

    test('a second revocation changes nothing', async () => {
      const { connection, pending } = await revoked();
      const tombstone = await at.store.connection(connection.id);
      const audit = anEntry({ at: NOW + 99 });
      const again = await at.store.revoke(connection.id, 'unsupported', NOW, audit);
      expect(again).toEqual({ connection: tombstone, already: true, pending: null });
      expect(await at.store.connection(connection.id)).toEqual(tombstone);
      expect((await allDue()).map((r) => r.id)).toEqual([pending.id]);
      expect(await recorded(at.store, audit)).toBe(false);
    });

    test('of two concurrent revocations, one succeeds', async () => {
      const { connection } = await connected(at.store);
      const other = await at.another();
      const both = [at.store, other].map((store) => store.revoke(connection.id, 'pending', NOW, anEntry()));
      expect((await Promise.all(both)).map((outcome) => outcome?.already).sort()).toEqual([false, true]);
      expect(await allDue()).toHaveLength(1);
    });

    test('undefined when absent', async () => {
      const audit = anEntry();
      expect(await at.store.revoke('con_none', 'pending', NOW, audit)).toBeUndefined();
      expect(await recorded(at.store, audit)).toBe(false);
    });

    test('does not affect a connection of a similar id', async () => {
      const { connection } = await connected(at.store, { id: 'con_1', owner: 'user:1' });
      const { connection: ten, credentials } = await connected(at.store, { id: 'con_10', owner: 'user:10' });
      await at.store.revoke(connection.id, 'pending', NOW, anEntry());
      expect(await at.store.servedRow('con_10')).toEqual({ connection: ten, accessToken: credentials.accessToken });
    });
  });

  describe('pending revocations', () => {
    test('are returned with every field', async () => {
      const full = aRevocation();
      const bare = aRevocation({ accessToken: null, refreshToken: null, params: {} });
      await at.store.addPendingRevocation(full);
      await at.store.addPendingRevocation(bare);
      const taken = await at.store.claimRevocations('slack', NOW, PUSH, 10);
      expect(taken.sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
        { ...full, attempts: 2, nextAt: PUSH, claimedUntil: PUSH },
        { ...bare, attempts: 2, nextAt: PUSH, claimedUntil: PUSH },
      ]);
    });

    test('are claimed in batches, oldest first, and not again before nextAt', async () => {
      for (const nextAt of [NOW, NOW - 2, NOW - 1, NOW + 1])
        await at.store.addPendingRevocation(aRevocation({ nextAt, createdAt: nextAt }));
      const first = await at.store.claimRevocations('slack', NOW, PUSH, 2);
      const second = await at.store.claimRevocations('slack', NOW, PUSH, 2);
      expect([...first, ...second].map((r) => r.createdAt)).toEqual([NOW - 2, NOW - 1, NOW]);
      expect(first).toHaveLength(2);
      expect(await at.store.claimRevocations('slack', NOW, PUSH, 2)).toHaveLength(0);
      expect(await at.store.claimRevocations('slack', PUSH, PUSH + 1, 10)).toHaveLength(4);
    });

    test('are never claimed by two replicas', async () => {
      const all = [];
      for (let i = 0; i < 12; i++) {
        const revocation = aRevocation({ nextAt: NOW - i });
        await at.store.addPendingRevocation(revocation);
        all.push(revocation.id);
      }
      const other = await at.another();
      const takes = [at.store, other, at.store, other].map((store) => store.claimRevocations('slack', NOW, PUSH, 5));
      expect(
        (await Promise.all(takes))
          .flat()
          .map((r) => r.id)
          .sort(),
      ).toEqual(all);
    });

    test('are claimed by integration, and found by it, those of the oldest first', async () => {
      for (const [integration, nextAt] of [
        ['b', NOW - 1],
        ['a', NOW],
        ['b', NOW + 5],
        ['c', NOW - 9],
        ['d', NOW + 1],
      ] as const)
        await at.store.addPendingRevocation(aRevocation({ integration, nextAt }));
      expect(await at.store.dueRevocations(NOW)).toEqual(['c', 'b', 'a']);
      expect(await at.store.claimRevocations('b', NOW, PUSH, 9)).toMatchObject([{ integration: 'b', nextAt: PUSH }]);
      expect(await at.store.dueRevocations(NOW)).toEqual(['c', 'a']);
      expect(await at.store.dueRevocations(NOW + 5)).toEqual(['c', 'a', 'd', 'b']);
    });

    test('can be postponed', async () => {
      const { pending } = await revoked();
      await at.store.postponeRevocation(pending.id, NOW + 500);
      expect(await at.store.claimRevocations('slack', NOW + 499, PUSH, 10)).toEqual([]);
      expect(await at.store.claimRevocations('slack', NOW + 500, PUSH, 10)).toMatchObject([
        { id: pending.id, attempts: 1 },
      ]);
      await at.store.postponeRevocation('rev_none', NOW);
    });

    test.each(['done', 'failed', 'unsupported'] as const)(
      'are deleted when settled as %s, which the connection shows',
      async (outcome) => {
        const { connection, pending } = await revoked();
        const audit = anEntry({ at: NOW + 77 });
        await at.store.settleRevocation(pending.id, outcome, audit);
        expect(await at.store.connection(connection.id)).toMatchObject({
          status: 'revoked',
          upstreamRevocation: outcome,
          updatedAt: NOW + 77,
        });
        expect(await allDue()).toEqual([]);
        expect(await recorded(at.store, audit)).toBe(true);
      },
    );

    test('are under way from their claim until they are postponed or settled', async () => {
      const [one, other] = [aRevocation(), aRevocation({ integration: 'github' })];
      for (const each of [one, other]) await at.store.addPendingRevocation(each);
      const underWay = () => at.store.revocationsUnderWay('slack', NOW);
      expect(await underWay()).toEqual([]);
      await at.store.claimRevocations('slack', NOW, PUSH, 10);
      await at.store.claimRevocations('github', NOW, PUSH, 10);
      expect(await underWay()).toEqual([one.id]);
      expect(await at.store.revocationsUnderWay('slack', PUSH)).toEqual([]);
      await at.store.postponeRevocation(one.id, NOW);
      expect(await underWay()).toEqual([]);
      await at.store.claimRevocations('slack', NOW, PUSH, 10);
      await at.store.settleRevocation(one.id, 'done', anEntry());
      expect(await underWay()).toEqual([]);
    });

    test('isConnecting: an owner with a session in a browser, or anyone whose flow is consumed', async () => {
      const isConnecting = (owner: string) => at.store.isConnecting('slack', owner, null, NOW);
      const session = aSession({ owner: 'user:7', integration: 'slack' });
      await at.store.addSession(session, anEntry());
      expect(await isConnecting('user:7')).toBe(false);
      const flow = aFlow(session.id);
      expect(await at.store.beginFlow(flow, NOW)).toBe('begun');
      expect([await isConnecting('user:7'), await isConnecting('user:8')]).toEqual([true, false]);
      expect(await at.store.isConnecting('github', 'user:7', null, NOW)).toBe(false);
      await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW);
      expect([await isConnecting('user:7'), await isConnecting('user:8')]).toEqual([true, true]);
      await at.store.failSession(session.id, 'access_denied', anEntry());
      expect(await isConnecting('user:7')).toBe(false);
    });

    test('are settled once', async () => {
      const { connection, pending } = await revoked();
      await at.store.settleRevocation(pending.id, 'done', anEntry());
      const audit = anEntry();
      await at.store.settleRevocation(pending.id, 'failed', audit);
      expect(await shown(connection.id)).toBe('done');
      expect(await recorded(at.store, audit)).toBe(false);
    });

    test('show as pending until the last one of the connection is settled', async () => {
      const { connection, pending } = await revoked();
      const late = aRevocation({ connectionId: connection.id });
      const elsewhere = aRevocation();
      await at.store.addPendingRevocation(late);
      await at.store.addPendingRevocation(elsewhere);
      await at.store.settleRevocation(pending.id, 'failed', anEntry());
      expect(await shown(connection.id)).toBe('pending');
      await at.store.settleRevocation(late.id, 'done', anEntry());
      expect(await shown(connection.id)).toBe('done');
    });

    test('show as pending again when tokens arrive after one was settled', async () => {
      const { connection, pending } = await revoked();
      await at.store.settleRevocation(pending.id, 'done', anEntry());
      await at.store.addPendingRevocation(aRevocation({ connectionId: connection.id }));
      expect(await shown(connection.id)).toBe('pending');
    });

    test('never show on a live connection', async () => {
      const { connection } = await connected(at.store);
      const stray = aRevocation({ connectionId: connection.id });
      await at.store.addPendingRevocation(stray);
      await at.store.settleRevocation(stray.id, 'done', anEntry());
      expect(await at.store.connection(connection.id)).toEqual(connection);
    });
  });

  describe('purgeTombstones', () => {
    const page = (limit: number, after?: string) => ({ limit, after });
    const tombstone = async (revokedAt: number, given: Parameters<typeof connected>[1] = {}) => {
      const { connection } = await connected(at.store, given);
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry({ at: revokedAt }));
      return connection.id;
    };
    const there = async (ids: string[]) => {
      const found = await Promise.all(ids.map((id) => at.store.connection(id)));
      return ids.filter((_, i) => found[i] !== undefined);
    };

    test('deletes old ones, and neither young ones nor connections that live', async () => {
      const [old, young] = [await tombstone(NOW + 1), await tombstone(NOW + 2)];
      const others = await Promise.all(
        (['active', 'needs_reauth', 'on_hold'] as const).map((status) => connected(at.store, { status, updatedAt: 1 })),
      );
      const live = others.map(({ connection }) => connection.id);
      expect(await at.store.purgeTombstones(NOW + 2, page(9))).toEqual({ purged: 1, next: null });
      expect(await there([old, young, ...live])).toEqual([young, ...live]);
    });

    test('examines so many in each page, and goes on at its cursor', async () => {
      const ids = [await tombstone(NOW), await tombstone(NOW + 9), await tombstone(NOW)];
      const first = await at.store.purgeTombstones(NOW + 1, page(2));
      expect(first).toEqual({ purged: 1, next: ids[1] });
      expect(await at.store.purgeTombstones(NOW + 1, page(2, first.next!))).toEqual({ purged: 1, next: null });
      expect(await there(ids)).toEqual([ids[1]]);
    });

    test('keeps one whose revocation is still to be delivered, until that is settled', async () => {
      const { connection, pending } = await revoked();
      expect(await at.store.purgeTombstones(NOW + 99, page(9))).toMatchObject({ purged: 0 });
      await at.store.settleRevocation(pending.id, 'done', anEntry({ at: NOW + 5 }));
      expect(await at.store.purgeTombstones(NOW + 99, page(9))).toMatchObject({ purged: 1 });
      expect(await at.store.connection(connection.id)).toBeUndefined();
    });

    test('keeps its audit entries, and counts it no more', async () => {
      const { connection } = await connected(at.store);
      const entry = anEntry({ at: NOW, connectionId: connection.id });
      await at.store.revoke(connection.id, 'unsupported', NOW, entry);
      const counted = async () => (await at.store.countConnections()).find(({ status }) => status === 'revoked')?.count;
      expect(await counted()).toBe(1);
      await at.store.purgeTombstones(NOW + 1, page(9));
      expect([await counted(), await recorded(at.store, entry)]).toEqual([undefined, true]);
    });

    test('lets a revocation that comes later be delivered without it', async () => {
      const id = await tombstone(NOW);
      await at.store.purgeTombstones(NOW + 1, page(9));
      await at.store.addPendingRevocation(aRevocation({ connectionId: id }));
      const [due] = await allDue();
      await at.store.settleRevocation(due!.id, 'done', anEntry());
      expect(await at.store.connection(id)).toBeUndefined();
      expect(await allDue()).toEqual([]);
    });
  });
}
