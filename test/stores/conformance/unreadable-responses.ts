// The contract of the store: responses of token endpoints in which no token was found.
import { expect, test } from 'vitest';
import { anEntry, anUnreadableResponse, connected, FIRST, NOW } from '../builders.ts';
import type { Opened } from './index.ts';

export function unreadableResponses(at: Opened): void {
  const limits = { ofOne: 2, ofIntegration: 4 };
  const listed = async (integration?: string) =>
    (await at.store.unreadableResponses(integration, FIRST)).data.map(({ id }) => id);

  test('a response is returned as it was added, and listed without its body', async () => {
    const response = anUnreadableResponse();
    await at.store.addUnreadableResponse(response, limits);
    expect(await at.store.unreadableResponse(response.id)).toEqual(response);
    const { body: _, ...head } = response;
    expect(await at.store.unreadableResponses(undefined, FIRST)).toEqual({ data: [head], next: null });
    expect(await at.store.unreadableResponse('unr_none')).toBeUndefined();
  });

  test('lists are newest first, of one integration or of all, and paged', async () => {
    const [a, b, c] = [anUnreadableResponse(), anUnreadableResponse({ integration: 'x' }), anUnreadableResponse()];
    for (const each of [a, b, c]) await at.store.addUnreadableResponse(each, limits);
    expect(await listed()).toEqual([c.id, b.id, a.id]);
    expect(await listed('slack')).toEqual([c.id, a.id]);
    const first = await at.store.unreadableResponses(undefined, { limit: 2, after: undefined });
    expect(first.next).toBe(b.id);
    const second = await at.store.unreadableResponses(undefined, { limit: 2, after: b.id });
    expect(second.data.map(({ id }) => id)).toEqual([a.id]);
  });

  test('the newest of each connection, of each session and of each integration stay', async () => {
    const add = async (given: object) => {
      const response = anUnreadableResponse(given);
      await at.store.addUnreadableResponse(response, limits);
      return response.id;
    };
    const elsewhere = await add({ integration: 'x' });
    await add({ connectionId: 'con_1', sessionId: null });
    const ofConnection = [
      await add({ connectionId: 'con_1', sessionId: null }),
      await add({ connectionId: 'con_1', sessionId: null }),
    ];
    expect(await listed('slack')).toEqual(ofConnection.toReversed());
    await add({ connectionId: null, sessionId: 'cs_1' });
    const ofSession = [
      await add({ connectionId: null, sessionId: 'cs_1' }),
      await add({ connectionId: null, sessionId: 'cs_1' }),
    ];
    expect(await listed('slack')).toEqual([...ofConnection, ...ofSession].toReversed());
    const last = await add({});
    expect(await listed('slack')).toEqual([last, ...ofSession.toReversed(), ofConnection[1]]);
    expect(await listed('x')).toEqual([elsewhere]);
  });

  test('those received before a time are deleted, in portions', async () => {
    const old = () => anUnreadableResponse({ receivedAt: NOW - 1 });
    const young = anUnreadableResponse({ receivedAt: NOW });
    for (const each of [old(), old(), old(), young]) await at.store.addUnreadableResponse(each, limits);
    expect(await at.store.deleteUnreadableResponses(NOW, 2)).toBe(true);
    expect(await listed()).toHaveLength(2);
    expect(await at.store.deleteUnreadableResponses(NOW, 2)).toBe(false);
    expect(await listed()).toEqual([young.id]);
  });

  test('those of a connection are deleted when it is revoked, and later ones are not kept', async () => {
    const { connection } = await connected(at.store);
    const other = anUnreadableResponse();
    const own = () => anUnreadableResponse({ connectionId: connection.id });
    await at.store.addUnreadableResponse(own(), limits);
    await at.store.addUnreadableResponse(other, limits);
    await at.store.revoke(connection.id, 'unsupported', NOW, anEntry());
    await at.store.addUnreadableResponse(own(), limits);
    expect(await listed()).toEqual([other.id]);
  });
}
