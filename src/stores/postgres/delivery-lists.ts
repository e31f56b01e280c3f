// Lists and counts of deliveries in PostgreSQL: each statement of a list is bounded.
import { asc, count, desc, eq, sql } from 'drizzle-orm';
import type { Delivery } from '../../domain/webhook-endpoint.ts';
import type { DeliveryFilter, WebhookEndpointStore } from '../../ports/index.ts';
import { boundedPage, type ReadStep, stepOf } from '../shared/bounded-pages.ts';
import { type DeliveryRange, deliveryRanges, inDeliveryRange, matchesDelivery } from '../shared/delivery-lists.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { deliveries, webhookEndpoints } from './schema.ts';

/** The newest deliveries of a range, of which those that match; and the last one that was examined. */
export function deliveryStep(
  orm: Pick<Orm, 'select'>,
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

/** Counts by the partial index of what is not delivered, and the oldest from its head. */
const OPEN = sql`
  select
    (select count(*) from deliveries where status = 'pending' and status <> 'delivered') +
    (select count(*) from deliveries where status = 'failing' and status <> 'delivered') as open,
    (select count(*) from deliveries where status = 'dead' and status <> 'delivered') as dead,
    least(
      (select created_at from deliveries where status = 'pending' and status <> 'delivered' order by id limit 1),
      (select created_at from deliveries where status = 'failing' and status <> 'delivered' order by id limit 1)
    ) as oldest_at`;

export function createDeliveryLists({
  autocommit,
}: PostgresAccess): Pick<WebhookEndpointStore, 'delivery' | 'deliveries' | 'deliveryState'> {
  const { id, callerId, enabled } = webhookEndpoints;
  const endpointsOf = (caller: string) =>
    autocommit((orm) => orm.select({ id }).from(webhookEndpoints).where(eq(callerId, caller)).orderBy(asc(id)));

  return {
    delivery: (one) =>
      autocommit(async (orm) => (await orm.select().from(deliveries).where(eq(deliveries.id, one)))[0]),
    async deliveries(filter, page) {
      const own = filter.caller === undefined ? undefined : (await endpointsOf(filter.caller)).map((each) => each.id);
      return boundedPage(
        page,
        -1,
        deliveryRanges(filter, own).map(
          (range): ReadStep<Delivery> =>
            (after, examine, wanted) =>
              autocommit(async (orm) => {
                const { matching, last } = deliveryStep(orm, range, filter, own, after, examine, wanted);
                const rows = await matching;
                const [lastOne] = rows.length === wanted ? [] : await last;
                return stepOf(rows, wanted, () => lastOne?.id);
              }),
        ),
      );
    },
    deliveryState: () =>
      autocommit(async (orm) => {
        const { rows } = await orm.execute<{ open: string; dead: string; oldest_at: string | null }>(OPEN);
        const { open, dead, oldest_at: oldestAt } = rows[0]!;
        const [disabled] = await orm.select({ n: count() }).from(webhookEndpoints).where(eq(enabled, false));
        return {
          open: Number(open),
          oldestAt: oldestAt === null ? null : Number(oldestAt),
          dead: Number(dead),
          disabledEndpoints: disabled!.n,
        };
      }),
  };
}
