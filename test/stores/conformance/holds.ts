// The contract of the store: connections whose account the provider has suspended.
import { expect, test } from 'vitest';
import { LEASE_MS } from '../../../src/domain/time-limits.ts';
import type { Change, Claimed, Release } from '../../../src/ports/index.ts';
import { aConnection, anEntry, connected, NOW, recorded, someCredentials, someRefreshedFields } from '../builders.ts';
import type { Opened } from './index.ts';

const aClaim = { attempt: 'att_1', generation: 99, now: NOW, monotonic: 0 };
const error = { code: 'invalid_grant', detail: 'no', at: NOW + 50, retryAt: null };
const FAR = NOW + 10 * LEASE_MS;
const releasedAt = (nextRefreshAt: number, given: Partial<Release> = {}): Release => ({
  at: NOW,
  nextRefreshAt,
  isMinted: false,
  ...given,
});

export function holds(at: Opened): void {
  const { stringify } = JSON;
  const claimed = async (id: string): Promise<Claimed> => {
    const claim = await at.store.claim(id, aClaim);
    if (typeof claim === 'string') throw new Error(claim);
    return claim;
  };

  test('hold: live and not active, with its credentials, neither due nor claimed; release: due and without its access token', async () => {
    const reports: string[] = [];
    const feed = await at.store.subscribe((changes: Change[]) => {
      reports.push(...changes.map((one) => stringify(one)));
    });
    const { connection, credentials } = await connected(at.store, { nextRefreshAt: NOW });
    const { id, integration, owner, label, generation } = connection;
    const [holding, releasing] = [anEntry({ at: NOW + 3 }), anEntry({ at: NOW + 9 })];
    expect(await at.store.release(id, releasedAt(NOW), releasing)).toBe('unchanged');
    expect(await at.store.hold(id, 'account_disabled', NOW, holding)).toEqual({ generation });
    const held = {
      ...connection,
      status: 'on_hold',
      reason: 'account_disabled',
      nextRefreshAt: null,
      updatedAt: NOW + 3,
    };
    expect(await at.store.connection(id)).toEqual(held);
    expect(await at.store.storedCredentials(id)).toEqual(credentials);
    expect(await recorded(at.store, holding)).toBe(true);
    await expect.poll(() => reports).toContain(stringify({ kind: 'connection', id, generation }));
    const again = anEntry();
    expect(await at.store.hold(id, 'account_disabled', NOW, again)).toBe('unchanged');
    expect(await recorded(at.store, again)).toBe(false);

    expect(await at.store.claim(id, aClaim)).toBe('gone');
    expect(await at.store.dueIntegrations(FAR)).toEqual([]);
    expect(await at.store.dueConnections(integration, FAR, 10)).toEqual([]);
    expect(await at.store.countDue(FAR)).toEqual([]);
    // It keeps its place.
    const rival = aConnection({ integration, owner, label });
    expect(await at.store.addConnection(rival, someCredentials(), null, anEntry())).toEqual({ exists: id });
    expect(await at.store.deleteIntegration(integration, anEntry())).toMatchObject({ connections: 1 });
    expect((await at.store.liveConnections({ owner }, { limit: 9, after: undefined })).data).toEqual([{ id }]);
    const filter = { status: 'on_hold' as const, integration };
    expect((await at.store.connections(filter, { limit: 9, after: undefined })).data).toEqual([held]);
    expect((await at.store.connections({ status: 'on_hold' }, { limit: 9, after: undefined })).data).toEqual([held]);
    expect(await at.store.countConnections()).toEqual([{ integration, status: 'on_hold', count: 1, failing: 0 }]);
    const { status, issuedAt } = held;
    expect(await at.store.connectionVersions([id])).toEqual([{ id, status, generation, issuedAt }]);

    expect(await at.store.release(id, releasedAt(NOW + 8), releasing)).toEqual({ generation });
    expect(await at.store.connection(id)).toEqual({
      ...connection,
      nextRefreshAt: NOW + 8,
      failures: 0,
      lastRefreshError: null,
      updatedAt: NOW + 9,
    });
    expect(await at.store.storedCredentials(id)).toEqual({ ...credentials, accessToken: null });
    expect(await recorded(at.store, releasing)).toBe(true);
    // At an earlier time, everything is looked at again.
    expect(await at.store.dueIntegrations(NOW + 8)).toEqual([{ integration, dueAt: NOW + 8 }]);
    const due = await at.store.dueConnections(integration, FAR, 10);
    expect(due).toMatchObject([{ connection: { id }, dueAt: NOW + 8 }]);
    await feed.stop();
  });

  test('release: without a refresh token, the access token stays', async () => {
    const { connection } = await connected(at.store);
    const only = someCredentials({ refreshToken: null });
    await at.store.renewConnection(connection, only, null, anEntry());
    await at.store.hold(connection.id, 'account_disabled', NOW, anEntry());
    await at.store.release(connection.id, releasedAt(NOW), anEntry());
    expect(await at.store.storedCredentials(connection.id)).toEqual(only);
  });

  test('the latest word of the provider counts, in whatever order it arrives', async () => {
    const { connection } = await connected(at.store);
    const { id } = connection;
    const status = async () => (await at.store.connection(id))!.status;
    const hold = (time: number) => at.store.hold(id, 'account_disabled', time, anEntry());
    const release = (time: number) => at.store.release(id, releasedAt(NOW, { at: time }), anEntry());
    await hold(NOW + 10);
    expect([await release(NOW + 9), await status()]).toEqual(['unchanged', 'on_hold']);
    // Suspended again: what was between the two does not lift it.
    expect([await hold(NOW + 30), await release(NOW + 20), await status()]).toEqual([
      'unchanged',
      'unchanged',
      'on_hold',
    ]);
    expect([await release(NOW + 40), await status()]).toEqual([{ generation: 1 }, 'active']);
    // Enabled, before it is told that it had been suspended.
    expect([await release(NOW + 60), await hold(NOW + 50), await status()]).toEqual([
      'unchanged',
      'unchanged',
      'active',
    ]);
    expect([await hold(NOW + 60), await status()]).toEqual([{ generation: 1 }, 'on_hold']);
    await at.store.revoke(id, 'unsupported', NOW, anEntry());
    expect([await hold(NOW + 70), await status()]).toEqual(['unchanged', 'revoked']);
  });

  test('release: a token that was minted is deleted without a refresh token, since another can be', async () => {
    const { connection } = await connected(at.store);
    const minted = someCredentials({ refreshToken: null });
    await at.store.renewConnection(connection, minted, null, anEntry());
    await at.store.hold(connection.id, 'account_disabled', NOW, anEntry());
    await at.store.release(connection.id, releasedAt(NOW, { isMinted: true }), anEntry());
    expect(await at.store.storedCredentials(connection.id)).toEqual({ ...minted, accessToken: null });
  });

  test('hold of what is not active: unchanged; one on hold can be renewed and revoked', async () => {
    const { connection: dead } = await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked' });
    const { connection } = await connected(at.store, { integration: 'slack' });
    for (const id of [dead.id, 'con_none'])
      expect(await at.store.hold(id, 'account_disabled', NOW, anEntry())).toBe('unchanged');
    await at.store.hold(connection.id, 'account_disabled', NOW, anEntry());
    const renewed = await at.store.renewConnection(connection, someCredentials(), null, anEntry());
    expect(renewed).toEqual({ generation: connection.generation + 1 });
    expect(await at.store.connection(connection.id)).toMatchObject({ status: 'active', reason: null });
    await at.store.hold(connection.id, 'account_disabled', NOW, anEntry());
    const revoked = await at.store.revoke(connection.id, 'pending', NOW, anEntry());
    expect(revoked).toMatchObject({ already: false, connection: { status: 'revoked', reason: null } });
    expect(await at.store.release(connection.id, releasedAt(NOW), anEntry())).toBe('unchanged');
  });

  test('a refresh in flight: its answer is committed and stays on hold, and its refusal does not end the grant', async () => {
    const { connection } = await connected(at.store);
    const { id, generation } = connection;
    const first = await claimed(id);
    await at.store.hold(id, 'account_disabled', NOW, anEntry());
    const fresh = someCredentials();
    const held = { fence: first.fence, generation };
    expect(await at.store.commitRefresh(id, held, someRefreshedFields(), fresh, anEntry)).toBe('held');
    const stored = { status: 'on_hold', reason: 'account_disabled', generation: generation + 1, nextRefreshAt: null };
    expect(await at.store.connection(id)).toMatchObject(stored);
    expect(await at.store.storedCredentials(id)).toEqual(fresh);

    await at.store.release(id, releasedAt(NOW), anEntry());
    const second = await claimed(id);
    await at.store.hold(id, 'account_disabled', NOW, anEntry());
    const failure = { reason: 'grant_revoked' as const, error, nextRefreshAt: null, resolved: true };
    const audit = anEntry({ action: 'connection.needs_reauth' });
    const later = { fence: second.fence, generation: generation + 1 };
    expect(await at.store.recordRefreshFailure(id, later, failure, audit)).toBe('kept');
    expect(await at.store.connection(id)).toMatchObject({ ...stored, lastRefreshError: error });
    const entry = (await at.store.audit({}, { limit: 500, after: undefined })).data.find((one) => one.id === audit.id);
    expect(entry).toMatchObject({ action: 'connection.refresh_failed' });
  });

  test('on hold, a grant can be ended by its provider', async () => {
    const { connection } = await connected(at.store);
    const { id, generation } = connection;
    await at.store.hold(id, 'account_disabled', NOW, anEntry());
    expect(await at.store.deauthorize(id, generation, 'deauthorized', anEntry())).toBe('deauthorized');
    expect(await at.store.connection(id)).toMatchObject({ status: 'needs_reauth', reason: 'deauthorized' });
  });

  test('a connection is found by its subject, and by digests of its refresh token as each commit replaces them', async () => {
    const identity = { issuer: 'https://op.example', subject: 'sub-of-holds' };
    const { connection } = await connected(at.store, { identity });
    const { id, integration, generation } = connection;
    const found = async (key: string, value: string) =>
      (await at.store.connectionsByValue(integration, key, value, 10)).map((one) => one.id);
    expect(await found('identity.sub', 'sub-of-holds')).toEqual([id]);
    expect(await found('identity.sub', 'sub-of-hold')).toEqual([]);

    const digests = (name: string) => ({
      'refresh_token.prefix': `p-${name}`,
      'refresh_token.sha512_sha512': `h-${name}`,
    });
    const renewed = { ...someCredentials(), tokenDigests: digests('one') };
    await at.store.renewConnection(connection, renewed, null, anEntry());
    expect([await found('refresh_token.prefix', 'p-one'), await found('refresh_token.sha512_sha512', 'h-one')]).toEqual(
      [[id], [id]],
    );
    const { fence } = await claimed(id);
    const held = { fence, generation: generation + 1 };
    const change = someRefreshedFields({ identity });
    const audit = anEntry({ integration });
    await at.store.commitRefresh(id, held, change, { ...someCredentials(), tokenDigests: digests('two') }, () => audit);
    expect([await found('refresh_token.prefix', 'p-one'), await found('refresh_token.prefix', 'p-two')]).toEqual([
      [],
      [id],
    ]);
    expect(await found('identity.sub', 'sub-of-holds')).toEqual([id]);

    // A renewal that keeps the refresh token keeps its digests.
    await at.store.renewConnection(connection, { ...someCredentials(), refreshToken: undefined }, null, anEntry());
    expect(await found('refresh_token.prefix', 'p-two')).toEqual([id]);
    await at.store.revoke(id, 'unsupported', NOW, anEntry());
    expect([await found('refresh_token.prefix', 'p-two'), await found('identity.sub', 'sub-of-holds')]).toEqual([
      [],
      [],
    ]);
  });
}
