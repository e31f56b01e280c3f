// Webhooks and signals of third parties in SQLite: the inbox, and what they do to connections.
import {
  and,
  asc,
  desc,
  eq,
  getTableColumns,
  gt,
  inArray,
  isNotNull,
  lt,
  lte,
  type Placeholder,
  sql,
} from 'drizzle-orm';
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
import type { SqliteAccess } from './client.ts';
import { prepared, runner } from './prepared-queries.ts';
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

/** A few steps of an index for each integration with open ones, however many they are. That with the oldest comes first. */
export const DUE_INTEGRATIONS = `
  with recursive having_open (integration) as (
    select min(integration) from received_webhooks where next_at is not null
    union all
    select (select min(integration) from received_webhooks where next_at is not null and integration > having_open.integration)
    from having_open where integration is not null
  )
  select integration from (
    select integration, (select min(next_at) from received_webhooks w
      where w.integration = having_open.integration and next_at is not null) as due_at
    from having_open where integration is not null
  ) where due_at <= ? order by due_at`;

/** The head of a partial index. */
export const dueWebhooks = (
  orm: Pick<SqliteAccess['orm'], 'select'>,
  integration: string | Placeholder,
  now: number | Placeholder,
  limit: number | Placeholder,
) =>
  orm
    .select()
    .from(table)
    .where(and(eq(table.integration, integration), isNotNull(table.nextAt), lte(table.nextAt, now)))
    .orderBy(asc(table.nextAt))
    .limit(limit);

/** The newest of a range, of which those that match; and the last one that was examined. */
export function receivedStep(
  orm: Pick<SqliteAccess['orm'], 'select'>,
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

/** Inside an operation. */
export const receiverWriter =
  ({ orm, record }: Pick<SqliteAccess, 'orm' | 'record'>) =>
  ({ settings: { integration, ...change }, audit }: ReceiverChange): void => {
    const set = { updatedAt: change.updatedAt, ...given(change) };
    orm
      .insert(receiverSettings)
      .values({ integration, ...set })
      .onConflictDoUpdate({ target: receiverSettings.integration, set })
      .run();
    record(audit, { kind: 'integration', id: integration });
  };

export function createReceivedWebhookStore({ orm, read, write, record, events }: SqliteAccess): ReceivedWebhookStore {
  const limit = createInboxLimit();
  const putReceiver = receiverWriter({ orm, record });
  const allOpen = orm.$client
    .prepare('select count(*) from (select 1 from received_webhooks where next_at is not null limit ?)')
    .pluck();
  const ownOpen = orm.$client
    .prepare(
      'select count(*) from (select 1 from received_webhooks where integration = ? and next_at is not null limit ?)',
    )
    .pluck();
  const addId = orm.$client.prepare('insert into received_event_ids (id, at) values (?, ?) on conflict do nothing');
  const addWebhook = runner(orm, () =>
    orm
      .insert(table)
      .values(
        Object.fromEntries(Object.keys(getTableColumns(table)).map((key) => [key, sql.placeholder(key)])) as never,
      ),
  );
  const integrationsDue = orm.$client.prepare<[number], string>(DUE_INTEGRATIONS).pluck();
  const due = prepared(() =>
    dueWebhooks(orm, sql.placeholder('integration'), sql.placeholder('now'), sql.placeholder('limit')),
  );
  const hasValue = and(
    eq(capturedValues.integration, sql.placeholder('integration')),
    eq(capturedValues.key, sql.placeholder('key')),
    eq(capturedValues.value, sql.placeholder('value')),
  );
  const byValue = prepared(() =>
    orm
      .select({ connection: connections })
      .from(capturedValues)
      .innerJoin(connections, eq(connections.id, capturedValues.connectionId))
      .where(and(hasValue, isLive))
      .orderBy(desc(isUsable), asc(connections.id))
      .limit(sql.placeholder('limit')),
  );
  const usableByValue = prepared(() =>
    orm
      .select({ connection: connections })
      .from(capturedValues)
      .innerJoin(connections, eq(connections.id, capturedValues.connectionId))
      .where(and(hasValue, isUsable, gt(connections.id, sql.placeholder('after'))))
      .orderBy(asc(connections.id))
      .limit(sql.placeholder('limit')),
  );

  function isFull(integration: string, maxOpen: number): boolean {
    if (!limit.mustCount(integration, maxOpen)) return false;
    const open = { all: allOpen.get(maxOpen) as number, own: ownOpen.get(integration, maxOpen) as number };
    return limit.counted(integration, open, maxOpen);
  }

  return {
    receiverSettings: () => read(() => orm.select().from(receiverSettings).all()),
    putReceiverSettings: (settings, audit) => write(() => putReceiver({ settings, audit })),

    receive: (webhook, keys, maxOpen) =>
      write(() => {
        if (webhook.nextAt !== null && isFull(webhook.integration, maxOpen)) return 'full';
        const { receivedAt } = webhook;
        const stored = withNewItems(webhook, (index) => addId.run(keys[index], receivedAt).changes > 0);
        if (stored) addWebhook({ ...stored });
        return stored?.items ?? [];
      }),
    receivedWebhook: (id) => read(() => orm.select().from(table).where(eq(table.id, id)).get()),
    async receivedWebhooks(filter, page) {
      if (!canBeWithin(filter)) return emptyPage();
      return boundedPage(page, -1, [
        (after, examine, wanted) =>
          read(() => {
            const { matching, last } = receivedStep(orm, filter, after, examine, wanted);
            return stepOf(matching.all(), wanted, () => last.get()?.id);
          }),
      ]);
    },
    connectionsOfWebhook: (id) =>
      read(() =>
        orm
          .select({ id: webhookConnections.connectionId })
          .from(webhookConnections)
          .where(eq(webhookConnections.webhookId, id))
          .orderBy(asc(webhookConnections.connectionId))
          .all()
          .map((row) => row.id),
      ),

    async claimReceived(now, pushTo, limit) {
      if ((await read(() => integrationsDue.get(now))) === undefined) return [];
      return write(() => {
        const integrations = integrationsDue.all(now).slice(0, limit);
        const share = Math.ceil(limit / integrations.length);
        const heads = integrations.flatMap((integration) => due.all({ integration, now, limit: share }));
        return heads.slice(0, limit).map((webhook) => {
          const change = { nextAt: pushTo, attempts: webhook.attempts + 1 };
          orm.update(table).set(change).where(eq(table.id, webhook.id)).run();
          return { ...webhook, ...change };
        });
      });
    },
    settleReceived: (id, outcome, of, told) =>
      write(() => {
        orm.update(table).set(outcome).where(eq(table.id, id)).run();
        for (const connectionId of of)
          orm
            .insert(webhookConnections)
            .values({ id: `${id}:${connectionId}`, webhookId: id, connectionId })
            .onConflictDoNothing()
            .run();
        if (told.length > 0) events.write(told);
      }),
    reprocessReceived: (id, now, audit) =>
      write(() => {
        const isKept = and(eq(table.id, id), isNotNull(table.body));
        if (
          orm
            .update(table)
            .set({ ...REPROCESSED, nextAt: now })
            .where(isKept)
            .run().changes === 0
        )
          return false;
        record(audit);
        return true;
      }),
    pruneReceived: (before, idsBefore, most) =>
      write(() => {
        const { id } = table;
        const old = orm.select({ id }).from(table).where(lt(table.receivedAt, before)).orderBy(asc(table.receivedAt));
        const gone = old
          .limit(most)
          .all()
          .map((row) => row.id);
        orm.delete(webhookConnections).where(inArray(webhookConnections.webhookId, gone)).run();
        const seen = orm
          .select({ id: receivedEventIds.id })
          .from(receivedEventIds)
          .where(lt(receivedEventIds.at, idsBefore))
          .limit(most);
        return (
          orm.delete(table).where(inArray(id, gone)).run().changes +
          orm.delete(receivedEventIds).where(inArray(receivedEventIds.id, seen)).run().changes
        );
      }),
    inboxState: () =>
      read(() => {
        const [oldest] = orm
          .select({ at: table.receivedAt })
          .from(table)
          .where(sql`${table.status} <> 'located' and ${table.status} = 'received'`)
          .orderBy(asc(table.id))
          .limit(1)
          .all();
        return { open: allOpen.get(Number.MAX_SAFE_INTEGER) as number, oldestAt: oldest?.at ?? null };
      }),

    connectionsByValue: (integration, key, value, most) =>
      read(() => byValue.all({ integration, key, value, limit: most }).map(({ connection }) => connection)),
    usableConnectionsByValue: (integration, key, value, page) =>
      read(() => usableByValue.all({ integration, key, value, ...page }).map(({ connection }) => connection)),
    hasPendingRevocation: (connectionId) =>
      read(() => {
        const { id } = pendingRevocations;
        const of = eq(pendingRevocations.connectionId, connectionId);
        return orm.select({ id }).from(pendingRevocations).where(of).limit(1).get() !== undefined;
      }),
    deauthorize: (id, generation, reason, audit) =>
      write(() => {
        const change = { status: 'needs_reauth', reason, nextRefreshAt: null, updatedAt: audit.at } as const;
        const expected = and(eq(connections.id, id), isUsable, eq(connections.generation, generation));
        if (orm.update(connections).set(change).where(expected).run().changes === 0) return 'unchanged';
        record(audit, { kind: 'connection', id, generation });
        return 'deauthorized';
      }),
    makeDue: (id, now) =>
      write(() => {
        const isLater = sql`${connections.nextRefreshAt} > ${now}`;
        orm
          .update(connections)
          .set({ nextRefreshAt: now })
          .where(and(eq(connections.id, id), isActive, isLater))
          .run();
      }),
  };
}
