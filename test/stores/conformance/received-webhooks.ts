// The contract of the store: webhooks and signals of third parties, and the values that they find connections by.
import { describe, expect, test } from 'vitest';
import type { Change, Store } from '../../../src/ports/index.ts';
import {
  aCiphertext,
  anEntry,
  anIntegration,
  aReceivedItem,
  aReceivedWebhook,
  aRevocation,
  connected,
  FIRST,
  NOW,
  recorded,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';
import type { Opened } from './index.ts';

const ROOM = 1_000;
let keys = 0;
const aKey = () => ({ 0: `key-${++keys}` });

async function received(store: Store, given: Parameters<typeof aReceivedWebhook>[0] = {}) {
  const webhook = aReceivedWebhook(given);
  expect(await store.receive(webhook, aKey(), ROOM)).toEqual(webhook.items);
  return webhook;
}

export function receivedWebhooks(at: Opened): void {
  describe('receive', () => {
    test('a webhook is returned as it was stored, and listed without its body', async () => {
      const webhook = await received(at.store);
      expect(await at.store.receivedWebhook(webhook.id)).toEqual(webhook);
      const { body: _, ...head } = webhook;
      expect(await at.store.receivedWebhooks({}, FIRST)).toEqual({ data: [head], next: null });
      expect(await at.store.receivedWebhook('whr_none')).toBeUndefined();
    });

    test('of a batch, the items are stored whose keys are new; with none, nothing is', async () => {
      const items = [aReceivedItem(), aReceivedItem({ index: 1 }), aReceivedItem({ index: 2 })];
      await at.store.receive(aReceivedWebhook(), { 0: 'b' }, ROOM);
      const batch = aReceivedWebhook({ items });
      // The last one is the same as the first, in one batch.
      expect(await at.store.receive(batch, { 0: 'a', 1: 'b', 2: 'a' }, ROOM)).toHaveLength(1);
      expect((await at.store.receivedWebhook(batch.id))?.items).toHaveLength(1);
      const again = aReceivedWebhook({ items: items.slice(0, 2) });
      expect(await at.store.receive(again, { 0: 'a', 1: 'b' }, ROOM)).toEqual([]);
      expect(await at.store.receivedWebhook(again.id)).toBeUndefined();
    });

    test('of two replicas that receive the same at once, one stores it', async () => {
      const other = await at.another();
      const both = await Promise.all([
        at.store.receive(aReceivedWebhook(), { 0: 'same' }, ROOM),
        other.receive(aReceivedWebhook(), { 0: 'same' }, ROOM),
      ]);
      expect(both.map((items) => items.length).sort()).toEqual([0, 1]);
      expect((await at.store.receivedWebhooks({}, FIRST)).data).toHaveLength(1);
    });

    test('a refused one is stored without items, in a full inbox too', async () => {
      await received(at.store);
      const refused = aReceivedWebhook({ status: 'refused', reason: 'signature', body: null, items: [], nextAt: null });
      expect(await at.store.receive(refused, {}, 1)).toEqual([]);
      expect(await at.store.receivedWebhook(refused.id)).toEqual(refused);
    });

    test('the inbox is full with as many as are open, until one is processed; what it refuses is no duplicate', async () => {
      const first = await received(at.store);
      expect(await at.store.receive(aReceivedWebhook(), { 0: 'second' }, 4)).toHaveLength(1);
      expect(await at.store.receive(aReceivedWebhook(), { 0: 'third' }, 4)).toBe('full');
      const outcome = { status: 'unmatched', reason: null, processedAt: NOW, nextAt: null } as const;
      await at.store.settleReceived(first.id, outcome, [], []);
      expect(await at.store.receive(aReceivedWebhook(), { 0: 'third' }, 4)).toHaveLength(1);
    });

    test('an integration fills as much of the inbox as it leaves free, whatever the others do', async () => {
      const filledBy = async (integration: string) => {
        for (let n = 0; ; n++)
          if ((await at.store.receive(aReceivedWebhook({ integration }), aKey(), 100)) === 'full') return n;
      };
      expect(await filledBy('slack')).toBe(50);
      expect(await filledBy('github')).toBe(25);
      expect(await filledBy('zoom')).toBe(13);
      expect((await at.store.inboxState()).open).toBe(88);
      // Of several that fill it at once, however seldom they are counted, all together have no more than there is room for.
      const names = Array.from({ length: 20 }, (_, n) => `other-${n}`);
      for (let n = 0; n < 10; n++)
        for (const integration of names) await at.store.receive(aReceivedWebhook({ integration }), aKey(), 100);
      expect((await at.store.inboxState()).open).toBe(100);
      expect(await filledBy('slack')).toBe(0);
    });
  });

  test('lists are newest first, by integration, status, connection and what may be seen, and paged', async () => {
    const [a, b, c] = [
      await received(at.store),
      await received(at.store, { integration: 'github', status: 'dead', nextAt: null }),
      await received(at.store, { status: 'unmatched', nextAt: null }),
    ];
    await at.store.settleReceived(
      a.id,
      { status: 'located', reason: null, processedAt: NOW, nextAt: null },
      ['con_1', 'con_2'],
      [],
    );
    const listed = async (filter: object) => (await at.store.receivedWebhooks(filter, FIRST)).data.map(({ id }) => id);
    expect(await listed({})).toEqual([c.id, b.id, a.id]);
    expect(await listed({ integration: 'slack' })).toEqual([c.id, a.id]);
    expect(await listed({ integration: 'slack', status: 'located' })).toEqual([a.id]);
    expect(await listed({ status: 'unmatched' })).toEqual([c.id]);
    expect(await listed({ status: 'located' })).toEqual([a.id]);
    expect(await listed({ connectionId: 'con_2' })).toEqual([a.id]);
    expect(await listed({ connectionId: 'con_2', integration: 'github' })).toEqual([]);
    expect(await listed({ within: [{ integrations: ['git*'], owners: ['*'] }] })).toEqual([b.id]);
    expect(await listed({ within: [] })).toEqual([]);
    expect(await at.store.connectionsOfWebhook(a.id)).toEqual(['con_1', 'con_2']);
    const page = await at.store.receivedWebhooks({}, { limit: 2, after: undefined });
    expect(page.next).toBe(b.id);
    expect((await at.store.receivedWebhooks({}, { limit: 2, after: b.id })).data.map(({ id }) => id)).toEqual([a.id]);
  });

  test('due ones are claimed once, the oldest first, and again when their time has passed', async () => {
    const [second, first] = [await received(at.store, { nextAt: NOW }), await received(at.store, { nextAt: NOW - 5 })];
    await received(at.store, { nextAt: NOW + 1 });
    const other = await at.another();
    const both = await Promise.all([
      at.store.claimReceived(NOW, NOW + 100, 10),
      other.claimReceived(NOW, NOW + 100, 10),
    ]);
    const claimed = both.flat();
    expect(claimed.map(({ id }) => id).sort()).toEqual([second.id, first.id].sort());
    expect(claimed).toContainEqual({ ...first, attempts: 1, nextAt: NOW + 100 });
    expect(await at.store.claimReceived(NOW + 50, NOW + 200, 10)).toHaveLength(1);
    expect(await at.store.claimReceived(NOW + 100, NOW + 300, 1)).toMatchObject([{ attempts: 2 }]);
  });

  test('a flood of one integration leaves the others their share of what is claimed', async () => {
    const flood: string[] = [];
    for (let n = 0; n < 20; n++) flood.push((await received(at.store, { nextAt: NOW - 100 + n })).id);
    const [early, late] = [
      await received(at.store, { integration: 'github', nextAt: NOW - 2 }),
      await received(at.store, { integration: 'github', nextAt: NOW - 1 }),
    ];
    const zoom = await received(at.store, { integration: 'zoom', nextAt: NOW });
    await received(at.store, { integration: 'notion', nextAt: NOW + 1 });
    const ids = async (limit: number) =>
      (await at.store.claimReceived(NOW, NOW + 100, limit)).map(({ id }) => id).sort();
    // More integrations than the limit: those whose oldest one is the oldest.
    expect(await ids(2)).toEqual([flood[0], early.id].sort());
    expect(await ids(6)).toEqual([flood[1], flood[2], late.id, zoom.id].sort());
    expect(await ids(6)).toEqual(flood.slice(3, 9).sort());
    expect(await ids(60)).toEqual(flood.slice(9).sort());
    expect(await ids(6)).toEqual([]);
  });

  test('a processed one is due again when someone asks, unless its body is not kept', async () => {
    const webhook = await received(at.store);
    const outcome = { status: 'dead', reason: 'failed', processedAt: NOW, nextAt: null } as const;
    await at.store.settleReceived(webhook.id, outcome, ['con_1'], []);
    expect(await at.store.receivedWebhook(webhook.id)).toEqual({ ...webhook, ...outcome });
    const [entry, none] = [anEntry(), anEntry()];
    expect(await at.store.reprocessReceived(webhook.id, NOW + 9, entry)).toBe(true);
    expect(await at.store.receivedWebhook(webhook.id)).toEqual({ ...webhook, nextAt: NOW + 9 });
    const refused = aReceivedWebhook({ status: 'refused', body: null, items: [], nextAt: null });
    await at.store.receive(refused, {}, ROOM);
    expect(await at.store.reprocessReceived(refused.id, NOW, none)).toBe(false);
    expect(await at.store.reprocessReceived('whr_none', NOW, none)).toBe(false);
    expect([await recorded(at.store, entry), await recorded(at.store, none)]).toEqual([true, false]);
  });

  test('the inbox counts what is open, and since when', async () => {
    expect(await at.store.inboxState()).toEqual({ open: 0, oldestAt: null });
    await received(at.store, { receivedAt: NOW - 7 });
    await received(at.store);
    await received(at.store, { receivedAt: NOW - 9, status: 'unmatched', nextAt: null });
    expect(await at.store.inboxState()).toEqual({ open: 2, oldestAt: NOW - 7 });
  });

  test('old ones are deleted with their connections, and keys by an age of their own', async () => {
    const old = await received(at.store, { receivedAt: NOW - 10, nextAt: null });
    await at.store.settleReceived(
      old.id,
      { status: 'located', reason: null, processedAt: NOW, nextAt: null },
      ['con_1'],
      [],
    );
    await at.store.receive(aReceivedWebhook({ receivedAt: NOW }), { 0: 'young' }, ROOM);
    expect(await at.store.pruneReceived(NOW, NOW, 10)).toBe(2);
    expect(await at.store.connectionsOfWebhook(old.id)).toEqual([]);
    expect((await at.store.receivedWebhooks({}, FIRST)).data).toHaveLength(1);
    expect(await at.store.receive(aReceivedWebhook(), { 0: 'young' }, ROOM)).toEqual([]);
    expect(await at.store.pruneReceived(NOW, NOW, 10)).toBe(0);
  });

  test('settings keep what is undefined, tell the other replicas, and go with their integration', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const changes: Change[] = [];
    const feed = await (await at.another()).subscribe((some) => void changes.push(...some));
    const [webhook, signals] = [aCiphertext('webhook'), aCiphertext('signals')];
    const entry = anEntry();
    await at.store.putReceiverSettings({ integration: 'slack', webhook, updatedAt: NOW }, entry);
    await at.store.putReceiverSettings({ integration: 'slack', signals, updatedAt: NOW + 1 }, undefined);
    expect(await at.store.receiverSettings()).toEqual([{ integration: 'slack', webhook, signals, updatedAt: NOW + 1 }]);
    expect(await recorded(at.store, entry)).toBe(true);
    await expect.poll(() => changes.filter((change) => change.kind === 'integration').length).toBeGreaterThanOrEqual(2);
    await feed.stop();
    expect(await at.store.deleteIntegration('slack', anEntry())).toBe('deleted');
    expect(await at.store.receiverSettings()).toEqual([]);
  });

  describe('captured values', () => {
    const found = async (key: string, value: string, integration = 'slack') =>
      (await at.store.connectionsByValue(integration, key, value, 10)).map(({ id }) => id);
    const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };

    test('find live connections by exact values of their captures, params and account', async () => {
      const captured = { team_id: 'T1', seats: 3, on: true, nested: { id: 'x' }, long: 'y'.repeat(257), empty: '' };
      const { connection } = await connected(at.store, { captured, params: { shop: 'acme' } });
      const same = await connected(at.store, { captured: { team_id: 'T1' }, params: {}, account: null });
      expect(await found('captured.team_id', 'T1')).toEqual([connection.id, same.connection.id]);
      expect(await at.store.connectionsByValue('slack', 'captured.team_id', 'T1', 1)).toEqual([connection]);
      for (const [key, value] of [
        ['captured.seats', '3'],
        ['captured.on', 'true'],
        ['params.shop', 'acme'],
        ['account.id', 'sub-1'],
      ] as const)
        expect(await found(key, value), key).toEqual([connection.id]);
      for (const [key, value] of [
        ['captured.team_id', 'T'],
        ['captured.team_id', 'T10'],
        ['captured.team_id', 't1'],
        ['captured.long', 'y'.repeat(257)],
        ['captured.empty', ''],
        ['team_id', 'T1'],
      ] as const)
        expect(await found(key, value), value).toEqual([]);
      expect(await found('captured.team_id', 'T1', 'github')).toEqual([]);
    });

    test('find usable grants first, and page through them alone', async () => {
      const usable = (after: string, limit: number) =>
        at.store.usableConnectionsByValue('slack', 'captured.team_id', 'T1', { after, limit });
      const made = [];
      for (let n = 0; n < 4; n++)
        made.push((await connected(at.store, { captured: { team_id: 'T1' }, params: {}, account: null })).connection);
      const [dead, active, held, last] = made.sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ id }) => id) as [
        string,
        string,
        string,
        string,
      ];
      await at.store.deauthorize(dead, 1, 'deauthorized', anEntry());
      await at.store.hold(held, 'account_disabled', NOW, anEntry());
      expect(await found('captured.team_id', 'T1')).toEqual([active, held, last, dead]);
      const pages = [await usable('', 2), await usable(held, 2), await usable(last, 2)];
      expect(pages.map((page) => page.map(({ id }) => id))).toEqual([[active, held], [last], []]);
    });

    test('follow renewals and refreshes, and are deleted by a revocation', async () => {
      const { connection } = await connected(at.store, { captured: { team: 'T1', gone: 'G' } });
      const { id } = connection;
      const renewed = { ...connection, captured: { team: 'T2' }, params: { shop: 'other' }, account: null };
      await at.store.renewConnection(renewed, someCredentials(), null, anEntry());
      expect(await found('captured.team', 'T1')).toEqual([]);
      expect(await found('captured.gone', 'G')).toEqual([]);
      expect(await found('account.id', 'sub-1')).toEqual([]);
      expect([await found('captured.team', 'T2'), await found('params.shop', 'other')]).toEqual([[id], [id]]);

      const claimed = await at.store.claim(id, { ...claim, generation: 2 });
      if (typeof claimed !== 'object') throw new Error(claimed);
      const change = someRefreshedFields({ captured: { team: 'T3' } });
      const held = { fence: claimed.fence, generation: 2 };
      expect(await at.store.commitRefresh(id, held, change, someCredentials(), anEntry)).toBe('committed');
      expect(await found('captured.team', 'T2')).toEqual([]);
      for (const [key, value] of [
        ['captured.team', 'T3'],
        ['account.id', 'sub-2'],
        ['params.shop', 'other'],
      ] as const)
        expect(await found(key, value), key).toEqual([id]);

      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      expect(await found('captured.team', 'T3')).toEqual([]);
    });

    test('each of a list is found, until a refresh brings a list without it', async () => {
      const { connection } = await connected(at.store, { captured: { tenants: ['A', 'B', 'A'] } });
      const { id } = connection;
      expect([await found('captured.tenants', 'A'), await found('captured.tenants', 'B')]).toEqual([[id], [id]]);
      const claimed = await at.store.claim(id, claim);
      if (typeof claimed !== 'object') throw new Error(claimed);
      const change = someRefreshedFields({ captured: { tenants: ['C', 'A'] } });
      const held = { fence: claimed.fence, generation: 1 };
      await at.store.commitRefresh(id, held, change, someCredentials(), anEntry);
      const values = ['A', 'B', 'C'].map((value) => found('captured.tenants', value));
      expect(await Promise.all(values)).toEqual([[id], [], [id]]);
    });

    test('a refresh that keeps them writes none', async () => {
      const { connection } = await connected(at.store, { captured: { team: 'T1' } });
      const claimed = await at.store.claim(connection.id, claim);
      if (typeof claimed !== 'object') throw new Error(claimed);
      const held = { fence: claimed.fence, generation: 1, keepsValues: true };
      // What is not written shows that nothing was.
      const change = someRefreshedFields({ captured: { team: 'T9' } });
      await at.store.commitRefresh(connection.id, held, change, someCredentials(), anEntry);
      expect([await found('captured.team', 'T1'), await found('captured.team', 'T9')]).toEqual([[connection.id], []]);
    });
  });

  test('a deauthorized connection needs its owner; other generations and states are left', async () => {
    const { connection } = await connected(at.store);
    const { id } = connection;
    const [entry, none] = [anEntry({ at: NOW + 77 }), anEntry()];
    expect(await at.store.deauthorize(id, 2, 'deauthorized', none)).toBe('unchanged');
    expect(await at.store.deauthorize('con_none', 1, 'deauthorized', none)).toBe('unchanged');
    expect(await at.store.deauthorize(id, 1, 'deauthorized', entry)).toBe('deauthorized');
    expect(await at.store.deauthorize(id, 1, 'deauthorized', none)).toBe('unchanged');
    expect(await at.store.connection(id)).toEqual({
      ...connection,
      status: 'needs_reauth',
      reason: 'deauthorized',
      nextRefreshAt: null,
      updatedAt: NOW + 77,
    });
    expect([await recorded(at.store, entry), await recorded(at.store, none)]).toEqual([true, false]);
  });

  test('a pending revocation of a connection is known until it is settled', async () => {
    expect(await at.store.hasPendingRevocation('con_1')).toBe(false);
    const revocation = aRevocation({ connectionId: 'con_1' });
    await at.store.addPendingRevocation(revocation);
    expect(await at.store.hasPendingRevocation('con_1')).toBe(true);
    await at.store.settleRevocation(revocation.id, 'done', anEntry());
    expect(await at.store.hasPendingRevocation('con_1')).toBe(false);
  });

  test('a connection is made due at once, if it is refreshed at all and alive', async () => {
    const { connection } = await connected(at.store);
    const never = await connected(at.store, { nextRefreshAt: null });
    for (const { id } of [connection, never.connection]) await at.store.makeDue(id, NOW);
    expect((await at.store.connection(connection.id))?.nextRefreshAt).toBe(NOW);
    expect((await at.store.connection(never.connection.id))?.nextRefreshAt).toBeNull();
    await at.store.makeDue(connection.id, NOW + 5);
    expect((await at.store.connection(connection.id))?.nextRefreshAt).toBe(NOW);
  });
}
