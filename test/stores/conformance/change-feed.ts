// The contract of the store: what others may remember wrongly is told to them.
import { describe, expect, test, vi } from 'vitest';
import type { Change, Store } from '../../../src/ports/index.ts';
import {
  aCaller,
  aKey,
  anEntry,
  anIntegration,
  connected,
  NOW,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';
import type { Opened } from './index.ts';

export function changeFeed(at: Opened): void {
  async function watching(store: Store) {
    const told: Change[] = [];
    const watch = await store.subscribe((changes) => told.push(...changes));
    const hears = (change: Change) => vi.waitFor(() => expect(told).toContainEqual(change), { timeout: 10_000 });
    return { told, watch, hears };
  }
  const claimed = async (store: Store, id: string) => {
    const outcome = await store.claim(id, { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 });
    if (typeof outcome === 'string') throw new Error(outcome);
    return { fence: outcome.fence, generation: outcome.connection.generation };
  };

  describe.each(['itself', 'another process'])('what is changed by %s is told', (who) => {
    const writer = async () => (who === 'itself' ? at.store : at.another());

    test('of connections: made, refreshed, failed, renewed, revoked, with the generation that is there now', async () => {
      const { told, hears } = await watching(at.store);
      const store = await writer();
      const { connection } = await connected(store);
      const { id } = connection;
      await hears({ kind: 'connection', id, generation: 1 });
      const held = await claimed(store, id);
      await store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry());
      await hears({ kind: 'connection', id, generation: 2 });
      await store.renewConnection(connection, someCredentials(), null, anEntry());
      await hears({ kind: 'connection', id, generation: 3 });
      const before = told.length;
      await store.recordRefreshFailure(id, await claimed(store, id), failure, anEntry());
      await vi.waitFor(() => expect(told.length).toBeGreaterThan(before), { timeout: 10_000 });
      await store.revoke(id, 'unsupported', NOW, anEntry());
      await vi.waitFor(() => expect(told.length).toBeGreaterThan(before + 1), { timeout: 10_000 });
      const generations = told.map((change) => (change.kind === 'connection' ? change.generation : undefined));
      const inOrder = generations.filter((generation) => generation !== undefined);
      expect(inOrder).toEqual(inOrder.toSorted());
    });

    test('of integrations and callers', async () => {
      const { told, hears } = await watching(at.store);
      const store = await writer();
      await store.putIntegration(anIntegration({ id: 'github' }), anEntry());
      await hears({ kind: 'integration', id: 'github' });
      expect(told).not.toContainEqual({ kind: 'callers' });
      const caller = aCaller();
      await store.addCaller(caller, aKey(caller.id), anEntry());
      await hears({ kind: 'callers' });
      told.length = 0;
      await store.deleteIntegration('github', anEntry());
      await hears({ kind: 'integration', id: 'github' });
      await store.deleteCaller(caller.id, anEntry());
      await hears({ kind: 'callers' });
    });
  });

  const failure = {
    reason: 'grant_revoked',
    error: { code: 'invalid_grant', detail: 'dead', at: NOW, retryAt: null },
    nextRefreshAt: null,
    resolved: true,
  } as const;

  test('is told to every watch, and only what comes after it began', async () => {
    await at.store.putIntegration(anIntegration({ id: 'before' }), anEntry());
    const [one, other] = [await watching(at.store), await watching(await at.another())];
    await at.store.putIntegration(anIntegration({ id: 'after' }), anEntry());
    for (const { hears, told } of [one, other]) {
      await hears({ kind: 'integration', id: 'after' });
      expect(told).not.toContainEqual({ kind: 'integration', id: 'before' });
    }
  });

  test('is not told of what did not happen', async () => {
    const { told, hears } = await watching(at.store);
    const { connection } = await connected(at.store);
    await at.store.revoke('con_none', 'unsupported', NOW, anEntry());
    const twin = at.store.addConnection({ ...connection, integration: 'none' }, someCredentials(), null, anEntry());
    await expect(twin).rejects.toThrow();
    await at.store.putIntegration(anIntegration({ id: 'last' }), anEntry());
    await hears({ kind: 'integration', id: 'last' });
    expect(told.filter(({ kind }) => kind === 'connection')).toHaveLength(1);
  });

  test('is told no more when it is stopped', async () => {
    const [stopped, going] = [await watching(at.store), await watching(at.store)];
    await stopped.watch.stop();
    await at.store.putIntegration(anIntegration(), anEntry());
    await going.hears({ kind: 'integration', id: 'slack' });
    expect(stopped.told).toEqual([]);
  });

  test('says how it comes, and how late it may be', async () => {
    const { watch } = await watching(at.store);
    expect(['pushed', 'polled']).toContain(watch.delivery);
    expect(watch.everyMs).toBeLessThanOrEqual(watch.delivery === 'polled' ? 500 : 5_000);
  });
}
