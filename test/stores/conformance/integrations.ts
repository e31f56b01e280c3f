// The contract of the store: integrations.
import { expect, test } from 'vitest';
import { aFlow, anEntry, anIntegration, aRevocation, aSession, connected, NOW, recorded, sealed } from '../builders.ts';
import type { Opened } from './index.ts';

export function integrations(at: Opened): void {
  test('gives back every field, with version 1', async () => {
    const integration = anIntegration();
    const by = anEntry();
    expect(await at.store.putIntegration(integration, by)).toBe('created');
    expect(await at.store.integration('slack')).toEqual({ ...integration, version: 1 });
    expect(await recorded(at.store, by)).toBe(true);
    expect(await at.store.integration('slac')).toBeUndefined();
  });

  test('keeps an absent secret and empty lists as they are', async () => {
    const bare = anIntegration({ clientSecret: null, scopes: [], params: {}, overrides: {}, returnOrigins: [] });
    await at.store.putIntegration(bare, anEntry());
    expect(await at.store.integration('slack')).toEqual({ ...bare, version: 1 });
  });

  test('counts the version up when replaced, and keeps when it was made', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const next = anIntegration({ clientId: 'client-2', clientSecret: sealed('new'), createdAt: NOW + 9, updatedAt: 7 });
    const by = anEntry();
    expect(await at.store.putIntegration(next, by)).toBe('updated');
    expect(await at.store.integration('slack')).toEqual({ ...next, version: 2, createdAt: NOW });
    expect(await recorded(at.store, by)).toBe(true);
  });

  test('keeps the secret that is there when none is given, and removes it when told', async () => {
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

  test('counts each of two changes at once', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const other = await at.another();
    await Promise.all([at.store, other].map((store) => store.putIntegration(anIntegration(), anEntry())));
    expect((await at.store.integration('slack'))?.version).toBe(3);
  });

  test('lists them page by page, by id', async () => {
    for (const id of ['c', 'a', 'b']) await at.store.putIntegration(anIntegration({ id }), anEntry());
    const first = await at.store.integrations({ limit: 2, after: undefined });
    expect(first.data.map((i) => i.id)).toEqual(['a', 'b']);
    expect(first.next).toBe('b');
    const second = await at.store.integrations({ limit: 2, after: 'b' });
    expect(second.data.map((i) => i.id)).toEqual(['c']);
    expect(second.next).toBeNull();
  });

  test('ends the list at a page that is just full', async () => {
    for (const id of ['a', 'b']) await at.store.putIntegration(anIntegration({ id }), anEntry());
    expect((await at.store.integrations({ limit: 2, after: undefined })).next).toBeNull();
  });

  test('deletes one that nobody uses, and says when there is none', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const [by, again] = [anEntry(), anEntry()];
    expect(await at.store.deleteIntegration('slack', by)).toBe('deleted');
    expect(await at.store.integration('slack')).toBeUndefined();
    expect(await recorded(at.store, by)).toBe(true);
    expect(await at.store.deleteIntegration('slack', again)).toBe('absent');
    expect(await recorded(at.store, again)).toBe(false);
  });

  test('refuses to delete one with live connections or pending revocations, and counts them', async () => {
    await connected(at.store);
    await connected(at.store, { status: 'needs_reauth', reason: 'grant_revoked' });
    await connected(at.store, { integration: 'github' });
    const { connection } = await connected(at.store);
    await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
    await at.store.addPendingRevocation(aRevocation({ integration: 'slack' }));
    await at.store.addPendingRevocation(aRevocation({ integration: 'github' }));
    const by = anEntry();
    expect(await at.store.deleteIntegration('slack', by)).toEqual({ connections: 2, pendingRevocations: 1 });
    expect(await at.store.integration('slack')).toBeDefined();
    expect(await recorded(at.store, by)).toBe(false);
  });

  test('deletes one with tombstones, which stay', async () => {
    const { connection } = await connected(at.store);
    await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
    expect(await at.store.deleteIntegration('slack', anEntry())).toBe('deleted');
    expect((await at.store.connection(connection.id))?.status).toBe('revoked');
  });

  test('a flow in flight ends with its integration', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const session = aSession();
    const flow = aFlow(session.id);
    await at.store.addSession(session, anEntry());
    await at.store.beginFlow(flow, NOW);
    await at.store.deleteIntegration('slack', anEntry());
    expect(await at.store.consumeFlow(flow.stateDigest, flow.browserDigest, NOW)).toBeUndefined();
  });
}
