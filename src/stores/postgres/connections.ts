// Connections and their grants in PostgreSQL: made, renewed, listed, and read for serving.
import { and, asc, count, desc, eq, gt, inArray, or, type SQL, sql } from 'drizzle-orm';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';
import type { Scope } from '../../domain/caller.ts';
import type { Ciphertext } from '../../domain/connection.ts';
import { type ConnectionFilter, type Store, StoreError } from '../../ports/index.ts';
import { given, type Orm, type PostgresAccess, pageOf } from './client.ts';
import { connections, connectSessions, grants, integrations, isLive, leases } from './schema.ts';

type ConnectionStore = Pick<
  Store,
  | 'addConnection'
  | 'renewConnection'
  | 'connection'
  | 'connections'
  | 'countConnections'
  | 'servedRow'
  | 'servedRowsByOwner'
  | 'connectionVersions'
  | 'dpopBoundRow'
  | 'liveConnections'
>;

const MOST_SERVED = 20;

const accessTokenOf = sql<Ciphertext | null>`(select access_token from grants where connection_id = connections.id)`;
const credentialsOf = sql<Ciphertext | null>`(select credentials from grants where connection_id = connections.id)`;

export function connectionStore({ ask, write, prepared, record }: PostgresAccess): ConnectionStore {
  const byId = eq(connections.id, given(connections.id, 'id'));
  const ofOwner = and(
    eq(connections.integration, given(connections.integration, 'integration')),
    eq(connections.owner, given(connections.owner, 'owner')),
  );
  const served = { connection: connections, accessToken: accessTokenOf };
  const standing = { id: connections.id, status: connections.status, generation: connections.generation };
  const liveFirst = [sql`${connections.status} = 'revoked'`, desc(connections.id)];
  const statements = prepared((orm, name) => ({
    one: orm.select().from(connections).where(byId).prepare(name('connection')),
    served: orm.select(served).from(connections).where(byId).prepare(name('served')),
    bound: orm
      .select({ ...served, credentials: credentialsOf })
      .from(connections)
      .where(byId)
      .prepare(name('bound')),
    servedAny: orm
      .select(served)
      .from(connections)
      .where(ofOwner)
      .orderBy(...liveFirst)
      .limit(MOST_SERVED)
      .prepare(name('served_any')),
    servedLabelled: orm
      .select(served)
      .from(connections)
      .where(and(ofOwner, eq(connections.label, given(connections.label, 'label'))))
      .orderBy(...liveFirst)
      .limit(MOST_SERVED)
      .prepare(name('served_labelled')),
  }));

  /** And it stays so until the sentence ends. */
  async function isPending(orm: Orm, sessionId: string): Promise<boolean> {
    const [session] = await orm
      .select({ status: connectSessions.status })
      .from(connectSessions)
      .where(eq(connectSessions.id, sessionId))
      .for('no key update');
    return session?.status === 'pending';
  }
  const complete = (orm: Orm, sessionId: string, connectionId: string) =>
    orm
      .update(connectSessions)
      .set({ status: 'completed', error: null, connectionId })
      .where(eq(connectSessions.id, sessionId));

  return {
    addConnection: (connection, grant, sessionId, by) =>
      write(async (orm) => {
        if (sessionId !== null && !(await isPending(orm, sessionId))) return 'session_over';
        const { id, integration, owner, label } = connection;
        // Deleted between the caller's look and now: no live connection may be without its integration.
        const of = orm.select({ id: integrations.id }).from(integrations).where(eq(integrations.id, integration));
        if ((await of.for('key share')).length === 0)
          throw new StoreError('the integration of the connection is not there');
        // Of two at once, the later one waits here for the other to be committed.
        const added = await orm
          .insert(connections)
          .values(connection)
          .onConflictDoNothing()
          .returning({ id: connections.id });
        if (added.length === 0) {
          const [live] = await orm
            .select({ id: connections.id })
            .from(connections)
            .where(
              and(
                eq(connections.integration, integration),
                eq(connections.owner, owner),
                eq(connections.label, label),
                isLive,
              ),
            );
          if (!live) throw new StoreError('there is a connection of this id, or there was one in its place');
          return { exists: live.id };
        }
        await orm.insert(grants).values({ ...grant, connectionId: id });
        if (sessionId !== null) await complete(orm, sessionId, id);
        await record(orm, by, { kind: 'connection', id, generation: connection.generation });
        return 'added';
      }),

    // What it is known by (integration, owner, label) stays, too.
    renewConnection: (connection, grant, sessionId, by) =>
      write(async (orm) => {
        if (sessionId !== null && !(await isPending(orm, sessionId))) return 'session_over';
        const { id, integration: _i, owner: _o, label: _l, createdAt: _c, generation: _g, ...change } = connection;
        const [renewed] = await orm
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
          .returning({ generation: connections.generation });
        if (!renewed) return 'gone';
        await orm.update(grants).set(grant).where(eq(grants.connectionId, id));
        // A refresh in flight holds the old fence: whatever it brings comes too late.
        await orm
          .update(leases)
          .set({ fence: sql`${leases.fence} + 1`, holder: null, attempt: null, startedAt: null })
          .where(eq(leases.connectionId, id));
        if (sessionId !== null) await complete(orm, sessionId, id);
        await record(orm, by, { kind: 'connection', id, ...renewed });
        return renewed;
      }),

    connection: (id) => ask(async (orm) => (await statements(orm).one.execute({ id }))[0]),
    connections: (filter, { limit, after }) =>
      ask(async (orm) => {
        const rows = await orm
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
          .limit(limit + 1);
        return pageOf(rows, limit);
      }),
    countConnections: () =>
      ask((orm) =>
        orm
          .select({ integration: connections.integration, status: connections.status, count: count() })
          .from(connections)
          .groupBy(connections.integration, connections.status),
      ),

    servedRow: (id) => ask(async (orm) => (await statements(orm).served.execute({ id }))[0]),
    servedRowsByOwner: (integration, owner, label) =>
      ask((orm) => {
        const { servedAny, servedLabelled } = statements(orm);
        return label === undefined
          ? servedAny.execute({ integration, owner })
          : servedLabelled.execute({ integration, owner, label });
      }),
    connectionVersions: (ids) =>
      ask((orm) =>
        orm
          .select(standing)
          .from(connections)
          .where(sql`${connections.id} = any(${sql.param(ids)}::text[])`),
      ),
    dpopBoundRow: (id) => ask(async (orm) => (await statements(orm).bound.execute({ id }))[0]),
    liveConnections: (filter, limit) =>
      ask(async (orm) => {
        const rows = await orm
          .select({ id: connections.id })
          .from(connections)
          .where(and(...matching(filter), isLive))
          .orderBy(asc(connections.id))
          .limit(limit);
        return rows.map((row) => row.id);
      }),
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

function fits(column: AnyPgColumn, patterns: string[]): SQL | undefined {
  const exact = patterns.filter((pattern) => !pattern.endsWith('*'));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  // Not LIKE, which gives `%` and `_` a meaning.
  const begins = (prefix: string) => sql`left(${column}, length(${prefix}::text)) = ${prefix}`;
  return or(inArray(column, exact), ...prefixes.map(begins));
}
