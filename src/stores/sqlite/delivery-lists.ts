// Lists and counts of deliveries in SQLite, which blocks the event loop: each statement is bounded.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { asc, count, desc, eq } from 'drizzle-orm';
import type { Delivery } from '../../domain/webhook-endpoint.ts';
import type { DeliveryFilter, WebhookEndpointStore } from '../../ports/index.ts';
import { boundedPage, type ReadStep, stepOf } from '../shared/bounded-pages.ts';
import { type DeliveryRange, deliveryRanges, inDeliveryRange, matchesDelivery } from '../shared/delivery-lists.ts';
import type { SqliteAccess } from './client.ts';
import { deliveries, webhookEndpoints } from './schema.ts';

/** Index entries of one step: less than a millisecond. */
const COUNTED_PER_STEP = 2_000;

export const COUNT_DELIVERIES = `
  select count(*) as count, max(id) as last from
    (select id from deliveries where status = ? and status <> 'delivered' and id > ? order by id limit ${COUNTED_PER_STEP})`;
export const OLDEST_DELIVERY = `
  select created_at from deliveries where status = ? and status <> 'delivered' order by id limit 1`;

/** The newest deliveries of a range, of which those that match; and the last one that was examined. */
export function deliveryStep(
  orm: Pick<SqliteAccess['orm'], 'select'>,
  range: DeliveryRange,
  filter: DeliveryFilter,
  own: readonly string[] | undefined,
  after: string | undefined,
  examine: number,
  wanted: number,
) {
  const inRange = inDeliveryRange(deliveries, range, after);
  const { id } = deliveries;
  const examined = orm.select().from(deliveries).where(inRange).orderBy(desc(id)).limit(examine).as('examined');
  return {
    matching: orm
      .select()
      .from(examined)
      .where(matchesDelivery(examined, filter, own))
      .orderBy(desc(examined.id))
      .limit(wanted),
    last: orm
      .select({ id })
      .from(deliveries)
      .where(inRange)
      .orderBy(desc(id))
      .limit(1)
      .offset(examine - 1),
  };
}

export function createDeliveryLists({
  orm,
  read,
}: SqliteAccess): Pick<WebhookEndpointStore, 'delivery' | 'deliveries' | 'deliveryState'> {
  const ofStatus = orm.$client.prepare<unknown[], { count: number; last: string | null }>(COUNT_DELIVERIES);
  const oldest = orm.$client.prepare<unknown[], number>(OLDEST_DELIVERY).pluck();

  async function countOf(status: Delivery['status']): Promise<number> {
    let total = 0;
    for (let after = ''; ; await nextTurn()) {
      const { count: found, last } = await read(() => ofStatus.get(status, after)!);
      total += found;
      if (found < COUNTED_PER_STEP || last === null) return total;
      after = last;
    }
  }

  const { id, callerId, enabled } = webhookEndpoints;
  const endpointsOf = (caller: string) =>
    read(() => orm.select({ id }).from(webhookEndpoints).where(eq(callerId, caller)).orderBy(asc(id)).all());

  return {
    delivery: (one) => read(() => orm.select().from(deliveries).where(eq(deliveries.id, one)).get()),
    async deliveries(filter, page) {
      const own = filter.caller === undefined ? undefined : (await endpointsOf(filter.caller)).map((each) => each.id);
      return boundedPage(
        page,
        -1,
        deliveryRanges(filter, own).map(
          (range): ReadStep<Delivery> =>
            (after, examine, wanted) =>
              read(() => {
                const { matching, last } = deliveryStep(orm, range, filter, own, after, examine, wanted);
                return stepOf(matching.all(), wanted, () => last.get()?.id);
              }),
        ),
      );
    },
    async deliveryState() {
      const ages = (await read(() => [oldest.get('pending'), oldest.get('failing')])).filter((at) => at !== undefined);
      const disabled = await read(() =>
        orm.select({ n: count() }).from(webhookEndpoints).where(eq(enabled, false)).get(),
      );
      return {
        open: (await countOf('pending')) + (await countOf('failing')),
        oldestAt: ages.length === 0 ? null : Math.min(...ages),
        dead: await countOf('dead'),
        disabledEndpoints: disabled!.n,
      };
    },
  };
}
