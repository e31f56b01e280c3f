// The contract of the store: deliveries of events to webhook endpoints.
import { describe, expect, test } from 'vitest';
import type { NewEvent } from '../../../src/domain/events.ts';
import { HELD, type WebhookEndpoint } from '../../../src/domain/webhook-endpoint.ts';
import type { DeliveryOutcome, Store } from '../../../src/ports/index.ts';
import { aCaller, aCiphertext, anEndpoint, anEntry, anEvent, FIRST, NOW, recorded } from '../builders.ts';
import type { Opened } from './index.ts';

const PUSH = NOW + 60_000;

export function deliveries(at: Opened): void {
  const endpoint = async (given: Partial<WebhookEndpoint> = {}) => {
    const one = anEndpoint(given);
    await at.store.addWebhookEndpoint(one, anEntry());
    return one;
  };
  const told = async (...given: Partial<NewEvent>[]) => {
    const all = given.map((one) => anEvent(one));
    for (const event of all) await at.store.addEvents([event], undefined);
    return all.map(({ id }) => id);
  };
  const claim = async (id: string, now = NOW, limit = 100, store: Store = at.store) =>
    store.claimDeliveries(id, now, PUSH, limit);
  const claimedIds = async (...asked: Parameters<typeof claim>) => (await claim(...asked)).map(({ event }) => event.id);
  const outcome = (given: Partial<DeliveryOutcome> = {}): DeliveryOutcome => ({
    status: 'delivered',
    at: NOW + 5,
    httpStatus: 204,
    error: null,
    response: aCiphertext('last_response'),
    nextAt: null,
    ...given,
  });
  const failed = (given: Partial<DeliveryOutcome> = {}) =>
    outcome({ status: 'failing', httpStatus: 500, error: 'http_500', nextAt: NOW + 50, ...given });
  const failingSince = async (id: string) => (await at.store.webhookEndpoint(id))?.failingSince;

  describe('claims', () => {
    test('are made in batches, the oldest first, with the event, and not again before pushTo', async () => {
      const { id } = await endpoint();
      const [a, b, c] = await told({ at: NOW - 1 }, { at: NOW - 2 }, { at: NOW + 1 });
      expect(await at.store.dueEndpoints(NOW - 3)).toEqual([]);
      expect(await at.store.dueEndpoints(NOW)).toEqual([id]);
      const [first, ...more] = await claim(id, NOW, 1);
      expect(more).toEqual([]);
      expect(first!.event).toEqual(await at.store.event(b!));
      expect(first!.delivery).toMatchObject({ eventId: b, attempts: 1, nextAt: PUSH, claimedUntil: PUSH });
      expect(await at.store.delivery(first!.delivery.id)).toEqual(first!.delivery);
      expect(await claimedIds(id)).toEqual([a]);
      expect(await claimedIds(id)).toEqual([]);
      expect(await at.store.dueEndpoints(NOW)).toEqual([]);
      expect(await claimedIds(id, PUSH)).toEqual([c, expect.any(String), expect.any(String)]);
    });

    test('are never made by two replicas, and not for an endpoint that is disabled', async () => {
      const { id } = await endpoint();
      const ids = await told({}, {}, {}, {}, {}, {}, {}, {});
      const other = await at.another();
      const takes = [at.store, other, at.store, other].map((store) => claimedIds(id, NOW, 3, store));
      const taken = (await Promise.all(takes)).flat();
      taken.push(...(await claimedIds(id)));
      expect(taken.sort()).toEqual(ids);
      await at.store.updateWebhookEndpoint(id, { enabled: false }, anEntry());
      expect(await at.store.dueEndpoints(PUSH)).toEqual([]);
      expect(await claim(id, PUSH)).toEqual([]);
      expect(await claim('whe_none')).toEqual([]);
    });

    test('due endpoints come in the order of their oldest delivery', async () => {
      const [a, b, c] = [
        await endpoint({ types: ['test.ping'] }),
        await endpoint({ types: ['webhook.received'] }),
        await endpoint({ types: ['connection.created'] }),
      ];
      await told({ type: 'webhook.received', at: NOW - 5 }, { type: 'test.ping', at: NOW - 9 });
      await told({ type: 'connection.created', at: NOW - 1 }, { type: 'connection.created', at: NOW - 7 });
      expect(await at.store.dueEndpoints(NOW)).toEqual([a.id, c.id, b.id]);
      expect(await at.store.dueEndpoints(NOW - 6)).toEqual([a.id, c.id]);
    });
  });

  describe('an ordered endpoint', () => {
    test('is sent the next event of a connection when the one before is delivered or dead', async () => {
      const { id } = await endpoint({ ordered: true });
      const [a, b, c, x, free] = await told(
        { at: NOW - 9 },
        { at: NOW - 10 },
        {},
        { connectionId: 'con_2' },
        { connectionId: null },
      );
      const first = await claim(id);
      expect(first.map(({ event }) => event.id).sort()).toEqual([a, x, free].sort());
      expect(await claimedIds(id)).toEqual([]);
      const held = (await at.store.deliveries({ event: b! }, FIRST)).data[0]!;
      expect(held.nextAt).toBe(HELD);
      const of = (event: string | undefined) => first.find((one) => one.event.id === event)!.delivery.id;
      await at.store.settleDeliveries([{ id: of(a), outcome: failed() }]);
      expect(await claimedIds(id, NOW + 49)).toEqual([]);
      expect(await claimedIds(id, NOW + 50)).toEqual([a]);
      await at.store.settleDeliveries([
        { id: of(a), outcome: outcome({ at: NOW + 51 }) },
        { id: of(x), outcome: outcome() },
      ]);
      expect(await claimedIds(id, NOW + 51)).toEqual([b]);
      await at.store.settleDeliveries([
        { id: held.id, outcome: failed({ status: 'dead', at: NOW + 60, nextAt: null }) },
      ]);
      expect(await claimedIds(id, NOW + 60)).toEqual([c]);
      expect(await at.store.dueEndpoints(NOW + 60)).toEqual([]);
    });

    test('is sent the next event of a connection when the one before is too old to be kept', async () => {
      const { id } = await endpoint({ ordered: true });
      const [a, b, c] = await told({ at: NOW - 9 }, { at: NOW - 8 }, { at: NOW - 7 });
      expect(await claimedIds(id)).toEqual([a]);
      expect(await claimedIds(id)).toEqual([]);
      expect(await at.store.pruneEvents(NOW - 8, 10)).toBe(1);
      expect(await at.store.dueEndpoints(NOW)).toEqual([id]);
      const [next, ...more] = await claim(id);
      expect([next!.event.id, ...more]).toEqual([b]);
      await at.store.settleDeliveries([{ id: next!.delivery.id, outcome: outcome() }]);
      expect(await claimedIds(id, NOW + 5)).toEqual([c]);
    });

    test('is sent everything at once when it is not ordered any more', async () => {
      const { id } = await endpoint({ ordered: true });
      const [a, b] = await told({}, {});
      expect(await claimedIds(id)).toEqual([a]);
      await at.store.updateWebhookEndpoint(id, { ordered: false }, anEntry());
      expect(await claimedIds(id)).toEqual([b]);
    });
  });

  describe('attempts', () => {
    test('are recorded with every field, and on the endpoint the first failure since the last success', async () => {
      const [one, other] = [await endpoint(), await endpoint()];
      await told({}, {});
      const [a, b] = (await claim(one.id)).map(({ delivery }) => delivery);
      const [c] = (await claim(other.id)).map(({ delivery }) => delivery);
      const failure = failed({ at: NOW + 5 });
      await at.store.settleDeliveries([
        { id: b!.id, outcome: failed({ at: NOW + 9, httpStatus: null, response: null }) },
        { id: a!.id, outcome: failure },
        { id: c!.id, outcome: outcome() },
        { id: 'dlv_none', outcome: outcome() },
      ]);
      expect(await at.store.delivery(a!.id)).toEqual({
        ...a,
        status: 'failing',
        nextAt: NOW + 50,
        claimedUntil: null,
        lastAttemptAt: NOW + 5,
        lastStatus: 500,
        lastError: 'http_500',
        lastResponse: failure.response,
      });
      expect(await at.store.delivery(c!.id)).toMatchObject({ status: 'delivered', deliveredAt: NOW + 5, nextAt: null });
      expect([await failingSince(one.id), await failingSince(other.id)]).toEqual([NOW + 5, null]);
      await at.store.settleDeliveries([{ id: b!.id, outcome: failed({ at: NOW + 70 }) }]);
      expect(await failingSince(one.id)).toBe(NOW + 5);
      await at.store.settleDeliveries([
        { id: b!.id, outcome: failed({ at: NOW + 90, status: 'dead', nextAt: null }) },
        { id: a!.id, outcome: outcome({ at: NOW + 80 }) },
      ]);
      expect(await failingSince(one.id)).toBe(NOW + 90);
      expect(await at.store.deliveryState()).toEqual({ open: 1, oldestAt: NOW, dead: 1, disabledEndpoints: 0 });
      await at.store.settleDeliveries([{ id: b!.id, outcome: outcome({ at: NOW + 99 }) }]);
      expect(await failingSince(one.id)).toBeNull();
    });

    test('begin again for a delivery that is retried or replayed, unless it is under way', async () => {
      const { id } = await endpoint();
      const ids = await told({ at: NOW - 4 }, { at: NOW - 3 }, { at: NOW - 2 }, { at: NOW - 1 });
      const all = (await claim(id)).map(({ delivery }) => delivery);
      const [a, b, c, d] = all.map((one) => one.id) as [string, string, string, string];
      await at.store.settleDeliveries([
        { id: a, outcome: failed({ status: 'dead', nextAt: null }) },
        { id: b, outcome: outcome() },
        { id: c, outcome: failed({ nextAt: NOW + 9_999 }) },
      ]);
      const audit = anEntry();
      expect(await at.store.retryDelivery(b, NOW + 10, audit)).toBe(true);
      expect(await at.store.retryDelivery('dlv_none', NOW, anEntry())).toBe(false);
      expect(await recorded(at.store, audit)).toBe(true);
      expect(await at.store.delivery(b)).toMatchObject({
        status: 'pending',
        attempts: 0,
        nextAt: NOW + 10,
        deliveredAt: null,
        lastStatus: 204,
      });
      expect(await at.store.retryDelivery(d, NOW + 10, anEntry())).toBe(true);
      expect(await at.store.delivery(d)).toEqual(all[3]);
      const range = { from: NOW - 4, to: NOW, status: undefined };
      const half = await at.store.replayDeliveries(id, range, NOW + 20, { limit: 2, after: undefined });
      expect(half).toEqual({ deliveries: 2, next: b });
      expect(await at.store.replayDeliveries(id, range, NOW + 20, { limit: 2, after: b })).toMatchObject({
        deliveries: 1,
      });
      expect(await claimedIds(id, NOW + 20)).toHaveLength(3);
      await at.store.settleDeliveries([a, b, c].map((one) => ({ id: one, outcome: outcome() })));
      const replay = (given: Partial<Parameters<Store['replayDeliveries']>[1]>) =>
        at.store.replayDeliveries(id, { from: 0, to: LAST, status: 'delivered', ...given }, NOW + 30, FIRST);
      expect(await replay({ from: NOW - 3, to: NOW - 2 })).toEqual({ deliveries: 1, next: null });
      expect(await claimedIds(id, NOW + 30)).toEqual([ids[1]]);
      expect(await replay({ status: 'dead' })).toEqual({ deliveries: 0, next: null });
      expect(await at.store.replayDeliveries('whe_none', range, NOW, FIRST)).toEqual({ deliveries: 0, next: null });
    });
  });

  test('are listed newest first, by endpoint, event, status and caller', async () => {
    const caller = aCaller({ permissions: [{ actions: ['*'], integrations: ['*'], owners: ['*'] }] });
    await at.store.addCaller(caller, null, anEntry());
    const [mine, theirs] = [await endpoint({ callerId: caller.id }), await endpoint()];
    const [first, second] = await told({}, {});
    const [one] = await claim(mine.id, NOW, 1);
    await at.store.settleDeliveries([{ id: one!.delivery.id, outcome: failed() }]);
    const listed = async (filter: Parameters<Store['deliveries']>[0], limit = 10, after?: string) => {
      const { data, next } = await at.store.deliveries(filter, { limit, after });
      return { of: data.map(({ endpointId, eventId }) => [endpointId, eventId]), next };
    };
    const all = await listed({});
    expect(all.of).toEqual([
      [theirs.id, second],
      [mine.id, second],
      [theirs.id, first],
      [mine.id, first],
    ]);
    const page = await listed({}, 3);
    expect(page.of).toEqual(all.of.slice(0, 3));
    expect((await listed({}, 3, page.next!)).of).toEqual(all.of.slice(3));
    expect((await listed({ endpoint: mine.id })).of).toEqual([all.of[1], all.of[3]]);
    expect((await listed({ event: first! })).of).toEqual([all.of[2], all.of[3]]);
    expect((await listed({ status: 'failing' })).of).toEqual([[mine.id, one!.event.id]]);
    expect((await listed({ status: 'delivered' })).of).toEqual([]);
    expect((await listed({ caller: caller.id, status: 'pending' })).of).toHaveLength(1);
    expect((await listed({ caller: caller.id, event: second! })).of).toEqual([all.of[1]]);
    expect((await listed({ caller: caller.id, endpoint: theirs.id })).of).toEqual([]);
    expect((await listed({ caller: 'clr_none' })).of).toEqual([]);
    await at.store.deleteCaller(caller.id, anEntry());
    expect((await listed({})).of).toEqual([all.of[0], all.of[2]]);
  });
}

const LAST = Number.MAX_SAFE_INTEGER;
