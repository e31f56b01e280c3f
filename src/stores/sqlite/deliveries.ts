// Deliveries in SQLite: what is due, claims, and what attempts came to.
import { and, asc, eq, gt, isNotNull, isNull, lte, type Placeholder, type SQL, sql } from 'drizzle-orm';
import { type Delivery, HELD } from '../../domain/webhook-endpoint.ts';
import type { WebhookEndpointStore } from '../../ports/index.ts';
import {
  type DeliveryStore,
  dueAgain,
  EXAMINED_PER_CLAIM,
  failuresOf,
  hasEnded,
  SETTLED_FIELDS,
  settledFields,
} from '../shared/events.ts';
import { placeholdersFor } from '../shared/placeholders.ts';
import type { SqliteAccess } from './client.ts';
import { prepared, runner } from './prepared-queries.ts';
import { deliveries, events, webhookEndpoints } from './schema.ts';

/** A few index steps for each endpoint, however many deliveries it has. */
export const dueEndpoints = (now: number) => sql`
  select id from (
    select id, (select min(next_at) from deliveries where endpoint_id = e.id and next_at is not null) as due_at
    from webhook_endpoints e where enabled
  ) where due_at <= ${now} order by due_at`;

/** The head of a partial index. */
export const dueDeliveries = (
  orm: Pick<SqliteAccess['orm'], 'select'>,
  endpoint: string | Placeholder,
  now: number | Placeholder,
  limit: number | Placeholder,
) =>
  orm
    .select()
    .from(deliveries)
    .where(and(eq(deliveries.endpointId, endpoint), isNotNull(deliveries.nextAt), lte(deliveries.nextAt, now)))
    .orderBy(asc(deliveries.nextAt))
    .limit(limit);

/** The first open delivery of a connection: the head of a partial index. */
export const firstOpen = (
  orm: Pick<SqliteAccess['orm'], 'select'>,
  endpoint: string | Placeholder,
  connectionId: string | Placeholder,
) =>
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

/** What every delivery runs: to build these queries takes longer than to run them. */
function prepareStatements(orm: SqliteAccess['orm']) {
  const { placeholder } = sql;
  const { ordered, enabled } = webhookEndpoints;
  const byId = eq(deliveries.id, placeholder('id'));
  const given = (name: string) => sql`${placeholder(name)}`;
  const claimed = { nextAt: given('until'), claimedUntil: given('until'), attempts: given('attempts') };
  const settled = placeholdersFor(deliveries, SETTLED_FIELDS);
  const update = (change: Record<string, SQL>) => runner(orm, () => orm.update(deliveries).set(change).where(byId));
  return {
    due: prepared(() => dueDeliveries(orm, placeholder('endpoint'), placeholder('now'), placeholder('limit'))),
    endpoint: prepared(() =>
      orm
        .select({ ordered, enabled })
        .from(webhookEndpoints)
        .where(eq(webhookEndpoints.id, placeholder('id'))),
    ),
    event: prepared(() =>
      orm
        .select()
        .from(events)
        .where(eq(events.id, placeholder('id'))),
    ),
    place: prepared(() =>
      orm
        .select({ endpointId: deliveries.endpointId, connectionId: deliveries.connectionId })
        .from(deliveries)
        .where(byId),
    ),
    claim: update(claimed),
    settle: update(settled),
  };
}

export function createDeliveryStore({
  orm,
  read,
  write,
  record,
}: SqliteAccess): Pick<WebhookEndpointStore, DeliveryStore> {
  const byId = (id: string) => eq(deliveries.id, id);
  const set = (id: string, change: Partial<Delivery>) => orm.update(deliveries).set(change).where(byId(id)).run();
  const statements = prepareStatements(orm);

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
      if (!(await read(() => statements.due.get({ endpoint, now, limit: 1 })))) return [];
      return write(() => {
        const target = statements.endpoint.get({ id: endpoint });
        if (!target?.enabled) return [];
        const due = target.ordered
          ? firstOfEach(endpoint, statements.due.all({ endpoint, now, limit: EXAMINED_PER_CLAIM })).slice(0, limit)
          : statements.due.all({ endpoint, now, limit });
        return due.flatMap((delivery) => {
          const event = statements.event.get({ id: delivery.eventId });
          if (!event) {
            orm.delete(deliveries).where(byId(delivery.id)).run();
            return [];
          }
          const change = { nextAt: pushTo, claimedUntil: pushTo, attempts: delivery.attempts + 1 };
          statements.claim({ id: delivery.id, until: pushTo, attempts: change.attempts });
          return [{ delivery: { ...delivery, ...change }, event }];
        });
      });
    },

    settleDeliveries: (outcomes) =>
      write(() => {
        const settled = outcomes.flatMap(({ id, outcome }) => {
          const row = statements.place.get({ id });
          if (!row) return [];
          statements.settle({ id, ...settledFields(outcome) });
          return [{ ...row, outcome }];
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
