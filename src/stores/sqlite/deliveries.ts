// Deliveries in SQLite: what is due, claims, and what attempts came to.
import { and, asc, eq, gt, isNotNull, isNull, lte, sql } from 'drizzle-orm';
import { type Delivery, HELD } from '../../domain/webhook-endpoint.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import {
  type DeliveryStore,
  dueAgain,
  EXAMINED_PER_CLAIM,
  failuresOf,
  hasEnded,
  settledFields,
} from '../shared/events.ts';
import type { SqliteAccess } from './client.ts';
import { deliveries, events, webhookEndpoints } from './schema.ts';

/** A few index steps for each endpoint, however many deliveries it has. */
export const dueEndpoints = (now: number) => sql`
  select id from (
    select id, (select min(next_at) from deliveries where endpoint_id = e.id and next_at is not null) as due_at
    from webhook_endpoints e where enabled
  ) where due_at <= ${now} order by due_at`;

/** The head of a partial index. */
export const dueDeliveries = (orm: Pick<SqliteAccess['orm'], 'select'>, endpoint: string, now: number, limit: number) =>
  orm
    .select()
    .from(deliveries)
    .where(and(eq(deliveries.endpointId, endpoint), isNotNull(deliveries.nextAt), lte(deliveries.nextAt, now)))
    .orderBy(asc(deliveries.nextAt))
    .limit(limit);

/** The first open delivery of a connection: the head of a partial index. */
export const firstOpen = (orm: Pick<SqliteAccess['orm'], 'select'>, endpoint: string, connectionId: string) =>
  orm
    .select({ id: deliveries.id, nextAt: deliveries.nextAt })
    .from(deliveries)
    .where(
      and(eq(deliveries.endpointId, endpoint), eq(deliveries.connectionId, connectionId), isNotNull(deliveries.nextAt)),
    )
    .orderBy(asc(deliveries.position))
    .limit(1);

/** What has waited for a delivery that ended or is gone: due since `at`, or since it was made. */
export function releaseNext(
  orm: SqliteAccess['orm'],
  { endpointId, connectionId }: Pick<Delivery, 'endpointId' | 'connectionId'>,
  at: number | undefined,
): void {
  const next = connectionId === null ? undefined : firstOpen(orm, endpointId, connectionId).get();
  if (next?.nextAt !== HELD) return;
  const change = { nextAt: at ?? sql`${deliveries.createdAt}` };
  orm.update(deliveries).set(change).where(eq(deliveries.id, next.id)).run();
}

export function createDeliveryStore({
  orm,
  read,
  write,
  record,
}: SqliteAccess): Pick<WebhookEndpointStore, DeliveryStore> {
  const byId = (id: string) => eq(deliveries.id, id);
  const set = (id: string, change: Partial<Delivery>) => orm.update(deliveries).set(change).where(byId(id)).run();
  const endpointById = (id: string) =>
    orm
      .select({ ordered: webhookEndpoints.ordered, enabled: webhookEndpoints.enabled })
      .from(webhookEndpoints)
      .where(eq(webhookEndpoints.id, id))
      .get();

  /** Those that come after an open one of their connection are held. */
  function firstOfEach(endpoint: string, due: Delivery[]): Delivery[] {
    return due.filter(({ id, connectionId }) => {
      if (connectionId === null || firstOpen(orm, endpoint, connectionId).get()?.id === id) return true;
      set(id, { nextAt: HELD });
      return false;
    });
  }

  return {
    dueEndpoints: (now) => read(() => orm.all<{ id: string }>(dueEndpoints(now)).map(({ id }) => id)),

    claimDeliveries: async (endpoint, now, pushTo, limit) => {
      if (!(await read(() => dueDeliveries(orm, endpoint, now, 1).get()))) return [];
      return write(() => {
        const target = endpointById(endpoint);
        if (!target?.enabled) return [];
        const due = target.ordered
          ? firstOfEach(endpoint, dueDeliveries(orm, endpoint, now, EXAMINED_PER_CLAIM).all()).slice(0, limit)
          : dueDeliveries(orm, endpoint, now, limit).all();
        return due.flatMap((delivery) => {
          const event = orm.select().from(events).where(eq(events.id, delivery.eventId)).get();
          if (!event) {
            orm.delete(deliveries).where(byId(delivery.id)).run();
            return [];
          }
          const change = { nextAt: pushTo, claimedUntil: pushTo, attempts: delivery.attempts + 1 };
          set(delivery.id, change);
          return [{ delivery: { ...delivery, ...change }, event }];
        });
      });
    },

    settleDeliveries: (outcomes) =>
      write(() => {
        const settled = outcomes.flatMap(({ id, outcome }) => {
          const fields = settledFields(outcome);
          const { endpointId, connectionId } = deliveries;
          const [row] = orm
            .update(deliveries)
            .set(fields)
            .where(byId(id))
            .returning({ endpointId, connectionId })
            .all();
          return row ? [{ ...row, outcome }] : [];
        });
        for (const row of settled) if (hasEnded(row.outcome)) releaseNext(orm, row, row.outcome.at);
        for (const { endpointId, hadSuccess, failingSince } of failuresOf(settled)) {
          const isOther = hadSuccess ? undefined : isNull(webhookEndpoints.failingSince);
          const isFailing = failingSince === null ? isNotNull(webhookEndpoints.failingSince) : isOther;
          const which = and(eq(webhookEndpoints.id, endpointId), isFailing);
          orm.update(webhookEndpoints).set({ failingSince }).where(which).run();
        }
      }),

    retryDelivery: (id, now, audit) =>
      write(() => {
        const delivery = orm.select().from(deliveries).where(byId(id)).get();
        if (!delivery) return false;
        if ((delivery.claimedUntil ?? 0) <= now) set(id, dueAgain(now));
        record(audit);
        return true;
      }),

    replayDeliveries: (endpoint, { from, to, status }, now, { limit, after }) =>
      write(() => {
        const examined = orm
          .select()
          .from(deliveries)
          .where(and(eq(deliveries.endpointId, endpoint), after === undefined ? undefined : gt(deliveries.id, after)))
          .orderBy(asc(deliveries.id))
          .limit(limit)
          .all();
        const matching = examined.filter(
          (one) =>
            one.createdAt >= from &&
            one.createdAt < to &&
            (status === undefined ? one.status !== 'delivered' : one.status === status) &&
            (one.claimedUntil ?? 0) <= now,
        );
        for (const { id } of matching) set(id, dueAgain(now));
        return { deliveries: matching.length, next: examined.length < limit ? null : examined.at(-1)!.id };
      }),
  };
}
