// The contract of the store: integrations.
import { expect, test } from 'vitest';
import { StoreError } from '../../../src/ports/index.ts';
import {
  aCandidate,
  aCiphertext,
  aConnection,
  aFlow,
  anEntry,
  anIntegration,
  aRevocation,
  aSession,
  connected,
  NOW,
  recorded,
  someCredentials,
} from '../builders.ts';
import type { Opened } from './index.ts';

export function integrations(at: Opened): void {
  test('a new integration is returned with every field and version 1', async () => {
    const integration = anIntegration();
    const audit = anEntry();
    expect(await at.store.putIntegration(integration, audit)).toBe('created');
    expect(await at.store.integration('slack')).toEqual({ ...integration, version: 1 });
    expect(await recorded(at.store, audit)).toBe(true);
    expect(await at.store.integration('slac')).toBeUndefined();
  });

  test('an absent secret and empty lists are stored as such', async () => {
    const bare = anIntegration({ clientSecret: null, scopes: [], params: {}, overrides: {}, returnOrigins: [] });
    await at.store.putIntegration(bare, anEntry());
    expect(await at.store.integration('slack')).toEqual({ ...bare, version: 1 });
  });

  test('replacing an integration increments its version and leaves createdAt', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const next = anIntegration({
      clientId: 'client-2',
      clientSecret: aCiphertext('new'),
      createdAt: NOW + 9,
      updatedAt: 7,
    });
    const audit = anEntry();
    expect(await at.store.putIntegration(next, audit)).toBe('updated');
    expect(await at.store.integration('slack')).toEqual({ ...next, version: 2, createdAt: NOW });
    expect(await recorded(at.store, audit)).toBe(true);
  });

  test('an undefined secret leaves the stored one, and null removes it', async () => {
    const integration = anIntegration();
    const { clientSecret } = integration;
    const secretAfter = async (given: typeof clientSecret | undefined) => {
      await at.store.putIntegration({ ...integration, clientSecret: given }, anEntry());
      return (await at.store.integration('slack'))?.clientSecret;
    };
    expect(await secretAfter(undefined)).toBeNull();
    expect(await secretAfter(clientSecret)).toBe(clientSecret);
    expect(await secretAfter(undefined)).toBe(clientSecret);
    expect(await secretAfter(null)).toBeNull();
  });

  test('a change of a version that is not stored any more changes nothing; of two at once, one counts', async () => {
    const integration = anIntegration();
    const put = (expected: number, clientId: string) => {
      const audit = anEntry();
      const outcome = at.store.putIntegration({ ...integration, clientId }, audit, [], { version: expected });
      return outcome.then(async (it) => [it, await recorded(at.store, audit)]);
    };
    expect(await put(1, 'none')).toEqual(['changed', false]);
    expect(await at.store.integration('slack')).toBeUndefined();
    expect(await put(0, 'first')).toEqual(['created', true]);
    expect(await put(0, 'again')).toEqual(['changed', false]);
    const both = await Promise.all([put(1, 'one'), put(1, 'two')]);
    expect(both.map(([it]) => it).sort()).toEqual(['changed', 'updated']);
    const { version, clientId } = (await at.store.integration('slack'))!;
    expect([version, ['one', 'two'][both.findIndex(([it]) => it === 'updated')]]).toEqual([2, clientId]);
  });

  test('two concurrent changes each increment the version', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const other = await at.another();
    await Promise.all([at.store, other].map((store) => store.putIntegration(anIntegration(), anEntry())));
    expect((await at.store.integration('slack'))?.version).toBe(3);
  });

  test('integrations are listed page by page, by id', async () => {
    for (const id of ['c', 'a', 'b']) await at.store.putIntegration(anIntegration({ id }), anEntry());
    const first = await at.store.integrations({ limit: 2, after: undefined });
    expect(first.data.map((i) => i.id)).toEqual(['a', 'b']);
    expect(first.next).toBe('b');
    const second = await at.store.integrations({ limit: 2, after: 'b' });
    expect(second.data.map((i) => i.id)).toEqual(['c']);
    expect(second.next).toBeNull();
  });

  test('a page that is just full is the last one', async () => {
    for (const id of ['a', 'b']) await at.store.putIntegration(anIntegration({ id }), anEntry());
    expect((await at.store.integrations({ limit: 2, after: undefined })).next).toBeNull();
  });

  test('an unused integration is deleted; an absent one is reported', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const [audit, again] = [anEntry(), anEntry()];
    expect(await at.store.deleteIntegration('slack', audit)).toBe('deleted');
    expect(await at.store.integration('slack')).toBeUndefined();
    expect(await recorded(at.store, audit)).toBe(true);
    expect(await at.store.deleteIntegration('slack', again)).toBe('absent');
    expect(await recorded(at.store, again)).toBe(false);
  });

  test('an integration with live connections or pending revocations is not deleted, and they are counted', async () => {
    await connected(at.store);
    await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked' });
    await connected(at.store, { integration: 'github' });
    const { connection } = await connected(at.store);
    await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
    await at.store.addPendingRevocation(aRevocation({ integration: 'slack' }));
    await at.store.addPendingRevocation(aRevocation({ integration: 'github' }));
    const audit = anEntry();
    expect(await at.store.deleteIntegration('slack', audit)).toEqual({
      integration: 'slack',
      connections: 2,
      pendingRevocations: 1,
    });
    expect(await at.store.integration('slack')).toBeDefined();
    expect(await recorded(at.store, audit)).toBe(false);
  });

  test('an integration with tombstones is deleted, and they stay', async () => {
    const { connection } = await connected(at.store);
    await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
    expect(await at.store.deleteIntegration('slack', anEntry())).toBe('deleted');
    expect((await at.store.connection(connection.id))?.status).toBe('revoked');
  });

  test('a flow in flight is deleted with its integration', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const session = aSession();
    const flow = aFlow(session.id);
    await at.store.addSession(session, anEntry());
    await at.store.beginFlow(flow, NOW);
    await at.store.deleteIntegration('slack', anEntry());
    expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeUndefined();
  });

  test('open sessions of an integration end with it; a choice among several, and sessions of others, stay open', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const one = { integrations: null };
    const own = aSession(one);
    const failed = aSession({ ...one, status: 'failed', error: 'account_unknown', returnUrl: null });
    const choice = aSession({ integrations: ['slack', 'github'] });
    const others = aSession({ ...one, integration: 'github' });
    for (const session of [own, failed, choice, others]) await at.store.addSession(session, anEntry());
    await at.store.deleteIntegration('slack', anEntry());
    const statuses = [own, failed, choice, others].map(async ({ id }) => (await at.store.session(id))?.status);
    expect(await Promise.all(statuses)).toEqual(['cancelled', 'cancelled', 'pending', 'pending']);
  });

  test('what was received for an integration is not stored for another one of its id, nor for none', async () => {
    const before = anIntegration();
    const session = aSession({ finish: true });
    await at.store.putIntegration(before, anEntry());
    await at.store.addSession(session, anEntry());
    await at.store.deleteIntegration('slack', anEntry());
    const revocation = aRevocation({ integration: 'slack' });
    expect(await at.store.addPendingRevocation(revocation, before)).toBe(false);

    const again = anIntegration({ createdAt: before.createdAt + 1 });
    await at.store.putIntegration(again, anEntry());
    const until = { finishDigest: 'digest', expiresAt: NOW + 60_000, account: null };
    const [connection, candidate] = [aConnection(), aCandidate(session.id)];
    const add = (of: typeof before) => at.store.addConnection(connection, someCredentials(), null, anEntry(), of);
    const wait = (of: typeof before) => at.store.awaitFinish(candidate, until, anEntry(), of);
    await expect(add(before)).rejects.toBeInstanceOf(StoreError);
    await expect(wait(before)).rejects.toBeInstanceOf(StoreError);
    expect(await at.store.addPendingRevocation(revocation, before)).toBe(false);
    expect(await at.store.deleteIntegration('slack', anEntry())).toBe('deleted');

    await at.store.putIntegration(again, anEntry());
    // A change leaves it the same one.
    await at.store.putIntegration({ ...again, scopes: ['other'], createdAt: again.createdAt + 1 }, anEntry());
    expect(await add(again)).toBe('added');
    expect(await wait(again)).toBe('awaiting');
    expect(await at.store.addPendingRevocation(revocation, again)).toBe(true);
  });
}
