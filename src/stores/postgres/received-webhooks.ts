// Webhooks and signals of third parties in PostgreSQL: the inbox, and what they do to connections.
import { and, asc, count, desc, eq, getTableColumns, gt, inArray, isNotNull, lt, type SQL, sql } from 'drizzle-orm';
import type { ReceivedWebhook } from '../../domain/received-webhook.ts';
import type { ReceivedWebhookFilter, ReceivedWebhookStore, ReceiverChange } from '../../ports/index.ts';
import { boundedPage, emptyPage, stepOf } from '../shared/bounded-pages.ts';
import { canBeWithin } from '../shared/filters.ts';
import {
  createInboxLimit,
  given,
  inReceivedRange,
  matchesReceived,
  REPROCESSED,
  withNewItems,
} from '../shared/received-webhooks.ts';
import type { Orm, PostgresAccess } from './client.ts';
import {
  capturedValues,
  connections,
  isActive,
  isLive,
  isUsable,
  pendingRevocations,
  receivedEventIds,
  receiverSettings,
  receivedWebhooks as table,
  webhookConnections,
} from './schema.ts';

const { body: _, ...head } = getTableColumns(table);
const isOpen = sql`${table.nextAt} is not null`;

/**
 * Of each integration that has due ones, the oldest that no other replica is claiming, as many as of others. A few steps of an index
 * for each integration with open ones, however many they are.
 */
export const dueWebhooks = (now: number, limit: number) => sql`
  with recursive having_open (integration) as (
    (select integration from received_webhooks where next_at is not null order by integration limit 1)
    union all
    select (select w.integration from received_webhooks w
      where next_at is not null and w.integration > having_open.integration order by w.integration limit 1)
    from having_open where integration is not null
  ), heads as (
    select integration, (select next_at from received_webhooks w
      where w.integration = having_open.integration and next_at is not null order by next_at limit 1) as due_at
    from having_open where integration is not null
  ), having_due as (
    select integration from heads where due_at <= ${now} order by due_at limit ${limit}
  )
  select oldest.id as due_id from having_due cross join lateral (
    select id from received_webhooks w
    where w.integration = having_due.integration and next_at is not null and next_at <= ${now} order by next_at
    limit (select (${limit} + count(*) - 1) / count(*) from having_due) for no key update skip locked
  ) oldest limit ${limit}`;
const hasValue = (integration: string, key: string, value: string) =>
  and(eq(capturedValues.integration, integration), eq(capturedValues.key, key), eq(capturedValues.value, value));

/** The newest of a range, of which those that match; and the last one that was examined. */
export function receivedStep(
  orm: Pick<Orm, 'select'>,
  filter: ReceivedWebhookFilter,
  after: string | undefined,
  examine: number,
  wanted: number,
) {
  const { connectionId } = filter;
  const of = webhookConnections;
  const inRange =
    connectionId === undefined
      ? inReceivedRange(table, filter, after)
      : and(eq(of.connectionId, connectionId), after === undefined ? undefined : lt(of.webhookId, after));
  const ids = () =>
    connectionId === undefined
      ? orm.select({ id: table.id }).from(table).where(inRange).orderBy(desc(table.id))
      : orm.select({ id: of.webhookId }).from(of).where(inRange).orderBy(desc(of.webhookId));
  return {
    matching: orm
      .select(head)
      .from(table)
      .where(and(sql`${table.id} in (${ids().limit(examine)})`, matchesReceived(table, filter)))
      .orderBy(desc(table.id))
      .limit(wanted),
    last: ids()
      .limit(1)
      .offset(examine - 1),
  };
}

/** Inside a transaction. */
export const receiverWriter =
  ({ record }: Pick<PostgresAccess, 'record'>) =>
  async (orm: Orm, { settings: { integration, ...change }, audit }: ReceiverChange): Promise<void> => {
    const set = { updatedAt: change.updatedAt, ...given(change) };
    await orm
      .insert(receiverSettings)
      .values({ integration, ...set })
      .onConflictDoUpdate({ target: receiverSettings.integration, set });
    await record(orm, audit, { kind: 'integration', id: integration });
  };

export function createReceivedWebhookStore(access: PostgresAccess): ReceivedWebhookStore {
  const { autocommit, transaction, record, writeEvents } = access;
  const limit = createInboxLimit();
  const putReceiver = receiverWriter(access);
  async function countOpen(orm: Orm, of?: SQL, upTo?: number): Promise<number> {
    const some = orm.select({ id: table.id }).from(table).where(and(of, isOpen));
    const [found] = await orm.select({ n: count() }).from((upTo === undefined ? some : some.limit(upTo)).as('some'));
    return found!.n;
  }
  async function isFull(orm: Orm, integration: string, maxOpen: number): Promise<boolean> {
    if (!limit.mustCount(integration, maxOpen)) return false;
    const all = await countOpen(orm, undefined, maxOpen);
    const own = await countOpen(orm, eq(table.integration, integration), maxOpen);
    return limit.counted(integration, { all, own }, maxOpen);
  }

  /** Those that were not there, in one statement: a batch may have thousands. */
  async function addIds(
    orm: Orm,
    { items, receivedAt }: Pick<ReceivedWebhook, 'items' | 'receivedAt'>,
    keys: Readonly<Record<number, string>>,
  ): Promise<Set<string>> {
    // In one order, so that two with the same ids wait for each other instead of deadlocking.
    const ids = [...new Set(items.map(({ index }) => keys[index]!))].sort();
    if (ids.length === 0) return new Set();
    const { rows } = await orm.execute<{ id: string }>(
      sql`insert into ${receivedEventIds} (id, at) select id, ${receivedAt}::bigint
        from unnest(${sql.param(ids)}::text[]) with ordinality as given (id, place) order by place
        on conflict do nothing returning id`,
    );
    return new Set(rows.map(({ id }) => id));
  }

  return {
    receiverSettings: () => autocommit((orm) => orm.select().from(receiverSettings)),
    putReceiverSettings: (settings, audit) => transaction((orm) => putReceiver(orm, { settings, audit })),

    receive: (webhook, keys, maxOpen) =>
      transaction(async (orm) => {
        if (webhook.nextAt !== null && (await isFull(orm, webhook.integration, maxOpen))) return 'full';
        const fresh = await addIds(orm, webhook, keys);
        // The first of several items with one id.
        const stored = withNewItems(webhook, (index) => fresh.delete(keys[index]!));
        if (stored) await orm.insert(table).values(stored);
        return stored?.items ?? [];
      }),
    receivedWebhook: (id) => autocommit(async (orm) => (await orm.select().from(table).where(eq(table.id, id)))[0]),
    async receivedWebhooks(filter, page) {
      if (!canBeWithin(filter)) return emptyPage();
      return boundedPage(page, -1, [
        (after, examine, wanted) =>
          autocommit(async (orm) => {
            const { matching, last } = receivedStep(orm, filter, after, examine, wanted);
            const rows = await matching;
            const [lastOne] = rows.length === wanted ? [] : await last;
            return stepOf(rows, wanted, () => lastOne?.id);
          }),
      ]);
    },
    connectionsOfWebhook: (id) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select({ id: webhookConnections.connectionId })
          .from(webhookConnections)
          .where(eq(webhookConnections.webhookId, id))
          .orderBy(asc(webhookConnections.connectionId));
        return rows.map((row) => row.id);
      }),

    claimReceived: (now, pushTo, most) =>
      autocommit(async (orm) => {
        // Apart, so that it is made once: as a subquery, the rows may be chosen again for each of its own, beyond the limit.
        const due = orm.$with('due', { id: sql<string>`id`.as('due_id') }).as(dueWebhooks(now, most));
        const claimed = await orm
          .with(due)
          .update(table)
          .set({ nextAt: pushTo, attempts: sql`${table.attempts} + 1` })
          .where(sql`${table.id} in (select due_id from due)`)
          .returning();
        return claimed.sort((a, b) => (a.id < b.id ? -1 : 1));
      }),
    settleReceived: (id, outcome, of, events) =>
      transaction(async (orm) => {
        await orm.update(table).set(outcome).where(eq(table.id, id));
        const rows = of.map((connectionId) => ({ id: `${id}:${connectionId}`, webhookId: id, connectionId }));
        if (rows.length > 0) await orm.insert(webhookConnections).values(rows).onConflictDoNothing();
        if (events.length > 0) await writeEvents(orm, events);
      }),
    reprocessReceived: (id, now, audit) =>
      transaction(async (orm) => {
        const isKept = and(eq(table.id, id), isNotNull(table.body));
        const { rowCount } = await orm
          .update(table)
          .set({ ...REPROCESSED, nextAt: now })
          .where(isKept);
        if (!rowCount) return false;
        await record(orm, audit);
        return true;
      }),
    pruneReceived: (before, idsBefore, most) =>
      transaction(async (orm) => {
        // Read first: as a subquery of the deletion, the rows may be chosen again for each of its own, beyond the limit.
        const old = await orm
          .select({ id: table.id })
          .from(table)
          .where(lt(table.receivedAt, before))
          .orderBy(asc(table.receivedAt))
          .limit(most)
          .for('update', { skipLocked: true });
        const ids = old.map((row) => row.id);
        if (ids.length > 0) {
          await orm.delete(table).where(inArray(table.id, ids));
          await orm.delete(webhookConnections).where(inArray(webhookConnections.webhookId, ids));
        }
        const seen = await orm
          .select({ id: receivedEventIds.id })
          .from(receivedEventIds)
          .where(lt(receivedEventIds.at, idsBefore))
          .limit(most)
          .for('update', { skipLocked: true });
        const keys = seen.map((row) => row.id);
        if (keys.length > 0) await orm.delete(receivedEventIds).where(inArray(receivedEventIds.id, keys));
        return ids.length + keys.length;
      }),
    inboxState: () =>
      autocommit(async (orm) => {
        const [oldest] = await orm
          .select({ at: table.receivedAt })
          .from(table)
          .where(sql`${table.status} <> 'located' and ${table.status} = 'received'`)
          .orderBy(asc(table.id))
          .limit(1);
        return { open: await countOpen(orm), oldestAt: oldest?.at ?? null };
      }),

    connectionsByValue: (integration, key, value, most) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select({ connection: connections })
          .from(capturedValues)
          .innerJoin(connections, eq(connections.id, capturedValues.connectionId))
          .where(and(hasValue(integration, key, value), isLive))
          .orderBy(desc(isUsable), asc(connections.id))
          .limit(most);
        return rows.map(({ connection }) => connection);
      }),
    usableConnectionsByValue: (integration, key, value, { after, limit }) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select({ connection: connections })
          .from(capturedValues)
          .innerJoin(connections, eq(connections.id, capturedValues.connectionId))
          .where(and(hasValue(integration, key, value), isUsable, gt(connections.id, after)))
          .orderBy(asc(connections.id))
          .limit(limit);
        return rows.map(({ connection }) => connection);
      }),
    hasPendingRevocation: (connectionId) =>
      autocommit(async (orm) => {
        const { id } = pendingRevocations;
        const of = eq(pendingRevocations.connectionId, connectionId);
        return (await orm.select({ id }).from(pendingRevocations).where(of).limit(1)).length > 0;
      }),
    deauthorize: (id, generation, reason, audit) =>
      transaction(async (orm) => {
        const change = { status: 'needs_reauth', reason, nextRefreshAt: null, updatedAt: audit.at } as const;
        const expected = and(eq(connections.id, id), isUsable, eq(connections.generation, generation));
        const { rowCount } = await orm.update(connections).set(change).where(expected);
        if (!rowCount) return 'unchanged';
        await record(orm, audit, { kind: 'connection', id, generation });
        return 'deauthorized';
      }),
    makeDue: (id, now) =>
      autocommit(async (orm) => {
        const isLater = sql`${connections.nextRefreshAt} > ${now}`;
        await orm
          .update(connections)
          .set({ nextRefreshAt: now })
          .where(and(eq(connections.id, id), isActive, isLater));
      }),
  };
}
