// Connections and their grants in SQLite: made, renewed, listed, and read for serving.
import { and, asc, count, desc, eq, gt, inArray, or, type SQL, sql } from 'drizzle-orm';
import type { AnySQLiteColumn } from 'drizzle-orm/sqlite-core';
import type { Scope } from '../../domain/caller.ts';
import type { Ciphertext } from '../../domain/connection.ts';
import { type ConnectionFilter, type Store, StoreError } from '../../ports/index.ts';
import { pageOf, type SqliteAccess } from './client.ts';
import { accessTokenOf } from './cold-read.ts';
import { connections, connectSessions, grants, integrations, isLive, leases } from './schema.ts';

type ConnectionStore = Pick<
  Store,
  | 'addConnection'
  | 'renewConnection'
  | 'connection'
  | 'connections'
  | 'countConnections'
  | 'servedRowsByOwner'
  | 'connectionVersions'
  | 'dpopBoundRow'
  | 'liveConnections'
>;

const MOST_SERVED = 20;

const credentialsOf = sql<Ciphertext | null>`(select credentials from grants where connection_id = connections.id)`;

export function connectionStore({ orm, read, write, record }: SqliteAccess): ConnectionStore {
  const byId = eq(connections.id, sql.placeholder('id'));
  const one = orm.select().from(connections).where(byId).prepare();
  const servedRows = () => orm.select({ connection: connections, accessToken: accessTokenOf }).from(connections);
  const ofOwner = and(
    eq(connections.integration, sql.placeholder('integration')),
    eq(connections.owner, sql.placeholder('owner')),
  );
  const standing = { id: connections.id, status: connections.status, generation: connections.generation };
  const liveFirst = [sql`${connections.status} = 'revoked'`, desc(connections.id)];
  const bound = orm
    .select({ connection: connections, accessToken: accessTokenOf, credentials: credentialsOf })
    .from(connections)
    .where(byId)
    .prepare();
  const servedAny = servedRows()
    .where(ofOwner)
    .orderBy(...liveFirst)
    .limit(MOST_SERVED)
    .prepare();
  const servedLabelled = servedRows()
    .where(and(ofOwner, eq(connections.label, sql.placeholder('label'))))
    .orderBy(...liveFirst)
    .limit(MOST_SERVED)
    .prepare();

  const isPending = (sessionId: string) =>
    orm.select({ status: connectSessions.status }).from(connectSessions).where(eq(connectSessions.id, sessionId)).get()
      ?.status === 'pending';
  const complete = (sessionId: string, connectionId: string) =>
    orm
      .update(connectSessions)
      .set({ status: 'completed', error: null, connectionId })
      .where(eq(connectSessions.id, sessionId))
      .run();

  return {
    addConnection: (connection, grant, sessionId, by) =>
      write(() => {
        if (sessionId !== null && !isPending(sessionId)) return 'session_over';
        const { id, integration, owner, label } = connection;
        const exists = orm
          .select({ id: connections.id })
          .from(connections)
          .where(
            and(
              eq(connections.integration, integration),
              eq(connections.owner, owner),
              eq(connections.label, label),
              isLive,
            ),
          )
          .get();
        if (exists) return { exists: exists.id };
        // Deleted between the caller's look and now: no live connection may be without its integration.
        if (!orm.select({ id: integrations.id }).from(integrations).where(eq(integrations.id, integration)).get())
          throw new StoreError('the integration of the connection is not there');
        orm.insert(connections).values(connection).run();
        orm
          .insert(grants)
          .values({ ...grant, connectionId: id })
          .run();
        if (sessionId !== null) complete(sessionId, id);
        record(by, { kind: 'connection', id, generation: connection.generation });
        return 'added';
      }),

    // What it is known by (integration, owner, label) stays, too.
    renewConnection: (connection, grant, sessionId, by) =>
      write(() => {
        if (sessionId !== null && !isPending(sessionId)) return 'session_over';
        const { id, integration: _i, owner: _o, label: _l, createdAt: _c, generation: _g, ...change } = connection;
        const [renewed] = orm
          .update(connections)
          .set({
            ...change,
            status: 'active',
            reason: null,
            failures: 0,
            lastRefreshError: null,
            upstreamRevocation: null,
            generation: sql`${connections.generation} + 1`,
          })
          .where(and(eq(connections.id, id), isLive))
          .returning({ generation: connections.generation })
          .all();
        if (!renewed) return 'gone';
        orm.update(grants).set(grant).where(eq(grants.connectionId, id)).run();
        // A refresh in flight holds the old fence: whatever it brings comes too late.
        orm
          .update(leases)
          .set({ fence: sql`${leases.fence} + 1`, holder: null, attempt: null, startedAt: null })
          .where(eq(leases.connectionId, id))
          .run();
        if (sessionId !== null) complete(sessionId, id);
        record(by, { kind: 'connection', id, ...renewed });
        return renewed;
      }),

    connection: (id) => read(() => one.get({ id })),
    connections: (filter, { limit, after }) =>
      read(() => {
        const rows = orm
          .select()
          .from(connections)
          .where(
            and(
              ...matching(filter),
              filter.status === undefined ? undefined : eq(connections.status, filter.status),
              filter.within === undefined ? undefined : withinAny(filter.within),
              after === undefined ? undefined : gt(connections.id, after),
            ),
          )
          .orderBy(asc(connections.id))
          .limit(limit + 1)
          .all();
        return pageOf(rows, limit);
      }),
    countConnections: () =>
      read(() =>
        orm
          .select({ integration: connections.integration, status: connections.status, count: count() })
          .from(connections)
          .groupBy(connections.integration, connections.status)
          .all(),
      ),

    servedRowsByOwner: (integration, owner, label) =>
      read(() =>
        label === undefined ? servedAny.all({ integration, owner }) : servedLabelled.all({ integration, owner, label }),
      ),
    connectionVersions: (ids) =>
      read(() => orm.select(standing).from(connections).where(inArray(connections.id, ids)).all()),
    dpopBoundRow: (id) => read(() => bound.get({ id })),
    liveConnections: (filter, limit) =>
      read(() =>
        orm
          .select({ id: connections.id })
          .from(connections)
          .where(and(...matching(filter), isLive))
          .orderBy(asc(connections.id))
          .limit(limit)
          .all()
          .map((row) => row.id),
      ),
  };
}

const matching = ({ integration, owner }: Pick<ConnectionFilter, 'integration' | 'owner'>) => [
  integration === undefined ? undefined : eq(connections.integration, integration),
  owner === undefined ? undefined : eq(connections.owner, owner),
];

/** `matches` of `domain/caller.ts`, in SQL. No scopes or no patterns: nothing is within. */
const withinAny = (scopes: Scope[]) =>
  or(
    sql`false`,
    ...scopes.map((scope) =>
      and(fits(connections.integration, scope.integrations), fits(connections.owner, scope.owners)),
    ),
  );

function fits(column: AnySQLiteColumn, patterns: string[]): SQL | undefined {
  const exact = patterns.filter((pattern) => !pattern.endsWith('*'));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  // Not LIKE, which ignores case and gives `%` and `_` a meaning.
  const begins = (prefix: string) => sql`substr(${column}, 1, length(${prefix})) = ${prefix}`;
  return or(inArray(column, exact), ...prefixes.map(begins));
}
