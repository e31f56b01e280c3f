// Deliveries in PostgreSQL: what is due, claims, and what attempts came to.
import { and, asc, eq, gt, gte, inArray, isNotNull, isNull, lt, lte, ne, or, type SQL, sql } from 'drizzle-orm';
import { HELD } from '../../domain/webhook-endpoint.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import {
  type DeliveryStore,
  dueAgain,
  EXAMINED_PER_CLAIM,
  failuresOf,
  hasEnded,
  settledFields,
} from '../shared/events.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { deliveries, events, webhookEndpoints } from './schema.ts';

/** A few index steps for each endpoint, however many deliveries it has. */
export const dueEndpoints = (now: number) => sql`
  select id from (
    select e.id, (select next_at from deliveries where endpoint_id = e.id and next_at is not null
      order by next_at limit 1) as due_at
    from webhook_endpoints e where e.enabled
  ) as heads where due_at <= ${now} order by due_at`;

/** The oldest that no other replica is claiming: the head of a partial index, in its order. */
export const dueDeliveries = (orm: Pick<Orm, 'select'>, endpoint: string, now: number, limit: number) =>
  orm
    .select({ id: deliveries.id, connectionId: deliveries.connectionId })
    .from(deliveries)
    .where(and(eq(deliveries.endpointId, endpoint), isNotNull(deliveries.nextAt), lte(deliveries.nextAt, now)))
    .orderBy(asc(deliveries.nextAt))
    .limit(limit)
    .for('no key update', { skipLocked: true });

/** The first open delivery of a connection: the head of a partial index. */
export const firstOpen = (orm: Pick<Orm, 'select'>, endpoint: string, connectionId: string) =>
  orm
    .select({ id: deliveries.id, nextAt: deliveries.nextAt })
    .from(deliveries)
    .where(
      and(eq(deliveries.endpointId, endpoint), eq(deliveries.connectionId, connectionId), isNotNull(deliveries.nextAt)),
    )
    .orderBy(asc(deliveries.position))
    .limit(1);

/** Locked, so that what is held and what is released of an ordered endpoint are decided one after the other. */
export async function lockedEndpoint(orm: Orm, id: string) {
  const { ordered, enabled } = webhookEndpoints;
  const of = orm.select({ ordered, enabled }).from(webhookEndpoints).where(eq(webhookEndpoints.id, id));
  const [endpoint] = await of;
  return endpoint?.ordered ? (await of.for('no key update'))[0] : endpoint;
}

/** What has waited for a delivery that ended or is gone: due since `at`, or since it was made. */
export async function releaseNext(
  orm: Orm,
  endpoint: string,
  connectionId: string | null,
  at: number | undefined,
): Promise<void> {
  const [next] = connectionId === null ? [] : await firstOpen(orm, endpoint, connectionId);
  if (next?.nextAt !== HELD) return;
  const change = { nextAt: at ?? sql`${deliveries.createdAt}` };
  await orm.update(deliveries).set(change).where(eq(deliveries.id, next.id));
}

export function createDeliveryStore({
  autocommit,
  transaction,
  record,
}: PostgresAccess): Pick<WebhookEndpointStore, DeliveryStore> {
  /** Those that come after an open one of their connection are held. */
  async function firstOfEach(orm: Orm, endpoint: string, limit: number, now: number): Promise<string[]> {
    const first: string[] = [];
    const held: string[] = [];
    for (const { id, connectionId } of await dueDeliveries(orm, endpoint, now, EXAMINED_PER_CLAIM)) {
      const isFirst = connectionId === null || (await firstOpen(orm, endpoint, connectionId))[0]?.id === id;
      (isFirst ? first : held).push(id);
    }
    if (held.length > 0) await orm.update(deliveries).set({ nextAt: HELD }).where(inArray(deliveries.id, held));
    return first.slice(0, limit);
  }

  const isFree = (now: number): SQL | undefined =>
    or(isNull(deliveries.claimedUntil), lte(deliveries.claimedUntil, now));

  return {
    dueEndpoints: (now) =>
      autocommit(async (orm) => (await orm.execute<{ id: string }>(dueEndpoints(now))).rows.map(({ id }) => id)),

    claimDeliveries: (endpoint, now, pushTo, limit) =>
      transaction(async (orm) => {
        const target = await lockedEndpoint(orm, endpoint);
        if (!target?.enabled) return [];
        const ids = target.ordered
          ? await firstOfEach(orm, endpoint, limit, now)
          : (await dueDeliveries(orm, endpoint, now, limit)).map(({ id }) => id);
        if (ids.length === 0) return [];
        const change = { nextAt: pushTo, claimedUntil: pushTo, attempts: sql`${deliveries.attempts} + 1` };
        const claimed = await orm.update(deliveries).set(change).where(inArray(deliveries.id, ids)).returning();
        const eventIds = claimed.map(({ eventId }) => eventId);
        const found = await orm.select().from(events).where(inArray(events.id, eventIds));
        const byId = new Map(found.map((event) => [event.id, event]));
        const order = new Map(ids.map((id, index) => [id, index]));
        return claimed
          .sort((a, b) => order.get(a.id)! - order.get(b.id)!)
          .flatMap((delivery) => {
            const event = byId.get(delivery.eventId);
            return event ? [{ delivery, event }] : [];
          });
      }),

    settleDeliveries: (outcomes) =>
      transaction(async (orm) => {
        const ids = outcomes.map(({ id }) => id);
        const { id, endpointId, connectionId } = deliveries;
        const of = new Map(outcomes.map((one) => [one.id, one.outcome]));
        const rows = await orm.select({ id, endpointId, connectionId }).from(deliveries).where(inArray(id, ids));
        const settled = rows
          .map((row) => ({ ...row, outcome: of.get(row.id)! }))
          .sort((a, b) => (a.id < b.id ? -1 : 1));
        // Endpoints first, in one order, as a claim of an ordered one does.
        const endpoints = [...new Set(settled.map((row) => row.endpointId))].sort();
        const ordered = new Set<string>();
        for (const endpoint of endpoints) if ((await lockedEndpoint(orm, endpoint))?.ordered) ordered.add(endpoint);
        for (const { endpointId: endpoint, hadSuccess, failingSince } of failuresOf(settled)) {
          const since = webhookEndpoints.failingSince;
          const isOther = hadSuccess ? undefined : isNull(since);
          const which = and(eq(webhookEndpoints.id, endpoint), failingSince === null ? isNotNull(since) : isOther);
          await orm.update(webhookEndpoints).set({ failingSince }).where(which);
        }
        for (const row of settled) await orm.update(deliveries).set(settledFields(row.outcome)).where(eq(id, row.id));
        for (const { endpointId: endpoint, connectionId: connection, outcome } of settled)
          if (ordered.has(endpoint) && hasEnded(outcome)) await releaseNext(orm, endpoint, connection, outcome.at);
      }),

    retryDelivery: (id, now, audit) =>
      transaction(async (orm) => {
        const one = eq(deliveries.id, id);
        const [delivery] = await orm.select({ id: deliveries.id }).from(deliveries).where(one).for('no key update');
        if (!delivery) return false;
        await orm
          .update(deliveries)
          .set(dueAgain(now))
          .where(and(one, isFree(now)));
        await record(orm, audit);
        return true;
      }),

    replayDeliveries: (endpoint, { from, to, status }, now, { limit, after }) =>
      transaction(async (orm) => {
        const examined = await orm
          .select({ id: deliveries.id })
          .from(deliveries)
          .where(and(eq(deliveries.endpointId, endpoint), after === undefined ? undefined : gt(deliveries.id, after)))
          .orderBy(asc(deliveries.id))
          .limit(limit);
        if (examined.length === 0) return { deliveries: 0, next: null };
        const ids = examined.map(({ id }) => id);
        const { rowCount } = await orm
          .update(deliveries)
          .set(dueAgain(now))
          .where(
            and(
              inArray(deliveries.id, ids),
              gte(deliveries.createdAt, from),
              lt(deliveries.createdAt, to),
              status === undefined ? ne(deliveries.status, 'delivered') : eq(deliveries.status, status),
              isFree(now),
            ),
          );
        return { deliveries: rowCount ?? 0, next: examined.length < limit ? null : examined.at(-1)!.id };
      }),
  };
}
