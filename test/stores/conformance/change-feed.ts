// The contract of the store: each committed change is reported to every subscriber.
import { describe, expect, test, vi } from 'vitest';
import type { Change, Store } from '../../../src/ports/index.ts';
import {
  aCaller,
  aKey,
  anEntry,
  anIntegration,
  aSigningKey,
  connected,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';
import type { Opened } from './index.ts';

export function changeFeed(at: Opened): void {
  async function watching(store: Store) {
    const reported: Change[] = [];
    const feed = await store.subscribe((changes) => reported.push(...changes));
    const receives = (change: Change) => vi.waitFor(() => expect(reported).toContainEqual(change), { timeout: 30_000 });
    return { reported, feed, receives };
  }
  const claimed = async (store: Store, id: string) => {
    const outcome = await store.claim(id, { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 });
    if (typeof outcome === 'string') throw new Error(outcome);
    return { fence: outcome.fence, generation: outcome.connection.generation };
  };

  describe.each(['itself', 'another process'])('changes by %s are reported', (who) => {
    const writer = async () => (who === 'itself' ? at.store : at.another());

    test('of connections: added, refreshed, failed, renewed, revoked, with the current generation', async () => {
      const { reported, receives } = await watching(at.store);
      const store = await writer();
      const { connection } = await connected(store);
      const { id } = connection;
      await receives({ kind: 'connection', id, generation: 1 });
      const held = await claimed(store, id);
      await store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry);
      await receives({ kind: 'connection', id, generation: 2 });
      await store.renewConnection(connection, someCredentials(), null, anEntry());
      await receives({ kind: 'connection', id, generation: 3 });
      const before = reported.length;
      await store.recordRefreshFailure(id, await claimed(store, id), failure, anEntry());
      await vi.waitFor(() => expect(reported.length).toBeGreaterThan(before), { timeout: 30_000 });
      await store.revoke(id, 'unsupported', NOW, anEntry());
      await vi.waitFor(() => expect(reported.length).toBeGreaterThan(before + 1), { timeout: 30_000 });
      const generations = reported.map((change) => (change.kind === 'connection' ? change.generation : undefined));
      const inOrder = generations.filter((generation) => generation !== undefined);
      expect(inOrder).toEqual(inOrder.toSorted());
    });

    test('of integrations and callers', async () => {
      const { reported, receives } = await watching(at.store);
      const store = await writer();
      await store.putIntegration(anIntegration({ id: 'github' }), anEntry());
      await receives({ kind: 'integration', id: 'github' });
      expect(reported).not.toContainEqual({ kind: 'callers' });
      const caller = aCaller();
      await store.addCaller(caller, aKey(caller.id), anEntry());
      await receives({ kind: 'callers' });
      reported.length = 0;
      await store.deleteIntegration('github', anEntry());
      await receives({ kind: 'integration', id: 'github' });
      await store.deleteCaller(caller.id, anEntry());
      await receives({ kind: 'callers' });
    });

    test('of signing keys', async () => {
      const { receives } = await watching(at.store);
      await (await writer()).swapSigningKeys('jwt', [], [aSigningKey({ purpose: 'jwt' })], [anEntry()]);
      await receives({ kind: 'signing_keys' });
    });

    test('of captures, started and ended', async () => {
      const { reported, receives } = await watching(at.store);
      const store = await writer();
      const { connection } = await connected(store);
      await store.startCapture({ connectionId: connection.id, startedAt: NOW, until: NOW + 2 }, anEntry());
      await receives({ kind: 'captures' });
      reported.length = 0;
      await store.stopCapture(connection.id, NOW + 1, anEntry());
      await receives({ kind: 'captures' });
    });
  });

  const failure = {
    reason: 'grant_revoked',
    error: { code: 'invalid_grant', detail: 'dead', at: NOW, retryAt: null },
    nextRefreshAt: null,
    resolved: true,
  } as const;

  describe('untilApplied', () => {
    const QUICKLY = 10_000;
    const revoke = async () => {
      const { connection } = await connected(at.store);
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      return { kind: 'connection', id: connection.id, generation: 1 };
    };

    test('returns at once when no other process subscribes', async () => {
      await at.another();
      await at.store.subscribe(() => undefined);
      await revoke();
      expect(await at.store.untilApplied(QUICKLY)).toBe(0);
    });

    test('returns when every other subscriber has applied all changes, and not before', async () => {
      const applied: Change[][] = [[], []];
      for (const list of applied) {
        const other = await at.another();
        await other.subscribe(async (changes) => {
          await new Promise(setImmediate);
          list.push(...changes);
        });
      }
      await at.store.subscribe(() => undefined);
      for (let i = 0; i < 8; i++) {
        const revoked = await Promise.all([revoke(), revoke()]);
        expect(await at.store.untilApplied(QUICKLY)).toBe(0);
        for (const list of applied) expect(list).toEqual(expect.arrayContaining(revoked));
      }
    });

    test('counts those that have not applied them in time', async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const slow = await at.another();
      await slow.subscribe(() => promise);
      await (await at.another()).subscribe(() => undefined);
      await revoke();
      const behind = async () => expect(await at.store.untilApplied(300)).toBe(1);
      await vi.waitFor(behind, { timeout: QUICKLY });
      resolve();
      expect(await at.store.untilApplied(QUICKLY)).toBe(0);
    });

    test('does not wait for a process that has stopped', async () => {
      const gone = await at.another();
      await gone.subscribe(() => new Promise(() => undefined));
      await gone.close();
      await revoke();
      expect(await at.store.untilApplied(QUICKLY)).toBe(0);
    });
  });

  test('every subscriber gets the changes after its subscription', async () => {
    await at.store.putIntegration(anIntegration({ id: 'before' }), anEntry());
    const [one, other] = [await watching(at.store), await watching(await at.another())];
    await at.store.putIntegration(anIntegration({ id: 'after' }), anEntry());
    for (const { receives, reported } of [one, other]) {
      await receives({ kind: 'integration', id: 'after' });
      expect(reported).not.toContainEqual({ kind: 'integration', id: 'before' });
    }
  });

  test('an operation that changed nothing is not reported', async () => {
    const { reported, receives } = await watching(at.store);
    const { connection } = await connected(at.store);
    await at.store.revoke('con_none', 'unsupported', NOW, anEntry());
    const twin = at.store.addConnection({ ...connection, integration: 'none' }, someCredentials(), null, anEntry());
    await expect(twin).rejects.toThrow();
    await at.store.putIntegration(anIntegration({ id: 'last' }), anEntry());
    await receives({ kind: 'integration', id: 'last' });
    expect(reported.filter(({ kind }) => kind === 'connection')).toHaveLength(1);
  });

  test('nothing is reported after stop', async () => {
    const [stopped, going] = [await watching(at.store), await watching(at.store)];
    await stopped.feed.stop();
    await at.store.putIntegration(anIntegration(), anEntry());
    await going.receives({ kind: 'integration', id: 'slack' });
    expect(stopped.reported).toEqual([]);
  });

  test('the feed has a delivery that the traits allow, and a bounded delay', async () => {
    const { feed } = await watching(at.store);
    expect(['polled', at.store.traits.changeFeed]).toContain(feed.delivery);
    expect(feed.everyMs).toBeLessThanOrEqual(feed.delivery === 'polled' ? 500 : 5_000);
  });
}
