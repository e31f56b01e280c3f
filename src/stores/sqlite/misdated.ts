// Times that a clock has stored which was ahead and was set back since, in SQLite.
import { and, gt, isNotNull } from 'drizzle-orm';
import type { MisdatedStore } from '../../ports/index.ts';
import {
  correctedDelivery,
  type DeliveryPlace,
  deliveryCursor,
  deliveryPlace,
  FURTHEST,
  misdatedDelivery,
} from '../shared/misdated.ts';
import type { SqliteAccess } from './client.ts';
import {
  clientRegistrations,
  jobs,
  pendingRevocations,
  rateBuckets,
  receivedWebhooks,
  webhookEndpoints,
} from './schema.ts';

/** Open deliveries, page by page. */
export const DELIVERIES = `
  select id, status, ${misdatedDelivery('@now')} as misdated from deliveries
  where status <> 'delivered' and (status, id) > (@status, @id) order by status, id limit @limit`;

export function createMisdatedStore({ orm, write }: Pick<SqliteAccess, 'orm' | 'write'>): MisdatedStore {
  const page = orm.$client.prepare<[object], { id: string; misdated: 0 | 1 }>(`
    select connection_id as id, due_at > @now + ${FURTHEST.claim} and exists (
      select 1 from connections c where c.id = connection_id and c.status = 'active' and c.next_refresh_at <= @now) as misdated
    from leases where connection_id > @after order by connection_id limit @limit`);
  const makeDue = orm.$client.prepare<[object]>('update leases set due_at = @now where connection_id = @id');
  const deliveries = orm.$client.prepare<[object], DeliveryPlace & { misdated: 0 | 1 | null }>(DELIVERIES);
  const correctDelivery = orm.$client.prepare<[object]>(
    `update deliveries set ${correctedDelivery('@now')} where id = @id`,
  );
  return {
    correctTimes: (now) =>
      write(() => {
        const due = { nextAt: now };
        const isLater = (t: typeof jobs | typeof receivedWebhooks | typeof pendingRevocations, ms: number) =>
          and(isNotNull(t.nextAt), gt(t.nextAt, now + ms));
        const isClaimed = gt(clientRegistrations.claimedUntil, now + FURTHEST.registration);
        const isFailing = gt(webhookEndpoints.failingSince, now + FURTHEST.failure);
        // By the clock of the machine, as they are.
        const isBlocked = gt(rateBuckets.blockedUntil, Date.now() + FURTHEST.block);
        return [
          orm.update(jobs).set(due).where(isLater(jobs, FURTHEST.job)).run(),
          orm.update(receivedWebhooks).set(due).where(isLater(receivedWebhooks, FURTHEST.background)).run(),
          orm
            .update(pendingRevocations)
            .set({ ...due, claimedUntil: null })
            .where(isLater(pendingRevocations, FURTHEST.background))
            .run(),
          orm.update(clientRegistrations).set({ claimedUntil: now }).where(isClaimed).run(),
          orm.update(webhookEndpoints).set({ failingSince: now }).where(isFailing).run(),
          orm.update(rateBuckets).set({ blockedUntil: null }).where(isBlocked).run(),
        ].reduce((sum, { changes }) => sum + changes, 0);
      }),
    correctDueTimes: (now, { limit, after = '' }) =>
      write(() => {
        const examined = page.all({ now, after, limit });
        const misdated = examined.filter((one) => one.misdated === 1);
        for (const { id } of misdated) makeDue.run({ id, now });
        return { corrected: misdated.length, next: examined.length < limit ? null : examined.at(-1)!.id };
      }),
    correctDeliveries: (now, { limit, after }) =>
      write(() => {
        const examined = deliveries.all({ now, limit, ...deliveryPlace(after) });
        const misdated = examined.filter((one) => one.misdated === 1);
        for (const { id } of misdated) correctDelivery.run({ id, now });
        const last = examined.length < limit ? undefined : examined.at(-1);
        return { corrected: misdated.length, next: last ? deliveryCursor(last) : null };
      }),
  };
}
