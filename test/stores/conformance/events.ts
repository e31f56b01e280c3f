// The contract of the store: events, the feed, faults of integrations, and notices of grants that end.
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ADMIN_ID } from '../../../src/domain/caller.ts';
import type { Store } from '../../../src/ports/index.ts';
import { anEndpoint, anEntry, anEvent, anIntegration, connected, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

const LAST = Number.MAX_SAFE_INTEGER;

/** All events that are committed, in the order of the feed. */
export async function feedOf(store: Store) {
  let horizon = 0;
  await expect
    .poll(async () => {
      horizon = await store.eventHorizon();
      return (await store.eventsBetween(horizon, LAST, undefined, 1)).length;
    })
    .toBe(0);
  return store.eventsBetween(0, horizon, undefined, 1_000);
}

export function events(at: Opened): void {
  test('an event is stored with every field, once', async () => {
    expect(await feedOf(at.store)).toEqual([]);
    const full = anEvent({ callerId: 'clr_1', endpointId: 'whe_1' });
    const bare = anEvent({ integration: null, owner: null, connectionId: null, body: null, data: {} });
    const audit = anEntry();
    await at.store.addEvents([full, bare], audit);
    expect(await recorded(at.store, audit)).toBe(true);
    await (await at.another()).addEvents([bare, full, full], undefined);
    const [first, second, ...more] = await feedOf(at.store);
    expect(more).toEqual([]);
    expect(first).toEqual({ ...full, position: expect.any(Number), sequence: 1 });
    expect(second).toEqual({ ...bare, position: expect.any(Number), sequence: null });
    expect(second!.position).toBeGreaterThan(first!.position);
    expect(await at.store.event(full.id)).toEqual(first);
    expect(await at.store.event('msg_none')).toBeUndefined();
  });

  test('the feed is read in parts, and by type', async () => {
    const types = ['test.ping', 'webhook.received', 'connection.created', 'webhook.received'] as const;
    const all = types.map((type) => anEvent({ type }));
    for (const one of all) await at.store.addEvents([one], undefined);
    const placed = await feedOf(at.store);
    expect(placed.map(({ id }) => id)).toEqual(all.map(({ id }) => id));
    const [first, second, third, last] = placed.map(({ position }) => position) as [number, number, number, number];
    const read = async (...range: Parameters<Store['eventsBetween']>) =>
      (await at.store.eventsBetween(...range)).map(({ position }) => position);
    expect(await read(first, third, undefined, 10)).toEqual([second, third]);
    expect(await read(0, last, undefined, 3)).toEqual([first, second, third]);
    expect(await read(0, last, ['webhook.received'], 10)).toEqual([second, last]);
    expect(await read(first, last, ['connection.created', 'webhook.received', 'test.ping'], 2)).toEqual([
      second,
      third,
    ]);
    expect(await read(0, last, [], 10)).toEqual([]);
  });

  test('the horizon never passes an event that is not committed yet, and numbers have no gaps', async () => {
    const stores = [at.store, await at.another(), await at.another()];
    const seen = new Map<string, number>();
    let read = 0;
    let isDone = false;
    const writing = Promise.all(
      stores.map(async (store) => {
        for (let n = 0; n < 15; n++) await store.addEvents([anEvent(), anEvent({ connectionId: 'con_2' })], undefined);
      }),
    ).then(() => {
      isDone = true;
    });
    const follow = async () => {
      const horizon = await at.store.eventHorizon();
      for (const { id, sequence } of await at.store.eventsBetween(read, horizon, undefined, 500))
        seen.set(id, sequence!);
      read = horizon;
    };
    while (!isDone) {
      await follow();
      await turn();
    }
    await writing;
    await feedOf(at.store);
    await follow();
    expect(seen.size).toBe(90);
    expect([...seen.values()].sort((a, b) => a - b)).toEqual(Array.from({ length: 90 }, (_, i) => 1 + (i >> 1)));
  });

  test('listeners of the process are told after the commit, and not of one that failed', async () => {
    const told: string[][] = [];
    const stop = at.store.onEvents((types) => told.push(types));
    const both = [anEvent(), anEvent({ type: 'test.ping' })];
    await at.store.addEvents(both, undefined);
    await at.store.addEvents(both, undefined);
    await at.store.putIntegration(anIntegration(), anEntry());
    const { connection, credentials } = await connected(at.store);
    const again = at.store.addConnection({ ...connection, owner: 'x' }, credentials, null, anEntry());
    await expect(again).rejects.toThrow();
    expect(told).toEqual([['webhook.received', 'test.ping']]);
    await at.store.addConnection(
      { ...connection, id: 'con_x', owner: 'x' },
      credentials,
      null,
      anEntry({ action: 'connection.created', connectionId: 'con_x' }),
    );
    expect(told[1]).toEqual(['connection.created']);
    stop();
    await at.store.addEvents([anEvent()], undefined);
    expect(told).toHaveLength(2);
  });

  test('old events are pruned with their deliveries in batches, never the newest', async () => {
    await at.store.addWebhookEndpoint(anEndpoint(), anEntry());
    const [a, b, c, d] = [NOW - 4, NOW - 3, NOW - 2, NOW - 5].map((when) => anEvent({ at: when })) as [
      ReturnType<typeof anEvent>,
      ...ReturnType<typeof anEvent>[],
    ];
    for (const one of [a, b!, c!, d!]) await at.store.addEvents([one], undefined);
    const before = await feedOf(at.store);
    expect(await at.store.pruneEvents(NOW - 2, 1)).toBe(1);
    expect(await at.store.event(a.id)).toBeUndefined();
    expect(await at.store.pruneEvents(NOW - 2, 10)).toBe(1);
    expect(await at.store.pruneEvents(NOW, 10)).toBe(1);
    expect(await at.store.pruneEvents(NOW, 10)).toBe(0);
    expect((await feedOf(at.store)).map(({ id }) => id)).toEqual([d!.id]);
    const { data } = await at.store.deliveries({}, { limit: 10, after: undefined });
    expect(data.map(({ eventId }) => eventId)).toEqual([d!.id]);
    await at.store.addEvents([anEvent()], undefined);
    expect((await feedOf(at.store)).at(-1)!.position).toBeGreaterThan(before.at(-1)!.position);
  });

  test('a fault of an integration is set and cleared once over all replicas, each with its event', async () => {
    await at.store.putIntegration(anIntegration(), anEntry());
    const about = { connectionId: null, owner: null, detail: 'invalid_client' };
    const fault = () => anEntry({ action: 'integration.misconfigured', ...about });
    const recovery = () => anEntry({ action: 'integration.recovered', ...about });
    const other = await at.another();
    const first = fault();
    expect(await at.store.setIntegrationFault('slack', 'invalid_client', first)).toBe('changed');
    expect(await other.integrationFaults()).toEqual([{ integration: 'slack', code: expect.any(String), since: NOW }]);
    const second = fault();
    expect(await other.setIntegrationFault('slack', 'unauthorized_client', second)).toBe('unchanged');
    expect([await recorded(at.store, first), await recorded(at.store, second)]).toEqual([true, false]);
    const both = [at.store, other].map((store) => store.setIntegrationFault('slack', null, recovery()));
    expect((await Promise.all(both)).sort()).toEqual(['changed', 'unchanged']);
    await at.store.setIntegrationFault('slack', 'invalid_client', fault());
    await at.store.deleteIntegration('slack', anEntry({ action: 'integration.deleted' }));
    expect(await at.store.setIntegrationFault('slack', null, recovery())).toBe('unchanged');
    const told = await feedOf(at.store);
    expect(told.map(({ type }) => type)).toEqual([
      'integration.misconfigured',
      'integration.recovered',
      'integration.misconfigured',
    ]);
    expect(told[0]).toMatchObject({
      id: first.id.replace('evt_', 'msg_'),
      integration: 'slack',
      owner: null,
      connectionId: null,
      sequence: null,
      data: { integration: { id: 'slack' }, error: 'invalid_client' },
    });
  });

  test('grants that end are listed until their end is told, once over all replicas', async () => {
    const of = async (reauthDueAt: number | null, status: 'active' | 'needs_reauth' = 'active') =>
      (await connected(at.store, { reauthDueAt, status })).connection;
    const late = await of(NOW + 20);
    const soon = await of(NOW + 10);
    await of(NOW + 30);
    await of(null);
    await of(NOW + 5, 'needs_reauth');
    const ending = await at.store.endingConnections(NOW + 30, undefined, 10);
    expect(ending).toEqual(
      [soon, late].map(({ id, owner, integration, reauthDueAt }) => ({
        id,
        owner,
        integration,
        dueAt: reauthDueAt,
        told: null,
      })),
    );
    expect(await at.store.endingConnections(NOW + 30, ending[0], 10)).toEqual([ending[1]]);
    expect(await at.store.endingConnections(NOW + 30, undefined, 1)).toEqual([ending[0]]);
    const entry = () => anEntry({ action: 'connection.reauth_due', connectionId: soon.id });
    const other = await at.another();
    const both = [at.store, other].map((store) => store.putReauthNotice(ending[0]!, 1, entry()));
    expect((await Promise.all(both)).sort()).toEqual(['gone', 'stored']);
    const [told] = await at.store.endingConnections(NOW + 30, undefined, 1);
    expect(told).toEqual({ ...ending[0], told: { stage: 1, dueAt: NOW + 10 } });
    expect(await at.store.putReauthNotice({ ...told!, dueAt: NOW + 11 }, 2, entry())).toBe('gone');
    expect(await at.store.putReauthNotice(told!, 1, undefined)).toBe('stored');
    const [event, ...more] = await feedOf(at.store);
    expect(more).toEqual([]);
    expect(event!.data).toMatchObject({
      connection: { id: soon.id },
      reauth_due_at: new Date(NOW + 10).toISOString(),
    });
    await at.store.renewConnection(
      soon,
      { accessToken: null, refreshToken: null, idToken: null, credentials: null },
      null,
      anEntry(),
    );
    expect((await at.store.endingConnections(NOW + 30, undefined, 1))[0]).toMatchObject({ id: soon.id, told: null });
    expect(ADMIN_ID).toBe(anEndpoint().callerId);
  });
}
