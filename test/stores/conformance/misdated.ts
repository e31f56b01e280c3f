// The contract of the store: times that a clock has stored which was ahead, and was set back since.
import { expect, test } from 'vitest';
import type { Connection } from '../../../src/domain/connection.ts';
import { DELIVERY_CLAIM_MS, DUE_FOR_OTHERS_MS } from '../../../src/domain/time-limits.ts';
import { HELD } from '../../../src/domain/webhook-endpoint.ts';
import {
  aCiphertext,
  aJob,
  anEndpoint,
  anEntry,
  anEvent,
  anIntegration,
  aReceivedWebhook,
  aRevocation,
  connected,
  FIRST,
  NOW,
} from '../builders.ts';
import type { Opened } from './index.ts';

const HOUR = 3_600_000;

export function misdated(at: Opened): void {
  /** As the scheduler asks, after the clock was set back. */
  const dueNow = async () => {
    const now = NOW + DUE_FOR_OTHERS_MS;
    for (const at_ of [now + HOUR, now]) await at.store.dueIntegrations(at_);
    return (await at.store.dueConnections('slack', now, 10)).map(({ connection }) => connection.id);
  };

  test('what waits for longer than it can is due; all else is left as it is', async () => {
    const place = { id: 'slack/abc', integration: 'slack', issuer: 'https://as.example', version: 0 };
    const bounds = { most: 3, mostNew: 10, since: 0 };
    const claim = (by: string, now: number) =>
      at.store.claimRegistration(place, { by, now, until: now + 45_000 }, bounds);
    await at.store.putIntegration(anIntegration(), anEntry());
    const [late, soon] = [aJob({ nextAt: NOW + HOUR }), aJob({ nextAt: NOW + 60_000 })];
    for (const job of [late, soon]) await at.store.addJob(job, 9, anEntry());
    const webhook = aReceivedWebhook({ nextAt: NOW + HOUR });
    await at.store.receive(webhook, { 0: 'misdated' }, 9);
    const claimed = aRevocation({ nextAt: NOW + HOUR, claimedUntil: NOW + HOUR });
    const soonRevoked = aRevocation({ nextAt: NOW + 60_000, integration: 'beta' });
    for (const one of [claimed, soonRevoked]) await at.store.addPendingRevocation(one);
    expect(await claim('reg_1', NOW + HOUR)).toBe('claimed');
    const ahead = anEndpoint({ failingSince: NOW + HOUR });
    for (const endpoint of [ahead, anEndpoint({ failingSince: NOW - 1 }), anEndpoint()])
      await at.store.addWebhookEndpoint(endpoint, anEntry());
    await at.store.blockBucket('api/ahead', 2 * HOUR);
    await at.store.blockBucket('api/soon', 60_000);

    expect(await at.store.correctTimes(NOW)).toBe(6);
    expect((await at.store.claimJob(NOW, NOW + 1, []))?.id).toBe(late.id);
    expect(await at.store.claimJob(NOW, NOW + 1, [late.id])).toBeUndefined();
    expect((await at.store.claimReceived(NOW, NOW + 60_000, 9)).map(({ id }) => id)).toEqual([webhook.id]);
    expect(await at.store.dueRevocations(NOW)).toEqual([claimed.integration]);
    expect(await claim('reg_2', NOW)).toBe('claimed');
    // It is disabled when it has failed for days.
    const endpoints = await at.store.webhookEndpoints(undefined, FIRST);
    expect(endpoints.data.map((one) => one.failingSince)).toEqual([null, NOW - 1, NOW]);
    expect((await at.store.blockedBuckets(9)).map(({ bucket }) => bucket)).toEqual(['api/soon']);
    expect(await at.store.correctTimes(NOW)).toBe(0);
  });

  test('a refresh that was put off is due, page by page', async () => {
    const due = async (given: Partial<Connection> = {}) =>
      (await connected(at.store, { nextRefreshAt: NOW - 1, ...given })).connection;
    const putOff = [await due(), await due()];
    await at.store.postponeDue(
      putOff.map(({ id }) => id),
      NOW + HOUR,
    );
    const justNow = await due();
    await at.store.postponeDue([justNow.id], NOW);
    await due({ nextRefreshAt: NOW + HOUR });
    expect(await dueNow()).toEqual([]);
    let corrected = 0;
    let pages = 0;
    for (let after: string | null | undefined; after !== null; pages++) {
      const page = await at.store.correctDueTimes(NOW, { limit: 3, after });
      corrected += page.corrected;
      after = page.next;
    }
    expect([corrected, pages]).toEqual([2, 2]);
    expect((await dueNow()).sort()).toEqual(putOff.map(({ id }) => id).sort());
    for (const before of putOff) expect(await at.store.connection(before.id)).toEqual(before);
  });

  test('deliveries that were made or claimed in the future are due, attempted ones after their wait, page by page; others wait', async () => {
    const ahead = NOW + HOUR;
    const { id } = anEndpoint();
    await at.store.addWebhookEndpoint(anEndpoint({ id, ordered: true }), anEntry());
    const tell = (connectionId: string, madeAt: number) =>
      at.store.addEvents([anEvent({ connectionId, at: madeAt })], undefined);
    const claim = async (now: number) =>
      (await at.store.claimDeliveries(id, now, now + DELIVERY_CLAIM_MS, 9)).map(({ delivery }) => delivery.id);
    const fail = (one: string, failedAt: number, nextAt: number) => {
      const answer = { httpStatus: 500, error: 'http_500', response: aCiphertext('last_response') };
      return at.store.settleDeliveries([{ id: one, outcome: { status: 'failing', at: failedAt, nextAt, ...answer } }]);
    };
    for (const connection of ['attempted', 'claimed']) await tell(connection, ahead);
    const [attempted] = await claim(ahead);
    await fail(attempted!, ahead, ahead + 2 * HOUR);
    await tell('new', ahead);
    // After the clock was set back:
    for (const connection of ['failing', 'under way', 'under way']) await tell(connection, NOW);
    const [failing] = await claim(NOW);
    await fail(failing!, NOW, NOW + 20 * HOUR);

    const correct = async () => {
      let corrected = 0;
      let pages = 0;
      for (let after: string | null | undefined; after !== null; pages++) {
        const page = await at.store.correctDeliveries(NOW, { limit: 2, after });
        corrected += page.corrected;
        after = page.next;
      }
      return [corrected, pages];
    };
    expect(await correct()).toEqual([3, 4]);
    expect(await correct()).toEqual([0, 4]);
    const { data } = await at.store.deliveries({ endpoint: id }, FIRST);
    expect(data.map((one) => [one.connectionId, one.nextAt, one.lastAttemptAt]).reverse()).toEqual([
      ['attempted', NOW + 2 * HOUR, NOW],
      ['claimed', NOW + DELIVERY_CLAIM_MS, null],
      ['new', NOW, null],
      ['failing', NOW + 20 * HOUR, NOW],
      ['under way', NOW + DELIVERY_CLAIM_MS, null],
      ['under way', HELD, null],
    ]);
    expect(await claim(NOW)).toHaveLength(1);
    expect(await claim(NOW + DELIVERY_CLAIM_MS)).toHaveLength(3);
    expect(await claim(NOW + 2 * HOUR)).toContain(attempted);
  });

  test('a refresh that failed in the future is due, and waits for nothing', async () => {
    const error = { code: 'timeout', detail: 'd', at: NOW + HOUR, retryAt: NOW + 2 * HOUR };
    const given = { failures: 2, nextRefreshAt: NOW + 2 * HOUR, lastRefreshError: error };
    const { connection } = await connected(at.store, given);
    await connected(at.store, { ...given, lastRefreshError: { ...error, at: NOW + 1_000 } });
    expect(await at.store.retryFailed([], NOW, { limit: 9, after: undefined })).toEqual({ retried: 1, next: null });
    expect(await dueNow()).toEqual([connection.id]);
    const retried = { nextRefreshAt: NOW, lastRefreshError: { ...error, retryAt: null } };
    expect(await at.store.connection(connection.id)).toMatchObject(retried);
  });
}
