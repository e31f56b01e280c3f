// The contract of the store: connections, listed, counted, and served.
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/domain/connection.ts';
import type { ConnectionFilter } from '../../../src/ports/index.ts';
import { anEntry, connected, FIRST, NOW } from '../builders.ts';
import type { Opened } from './index.ts';

export function reads(at: Opened): void {
  const ids = (rows: Connection[]) => rows.map((row) => row.id);

  describe('listing', () => {
    test('connections are listed page by page, oldest first', async () => {
      const made = [await connected(at.store), await connected(at.store), await connected(at.store)];
      const all = made.map((m) => m.connection.id);
      const first = await at.store.connections({}, { limit: 2, after: undefined });
      expect(ids(first.data)).toEqual(all.slice(0, 2));
      expect(first.next).toBe(all[1]);
      const second = await at.store.connections({}, { limit: 2, after: all[1] });
      expect(second).toEqual({ data: [made[2]!.connection], next: null });
    });

    test('filters match integration, owner and status exactly', async () => {
      const { connection: one } = await connected(at.store, { owner: 'user:1' });
      const { connection: ten } = await connected(at.store, { owner: 'user:10' });
      const { connection: hub } = await connected(at.store, { owner: 'user:1', integration: 'github' });
      await at.store.revoke(ten.id, 'unsupported', NOW, anEntry());
      const found = async (filter: Parameters<typeof at.store.connections>[0]) =>
        ids((await at.store.connections(filter, FIRST)).data);
      expect(await found({ owner: 'user:1' })).toEqual([one.id, hub.id]);
      expect(await found({ owner: 'USER:1' })).toEqual([]);
      expect(await found({ owner: 'user:_' })).toEqual([]);
      expect(await found({ integration: 'slack' })).toEqual([one.id, ten.id]);
      expect(await found({ status: 'revoked' })).toEqual([ten.id]);
      expect(await found({ integration: 'slack', owner: 'user:1', status: 'active' })).toEqual([one.id]);
    });

    test.each([
      ['everything', [{ integrations: ['*'], owners: ['*'] }], [0, 1, 2, 3, 4]],
      ['an exact owner', [{ integrations: ['*'], owners: ['user:1'] }], [0]],
      ['a prefix', [{ integrations: ['*'], owners: ['user:1*'] }], [0, 1]],
      ['case', [{ integrations: ['*'], owners: ['User:*'] }], [2]],
      ['wildcards of LIKE, which have no meaning', [{ integrations: ['*'], owners: ['%', 'user__*', 'user_1'] }], []],
      ['a literal percent sign', [{ integrations: ['*'], owners: ['100%*'] }], [3]],
      ['letters beyond ASCII', [{ integrations: ['*'], owners: ['👩é*'] }], [4]],
      ['an integration', [{ integrations: ['git*'], owners: ['*'] }], [4]],
      ['both at once', [{ integrations: ['git*'], owners: ['user:*'] }], []],
      [
        'either scope',
        [
          { integrations: ['github'], owners: ['*'] },
          { integrations: ['slack'], owners: ['100%', 'user:10'] },
        ],
        [1, 4],
      ],
      ['no scope', [], []],
      ['a scope without owners', [{ integrations: ['*'], owners: [] }], []],
      ['a scope without integrations', [{ integrations: [], owners: ['*'] }], []],
    ])('scopes limit the list: %s', async (_, within, expected) => {
      const owners = ['user:1', 'user:10', 'User:1', '100%!', '👩éa'];
      const all: string[] = [];
      for (const owner of owners)
        all.push(
          (await connected(at.store, { owner, ...(owner === '👩éa' && { integration: 'github' }) })).connection.id,
        );
      const { data } = await at.store.connections({ within }, FIRST);
      expect(ids(data)).toEqual(expected.map((i) => all[i]));
    });

    test('pages hold only what is within the scopes', async () => {
      const mine = [];
      for (const owner of ['a:1', 'b:1', 'a:2', 'b:2', 'a:3'])
        mine.push((await connected(at.store, { owner })).connection.id);
      const within = [{ integrations: ['*'], owners: ['a:*'] }];
      const first = await at.store.connections({ within }, { limit: 2, after: undefined });
      expect(ids(first.data)).toEqual([mine[0], mine[2]]);
      expect(first.next).toBe(mine[2]);
      const second = await at.store.connections({ within }, { limit: 2, after: mine[2] });
      expect(ids(second.data)).toEqual([mine[4]]);
      expect(second.next).toBeNull();
    });

    test('a search finds ids, what owners labels and names of accounts begin with, and accounts', async () => {
      const account = (id: string, name: string | null) => ({ issuer: 'https://idp.example', id, name });
      const rows: Partial<Connection>[] = [
        { owner: 'anna' },
        { owner: 'Anna' },
        { owner: 'anna%b', label: 'Work' },
        { owner: 'bob', label: 'anna' },
        { owner: 'carl', account: account('anna', null) },
        { owner: 'dora', account: account('anna', 'x'), status: 'revoked' },
        { owner: 'emil', account: account('e', 'ANNA Müller') },
        { owner: 'anna', integration: 'github', status: 'needs_reauth', reason: 'grant_expired' },
      ];
      const all: string[] = [];
      for (const row of rows) all.push((await connected(at.store, row)).connection.id);
      const found = async (filter: ConnectionFilter) =>
        ids((await at.store.connections(filter, FIRST)).data).map((id) => all.indexOf(id));
      expect(await found({ text: 'anna' })).toEqual([0, 2, 3, 4, 6, 7]);
      expect(await found({ text: 'anna%' })).toEqual([2]);
      expect(await found({ text: 'ANNA m' })).toEqual([6]);
      expect(await found({ text: 'anna mÜ' })).toEqual([]);
      expect(await found({ text: 'W' })).toEqual([2]);
      expect(await found({ text: all[3] })).toEqual([3]);
      expect(await found({ text: 'e' })).toEqual([6]);
      expect(await found({ text: "'" })).toEqual([]);
      expect(await found({ text: 'anna', integration: 'github' })).toEqual([7]);
      expect(await found({ text: 'anna', status: 'needs_reauth', reason: 'grant_expired' })).toEqual([7]);
      expect(await found({ reason: 'grant_revoked', status: 'needs_reauth' })).toEqual([]);
      expect(await found({ text: 'anna', within: [{ integrations: ['*'], owners: ['b*'] }] })).toEqual([3]);
      const first = await at.store.connections({ text: 'anna' }, { limit: 2, after: undefined });
      expect(ids(first.data)).toEqual([all[0], all[2]]);
      const second = await at.store.connections({ text: 'anna' }, { limit: 2, after: first.next! });
      expect(ids(second.data)).toEqual([all[3], all[4]]);
    });

    test('those that fail, are due, or whose grant ends are found', async () => {
      const row = async (changed: Partial<Connection>) =>
        (await connected(at.store, { failures: 0, reauthDueAt: null, ...changed })).connection.id;
      const failing = await row({ owner: 'a', failures: 2, nextRefreshAt: 5_000 });
      const due = await row({ owner: 'b', nextRefreshAt: 1_000, reauthDueAt: 9_000 });
      await row({ owner: 'c', nextRefreshAt: 900, failures: 1, status: 'needs_reauth', reauthDueAt: 10 });
      await row({ owner: 'd', nextRefreshAt: null });
      const found = async (filter: ConnectionFilter) => ids((await at.store.connections(filter, FIRST)).data);
      expect(await found({ failing: true, status: 'active' })).toEqual([failing]);
      expect(await found({ failing: true, owner: 'b' })).toEqual([]);
      expect(await found({ failing: true, refreshDueBefore: 5_000 })).toEqual([]);
      expect(await found({ refreshDueBefore: 1_001 })).toEqual([due]);
      expect(await found({ refreshDueBefore: 1_000 })).toEqual([]);
      expect(await found({ refreshDueBefore: 9_000, integration: 'slack' })).toEqual([failing, due]);
      expect(await found({ grantEndsBefore: 9_001 })).toEqual([due]);
    });

    test('liveConnections returns the ids of live ones', async () => {
      const { connection: one } = await connected(at.store, { owner: 'user:1' });
      const { connection: two } = await connected(at.store, { owner: 'user:1', label: 'b', status: 'needs_reauth' });
      const { connection: gone } = await connected(at.store, { owner: 'user:1', label: 'c' });
      const { connection: ten } = await connected(at.store, { owner: 'user:10' });
      const { connection: hub } = await connected(at.store, { owner: 'user:1', integration: 'github' });
      await at.store.revoke(gone.id, 'unsupported', NOW, anEntry());
      const idsOf = async (filter: { integration?: string; owner?: string }, limit = 10, after?: string) =>
        (await at.store.liveConnections(filter, { limit, after })).data.map(({ id }) => id);
      expect(await idsOf({ owner: 'user:1' })).toEqual([one.id, two.id, hub.id]);
      expect(await idsOf({ integration: 'slack' })).toEqual([one.id, two.id, ten.id]);
      expect(await idsOf({ integration: 'slack' }, 10, one.id)).toEqual([two.id, ten.id]);
      expect(await idsOf({ integration: 'slack', owner: 'user:1' }, 1)).toEqual([one.id]);
      expect(await idsOf({})).toEqual([one.id, two.id, ten.id, hub.id]);
    });
  });

  describe('serving', () => {
    test('servedRow returns a connection and its access token, and null for a tombstone', async () => {
      const { connection, credentials } = await connected(at.store);
      expect(await at.store.servedRow(connection.id)).toEqual({ connection, accessToken: credentials.accessToken });
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      expect(await at.store.servedRow(connection.id)).toMatchObject({
        connection: { id: connection.id, status: 'revoked' },
        accessToken: null,
      });
      expect(await at.store.servedRow('con_none')).toBeUndefined();
    });

    test('servedRow of many at once returns to each what it asked for, and what was committed before it asked', async () => {
      const stored = await Promise.all(
        Array.from({ length: 5 }, (_, n) => connected(at.store, { owner: `user:${n}` })),
      );
      const rows = stored.map(({ connection, credentials }) => ({ connection, accessToken: credentials.accessToken }));
      const ids = Array.from({ length: 230 }, (_, n) => (n % 7 === 6 ? `con_none${n}` : rows[n % 5]!.connection.id));
      const found = await Promise.all(ids.map((id) => at.store.servedRow(id)));
      expect(found).toEqual(ids.map((id) => rows.find(({ connection }) => connection.id === id)));
      const [{ connection }] = rows as [(typeof rows)[0]];
      const before = at.store.servedRow(connection.id);
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      const after = at.store.servedRow(connection.id);
      expect((await before)?.connection.id).toBe(connection.id);
      expect((await after)?.connection.status).toBe('revoked');
    });

    test('dpopBoundRow returns token and credentials', async () => {
      const { connection, credentials: stored } = await connected(at.store);
      const { accessToken, credentials } = stored;
      expect(await at.store.dpopBoundRow(connection.id)).toEqual({ connection, accessToken, credentials });
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      expect(await at.store.dpopBoundRow(connection.id)).toMatchObject({ accessToken: null, credentials: null });
      expect(await at.store.dpopBoundRow('con_none')).toBeUndefined();
    });

    test('servedRowsByOwner returns live connections first, of any label or exactly one', async () => {
      const { connection: gone } = await connected(at.store, { owner: 'user:1' });
      await at.store.revoke(gone.id, 'unsupported', NOW, anEntry());
      const { connection: plain, credentials } = await connected(at.store, { owner: 'user:1' });
      const { connection: work } = await connected(at.store, {
        owner: 'user:1',
        label: 'work',
        status: 'needs_reauth',
      });
      const { connection: late } = await connected(at.store, { owner: 'user:1', label: 'late' });
      await at.store.revoke(late.id, 'unsupported', NOW, anEntry());
      await connected(at.store, { owner: 'user:10' });
      await connected(at.store, { owner: 'user:1', integration: 'github' });

      const any = (await at.store.servedRowsByOwner('slack', 'user:1', undefined)).map((row) => row.connection.id);
      expect(any.slice(0, 2).sort()).toEqual([plain.id, work.id]);
      expect(any.slice(2).sort()).toEqual([gone.id, late.id]);
      const unlabelled = await at.store.servedRowsByOwner('slack', 'user:1', '');
      expect(unlabelled).toHaveLength(2);
      expect(unlabelled[0]).toEqual({ connection: plain, accessToken: credentials.accessToken });
      expect(unlabelled[1]).toMatchObject({ connection: { id: gone.id }, accessToken: null });
      expect((await at.store.servedRowsByOwner('slack', 'user:1', 'work')).map((r) => r.connection.id)).toEqual([
        work.id,
      ]);
      expect(await at.store.servedRowsByOwner('slack', 'user:1', 'Work')).toEqual([]);
      expect(await at.store.servedRowsByOwner('slack', 'user:', undefined)).toEqual([]);
    });

    test('servedRowsByOwner returns at most 20, the live one before many tombstones', async () => {
      const { connection: live } = await connected(at.store, { owner: 'user:1', label: 'kept' });
      for (let i = 0; i < 21; i++) {
        const { connection } = await connected(at.store, { owner: 'user:1' });
        await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      }
      const rows = await at.store.servedRowsByOwner('slack', 'user:1', undefined);
      expect(rows).toHaveLength(20);
      expect(rows[0]?.connection.id).toBe(live.id);
    });
  });
}
