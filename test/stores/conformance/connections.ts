// The contract of the store: connections, added and renewed.
import { describe, expect, test } from 'vitest';
import { LEASE_MS } from '../../../src/domain/time-limits.ts';
import { StoreError } from '../../../src/ports/index.ts';
import {
  aConnection,
  anEntry,
  anIntegration,
  aSession,
  connected,
  NOW,
  recorded,
  someCredentials,
  someRefreshedFields,
} from '../builders.ts';
import { feedOf } from './events.ts';
import type { Opened } from './index.ts';

export function connections(at: Opened): void {
  async function invited(given: Parameters<typeof aSession>[0] = {}) {
    const session = aSession(given);
    await at.store.addSession(session, anEntry());
    return session;
  }
  const credentialsOf = async (id: string) => {
    const claimed = await at.store.claim(id, { attempt: 'att_look', generation: 99, now: NOW, monotonic: 0 });
    return typeof claimed === 'string' ? claimed : claimed.credentials;
  };

  describe('addConnection', () => {
    test('stores every field, and the credentials', async () => {
      const { connection, credentials } = await connected(at.store);
      expect(await at.store.connection(connection.id)).toEqual(connection);
      expect(await credentialsOf(connection.id)).toEqual(credentials);
      expect(await at.store.connection('con_none')).toBeUndefined();
    });

    test('stores null and empty fields as such', async () => {
      const bare = {
        identity: null,
        account: null,
        expiresAt: null,
        nextRefreshAt: null,
        reauthDueAt: null,
        lastRefreshedAt: null,
        lastRefreshError: null,
        lastCheckedAt: null,
        lastCheckError: null,
        scopes: [],
        metadata: {},
        params: {},
        captured: {},
        failures: 0,
      };
      const nothing = { accessToken: null, refreshToken: null, idToken: null, credentials: null };
      const { connection } = await connected(at.store, bare, nothing);
      expect(await at.store.connection(connection.id)).toEqual(connection);
      expect(await credentialsOf(connection.id)).toEqual(nothing);
    });

    test('stores a connection that needs reauthorization', async () => {
      const { connection } = await connected(at.store, {
        status: 'needs_reauth',
        reason: 'identity_changed',
        upstreamRevocation: 'failed',
        label: 'work',
      });
      expect(await at.store.connection(connection.id)).toEqual(connection);
    });

    test('completes the connect session', async () => {
      await at.store.putIntegration(anIntegration(), anEntry());
      const session = await invited();
      const connection = aConnection();
      const audit = anEntry();
      expect(await at.store.addConnection(connection, someCredentials(), session.id, audit)).toBe('added');
      expect(await at.store.session(session.id)).toEqual({
        ...session,
        status: 'completed',
        connectionId: connection.id,
        account: connection.account,
      });
      expect(await recorded(at.store, audit)).toBe(true);
    });

    test('session_over when its owner has chosen another integration', async () => {
      await at.store.putIntegration(anIntegration(), anEntry());
      const session = await invited({ integration: 'github' });
      const connection = aConnection({ integration: 'slack' });
      const added = at.store.addConnection(connection, someCredentials(), session.id, anEntry());
      expect(await added).toBe('session_over');
      expect((await at.store.session(session.id))?.status).toBe('pending');
    });

    test('session_over when the session is not pending, and nothing changes', async () => {
      await at.store.putIntegration(anIntegration(), anEntry());
      const session = await invited();
      await at.store.failSession(session.id, 'access_denied', anEntry());
      const connection = aConnection();
      const audit = anEntry();
      expect(await at.store.addConnection(connection, someCredentials(), session.id, audit)).toBe('session_over');
      expect(await at.store.addConnection(connection, someCredentials(), 'cs_none', audit)).toBe('session_over');
      expect(await at.store.connection(connection.id)).toBeUndefined();
      expect(await recorded(at.store, audit)).toBe(false);
    });

    test('exists when a live connection has the slot, and nothing changes', async () => {
      const { connection } = await connected(at.store, { label: 'work' });
      const session = await invited();
      const twin = aConnection({ owner: connection.owner, label: 'work' });
      const audit = anEntry();
      expect(await at.store.addConnection(twin, someCredentials(), session.id, audit)).toEqual({
        exists: connection.id,
      });
      expect(await at.store.connection(twin.id)).toBeUndefined();
      expect((await at.store.session(session.id))?.status).toBe('pending');
      expect(await recorded(at.store, audit)).toBe(false);
      await connected(at.store, { owner: connection.owner, label: 'home' });
      await connected(at.store, { owner: connection.owner, label: 'work', integration: 'github' });
    });

    test('succeeds beside a tombstone of the same slot', async () => {
      const { connection } = await connected(at.store);
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      await connected(at.store, { owner: connection.owner });
    });

    test('of two concurrent calls for a slot, one succeeds', async () => {
      await at.store.putIntegration(anIntegration(), anEntry());
      const other = await at.another();
      const pair = [aConnection({ owner: 'user:1' }), aConnection({ owner: 'user:1' })] as const;
      const outcomes = await Promise.all([
        at.store.addConnection(pair[0], someCredentials(), null, anEntry()),
        other.addConnection(pair[1], someCredentials(), null, anEntry()),
      ]);
      const added = pair[outcomes.indexOf('added')]!;
      expect(outcomes).toContainEqual({ exists: added.id });
    });

    test('rejects without the integration', async () => {
      const connection = aConnection();
      const orphan = at.store.addConnection(connection, someCredentials(), null, anEntry());
      await expect(orphan).rejects.toBeInstanceOf(StoreError);
      expect(await at.store.connection(connection.id)).toBeUndefined();
    });
  });

  describe('renewConnection', () => {
    test('replaces the credentials under the same id', async () => {
      const { connection } = await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked' });
      const session = await invited();
      const change = {
        scopes: ['all'],
        metadata: { plan: 'free' },
        params: { shop: 'other' },
        captured: {},
        identity: { issuer: 'https://op.example', subject: 'sub-2' },
        account: { issuer: 'https://op.example', id: 'sub-2', name: null },
        tokenType: 'bot',
        issuedAt: NOW + 5,
        expiresAt: null,
        nextRefreshAt: NOW + 6,
        lastRefreshedAt: null,
        updatedAt: NOW + 7,
      };
      const given = aConnection({ ...connection, ...change, generation: 40, createdAt: NOW + 8 });
      const credentials = someCredentials({ idToken: null });
      const audit = anEntry();
      expect(await at.store.renewConnection(given, credentials, session.id, audit)).toEqual({ generation: 2 });
      expect(await at.store.connection(connection.id)).toEqual({
        ...connection,
        ...change,
        status: 'active',
        reason: null,
        failures: 0,
        lastRefreshError: null,
        lastCheckedAt: null,
        lastCheckError: null,
        generation: 2,
      });
      expect(await credentialsOf(connection.id)).toEqual(credentials);
      expect(await at.store.session(session.id)).toMatchObject({
        status: 'completed',
        connectionId: connection.id,
        account: change.account,
      });
      expect(await recorded(at.store, audit)).toBe(true);
    });

    test('keeps the secrets that it does not bring', async () => {
      const { connection, credentials } = await connected(at.store);
      const given = { ...someCredentials(), refreshToken: undefined, idToken: undefined, credentials: undefined };
      expect(await at.store.renewConnection(connection, given, null, anEntry())).toEqual({ generation: 2 });
      const kept = { ...credentials, accessToken: given.accessToken };
      expect(await at.store.storedCredentials(connection.id)).toEqual(kept);
      const none = { accessToken: undefined, refreshToken: undefined, idToken: undefined, credentials: undefined };
      expect(await at.store.renewConnection(connection, none, null, anEntry())).toEqual({ generation: 3 });
      expect(await at.store.storedCredentials(connection.id)).toEqual(kept);
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      expect(await at.store.storedCredentials(connection.id)).toBeUndefined();
    });

    test('refreshing while a refresh spends the refresh token that it keeps, and nothing changes', async () => {
      const { connection, credentials } = await connected(at.store);
      const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
      if (typeof (await at.store.claim(connection.id, claim)) === 'string') throw new Error('not claimed');
      const renew = (given: Parameters<typeof at.store.renewConnection>[1]) =>
        at.store.renewConnection(connection, given, null, anEntry());
      expect(await renew({ ...someCredentials(), refreshToken: undefined })).toBe('refreshing');
      expect(await at.store.storedCredentials(connection.id)).toEqual(credentials);
      expect(await renew(someCredentials())).toEqual({ generation: 2 });
      expect(await renew({ ...someCredentials(), refreshToken: undefined })).toEqual({ generation: 3 });
    });

    test('keeps with the refresh token that it may have been spent', async () => {
      const { connection } = await connected(at.store);
      const { id } = connection;
      const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
      const first = await at.store.claim(id, claim);
      if (typeof first === 'string') throw new Error(first);
      const error = { code: 'connection_closed', detail: 'lost', at: NOW, retryAt: null };
      const lost = { reason: null, error, nextRefreshAt: NOW, resolved: false };
      await at.store.recordRefreshFailure(id, { fence: first.fence, generation: 1 }, lost, anEntry());
      await at.store.renewConnection(connection, { ...someCredentials(), refreshToken: undefined }, null, anEntry());
      expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
      const second = await at.store.claim(id, { ...claim, attempt: 'att_2', generation: 2 });
      expect(second).toMatchObject({ unresolved: { attempt: 'att_1', startedAt: NOW } });
      // A new one has not been spent.
      expect(await at.store.renewConnection(connection, someCredentials(), null, anEntry())).toEqual({ generation: 3 });
      expect(await at.store.unresolvedRefreshes()).toEqual([]);
    });

    test('refreshing also once a late answer was committed under a claim that is under way', async () => {
      const { connection } = await connected(at.store);
      const { id } = connection;
      const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
      const first = await at.store.claim(id, claim);
      if (typeof first === 'string') throw new Error(first);
      const other = await at.another();
      expect(await other.claim(id, { ...claim, attempt: 'att_2' })).toBe('busy');
      expect(await other.claim(id, { ...claim, attempt: 'att_2', monotonic: LEASE_MS })).toMatchObject({ fence: 2 });
      const held = { fence: first.fence, generation: 1 };
      await at.store.commitRefresh(id, held, someRefreshedFields(), someCredentials(), anEntry);
      const kept = { ...someCredentials(), refreshToken: undefined };
      expect(await at.store.renewConnection(connection, kept, null, anEntry())).toBe('refreshing');
      // Its process has left nothing that the next claim would find out.
      await other.close();
      expect(await at.store.renewConnection(connection, kept, null, anEntry())).toEqual({ generation: 3 });
    });

    test.each(['on_hold', 'needs_reauth'] as const)(
      'waits for no refresh of a process that has ended while the connection is %s: no one resolves it',
      async (status) => {
        const { connection } = await connected(at.store);
        const { id } = connection;
        const other = await at.another();
        const claim = { attempt: 'att_1', generation: 1, now: NOW, monotonic: 0 };
        expect(await other.claim(id, claim)).toMatchObject({ fence: 1 });
        if (status === 'on_hold') await at.store.hold(id, 'account_disabled', NOW, anEntry());
        else await at.store.deauthorize(id, 1, 'deauthorized', anEntry());
        const renew = () =>
          at.store.renewConnection(connection, { ...someCredentials(), refreshToken: undefined }, null, anEntry());
        expect(await renew()).toBe('refreshing');
        await other.close();
        expect(await renew()).toEqual({ generation: 2 });
        expect(await at.store.unresolvedRefreshes()).toEqual([{ id, startedAt: NOW }]);
      },
    );

    test('what its refresh token was imported as is found until another one replaces that', async () => {
      const { connection } = await connected(at.store);
      const { id, integration } = connection;
      const key = 'imported.refresh_token';
      const found = async (value: string) =>
        (await at.store.connectionsByValue(integration, key, value, 9)).map((one) => one.id);
      const imported = (value: string) => ({ ...someCredentials(), tokenDigests: { [key]: value } });
      await at.store.renewConnection(connection, imported('one'), null, anEntry());
      const claimed = await at.store.claim(id, { attempt: 'att_1', generation: 2, now: NOW, monotonic: 0 });
      if (typeof claimed === 'string') throw new Error(claimed);
      const held = { fence: claimed.fence, generation: 2 };
      const refreshed = { ...someCredentials(), tokenDigests: { 'refresh_token.prefix': 'p' } };
      await at.store.commitRefresh(id, held, someRefreshedFields(), refreshed, anEntry);
      await at.store.renewConnection(connection, { ...someCredentials(), refreshToken: undefined }, null, anEntry());
      expect(await found('one')).toEqual([id]);
      await at.store.renewConnection(connection, imported('two'), null, anEntry());
      expect([await found('one'), await found('two')]).toEqual([[], [id]]);
      await at.store.renewConnection(connection, someCredentials(), null, anEntry());
      expect(await found('two')).toEqual([]);
    });

    test('changed where it is of another generation than expected, and nothing changes', async () => {
      const { connection, credentials } = await connected(at.store);
      const session = await invited();
      const [{ id, generation }, audit] = [connection, anEntry()];
      const renew = (of: number) => at.store.renewConnection(connection, someCredentials(), session.id, audit, of);
      expect(await renew(generation + 1)).toBe('changed');
      expect(await at.store.connection(id)).toEqual(connection);
      expect(await at.store.storedCredentials(id)).toEqual(credentials);
      expect((await at.store.session(session.id))?.status).toBe('pending');
      expect(await recorded(at.store, audit)).toBe(false);
      expect(await renew(generation)).toEqual({ generation: generation + 1 });
    });

    test('never changes owner, integration or label', async () => {
      const { connection } = await connected(at.store);
      const session = await invited({ integration: 'github' });
      const moved = { ...connection, owner: 'someone', integration: 'github', label: 'other' };
      expect(await at.store.renewConnection(moved, someCredentials(), session.id, anEntry())).toEqual({
        generation: 2,
      });
      const { owner, integration, label } = connection;
      expect(await at.store.connection(connection.id)).toMatchObject({ owner, integration, label });
    });

    test('clears lease and intent, so that a refresh in flight is superseded', async () => {
      const { connection } = await connected(at.store);
      const claim = { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 };
      const claimed = await at.store.claim(connection.id, claim);
      if (typeof claimed === 'string') throw new Error(claimed);
      const credentials = someCredentials();
      await at.store.renewConnection(connection, credentials, (await invited()).id, anEntry());

      const held = { fence: claimed.fence, generation: 1 };
      expect(await at.store.commitRefresh(connection.id, held, someRefreshedFields(), someCredentials(), anEntry)).toBe(
        'superseded',
      );
      const next = await at.store.claim(connection.id, { ...claim, attempt: 'att_2' });
      expect(next).toMatchObject({ unresolved: null, credentials });
      expect(typeof next !== 'string' && next.fence > claimed.fence).toBe(true);
    });

    test('gone when revoked or absent, and the session stays pending', async () => {
      const { connection } = await connected(at.store);
      await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
      const tombstone = await at.store.connection(connection.id);
      const session = await invited();
      const audit = anEntry();
      expect(await at.store.renewConnection(connection, someCredentials(), session.id, audit)).toBe('gone');
      expect(await at.store.renewConnection(aConnection(), someCredentials(), session.id, audit)).toBe('gone');
      expect(await at.store.connection(connection.id)).toEqual(tombstone);
      expect((await at.store.session(session.id))?.status).toBe('pending');
      expect(await recorded(at.store, audit)).toBe(false);
    });

    test('succeeds once for a session', async () => {
      const { connection } = await connected(at.store);
      const session = await invited();
      const renew = () => at.store.renewConnection(connection, someCredentials(), session.id, anEntry());
      const outcomes = await Promise.all([renew(), renew()]);
      expect(outcomes).toContain('session_over');
      expect(outcomes).toContainEqual({ generation: 2 });
      expect((await at.store.connection(connection.id))?.generation).toBe(2);
    });
  });

  test('connectionsOfAccount returns the live connections of the account, at any integration, the oldest first', async () => {
    const account = { issuer: 'https://op.example', id: 'account-é', name: 'Ada' };
    const { connection: one } = await connected(at.store, { account });
    const { connection: gone } = await connected(at.store, { account });
    await at.store.revoke(gone.id, 'unsupported', NOW, anEntry());
    const renamed = { account: { ...account, name: null }, integration: 'github' };
    const { connection: two } = await connected(at.store, renamed);
    await connected(at.store, { account: null });
    await connected(at.store, { account: { ...account, id: 'account-2' } });
    await connected(at.store, { account: { ...account, issuer: 'https://other.example' } });
    expect(await at.store.connectionsOfAccount(account, 5)).toEqual([one, two]);
    expect(await at.store.connectionsOfAccount(account, 1)).toEqual([one]);
  });

  test('connectionVersions returns status and generation of those that exist', async () => {
    const { connection: one } = await connected(at.store);
    const { connection: gone } = await connected(at.store);
    await at.store.revoke(gone.id, 'unsupported', NOW, anEntry());
    const rows = await at.store.connectionVersions([gone.id, 'con_none', one.id]);
    expect(rows.sort((a, b) => a.id.localeCompare(b.id))).toEqual(
      [one, { ...gone, status: 'revoked' }]
        .map(({ id, status, generation, issuedAt }) => ({ id, status, generation, issuedAt }))
        .sort((a, b) => a.id.localeCompare(b.id)),
    );
    expect(await at.store.connectionVersions([])).toEqual([]);
  });

  describe('recordCheck', () => {
    test('stores when it was and what it came to, with its event, and changes nothing else', async () => {
      const { connection } = await connected(at.store, { lastCheckedAt: null, lastCheckError: null });
      const { id, generation } = connection;
      const failed = anEntry({ action: 'connection.check_failed', connectionId: id, detail: 'token_rejected' });
      const check = { generation, at: NOW + 3, error: 'token_rejected' };
      expect(await at.store.recordCheck(id, check, failed)).toBe('recorded');
      const checked = { ...connection, lastCheckedAt: NOW + 3, lastCheckError: 'token_rejected' };
      expect(await at.store.connection(id)).toEqual(checked);
      expect((await at.store.servedRow(id))?.connection).toEqual(checked);
      const told = (await feedOf(at.store)).filter(({ connectionId }) => connectionId === id);
      expect(told.map(({ type, data }) => [type, data.reason])).toEqual([
        ['connection.check_failed', 'token_rejected'],
      ]);
      const works = anEntry({ action: 'connection.checked', connectionId: id });
      expect(await at.store.recordCheck(id, { generation, at: NOW + 4, error: null }, works)).toBe('recorded');
      expect(await at.store.connection(id)).toEqual({ ...checked, lastCheckedAt: NOW + 4, lastCheckError: null });
      expect(await recorded(at.store, works)).toBe(true);
    });

    test('without effect on other credentials, and on a tombstone', async () => {
      const { connection } = await connected(at.store);
      const { id, generation } = connection;
      const audit = anEntry({ action: 'connection.checked', connectionId: id });
      const check = { generation: generation + 1, at: NOW + 3, error: null };
      expect(await at.store.recordCheck(id, check, audit)).toBe('changed');
      expect(await at.store.connection(id)).toEqual(connection);
      await at.store.revoke(id, 'unsupported', NOW, anEntry());
      expect(await at.store.recordCheck(id, { ...check, generation }, audit)).toBe('changed');
      expect(await recorded(at.store, audit)).toBe(false);
    });
  });
}
