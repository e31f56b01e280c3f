// Connections and their credentials in PostgreSQL: created, renewed, listed, and read for serving.
import { and, asc, eq, isNotNull, or, sql } from 'drizzle-orm';
import type { Connection } from '../../domain/connection.ts';
import { type ConnectionStore, StoreError } from '../../ports/index.ts';
import { completed, isCompletable } from '../shared/connect-sessions.ts';
import {
  accessTokenOf,
  bringsSecrets,
  credentialsOf,
  hasSlot,
  liveFirst,
  MAX_SERVED,
  renewalOf,
} from '../shared/connections.ts';
import { credentialColumnsOf, fencedOff } from '../shared/leases.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import { forgetImport, replaceCapturedValues, replaceTokenDigests } from './captured-values.ts';
import type { Orm, PostgresAccess } from './client.ts';
import type { Liveness } from './liveness.ts';
import { isThere } from './read-integration.ts';
import {
  candidates,
  connections,
  connectSessions,
  grants,
  isLive,
  isOfAccount,
  leases,
  reauthNotices,
} from './schema.ts';

export function createConnectionStore(
  { autocommit, transaction, prepared, record }: PostgresAccess,
  { mayLive }: Pick<Liveness, 'mayLive'>,
): Omit<ConnectionStore, 'servedRow' | 'connections' | 'liveConnections'> {
  const byId = eq(connections.id, placeholderFor(connections.id, 'id'));
  const ofOwner = and(
    eq(connections.integration, placeholderFor(connections.integration, 'integration')),
    eq(connections.owner, placeholderFor(connections.owner, 'owner')),
  );
  const served = { connection: connections, accessToken: accessTokenOf };
  const { id, status, generation, issuedAt } = connections;
  const versions = { id, status, generation, issuedAt };
  const statements = prepared((orm, name) => ({
    one: orm.select().from(connections).where(byId).prepare(name('connection')),
    /** The planner does not see how many there are: it would plan every one of these again. */
    versions: orm
      .select(versions)
      .from(connections)
      .where(sql`${connections.id} = any((select ${sql.placeholder('ids')}::text[])::text[])`)
      .prepare(name('versions')),
    bound: orm
      .select({ ...served, credentials: credentialsOf })
      .from(connections)
      .where(byId)
      .prepare(name('bound')),
    servedAny: orm
      .select(served)
      .from(connections)
      .where(ofOwner)
      .orderBy(...liveFirst(connections))
      .limit(MAX_SERVED)
      .prepare(name('served_any')),
    servedLabelled: orm
      .select(served)
      .from(connections)
      .where(and(ofOwner, eq(connections.label, placeholderFor(connections.label, 'label'))))
      .orderBy(...liveFirst(connections))
      .limit(MAX_SERVED)
      .prepare(name('served_labelled')),
  }));

  /** It stays so until the transaction ends. */
  async function isOver(
    orm: Orm,
    sessionId: string,
    { integration }: Pick<Connection, 'integration'>,
  ): Promise<boolean> {
    const { finish, status, integration: chosen } = connectSessions;
    const [session] = await orm
      .select({ finish, status, integration: chosen })
      .from(connectSessions)
      .where(eq(connectSessions.id, sessionId))
      .for('no key update');
    return !isCompletable(session, integration);
  }
  async function complete(orm: Orm, sessionId: string, { id, account }: Pick<Connection, 'id' | 'account'>) {
    const change = { ...completed, connectionId: id, account };
    await orm.update(connectSessions).set(change).where(eq(connectSessions.id, sessionId));
    await orm.delete(candidates).where(eq(candidates.sessionId, sessionId));
  }

  async function isRefreshing(orm: Orm, id: string, status: Connection['status']): Promise<boolean> {
    const { connectionId, holder, attempt } = leases;
    const isResolvedNext = status === 'active' ? and(isNotNull(holder), isNotNull(attempt)) : undefined;
    const held = await orm
      .select({ holder })
      .from(leases)
      .where(and(eq(connectionId, id), or(isResolvedNext, mayLive(holder))));
    return held.length > 0;
  }

  return {
    addConnection: (connection, credentials, sessionId, audit, of) =>
      transaction(async (orm) => {
        if (sessionId !== null && (await isOver(orm, sessionId, connection))) return 'session_over';
        const { id, integration, generation } = connection;
        // Deleted since the caller read it: no live connection may be without its integration, or at another one.
        if (!(await isThere(orm, integration, of)))
          throw new StoreError('the integration of the connection is not there');
        // Of two at once, the later one waits here until the other is committed.
        const added = await orm
          .insert(connections)
          .values(connection)
          .onConflictDoNothing()
          .returning({ id: connections.id });
        if (added.length === 0) {
          const [live] = await orm
            .select({ id: connections.id })
            .from(connections)
            .where(and(hasSlot(connections, connection), isLive));
          if (!live) throw new StoreError('a connection of this id exists, or one of the same slot was just revoked');
          return { exists: live.id };
        }
        await orm.insert(grants).values({ ...credentials, connectionId: id });
        await replaceCapturedValues(orm, connection);
        await replaceTokenDigests(orm, connection, credentials.tokenDigests);
        if (sessionId !== null) await complete(orm, sessionId, connection);
        await record(orm, audit, { kind: 'connection', id, generation });
        return 'added';
      }),

    renewConnection: (connection, credentials, sessionId, audit, ofGeneration) =>
      transaction(async (orm) => {
        if (sessionId !== null && (await isOver(orm, sessionId, connection))) return 'session_over';
        const { id } = connection;
        const live = and(eq(connections.id, id), isLive);
        // Until the transaction ends, it is not claimed.
        const { generation, status } = connections;
        const [stored] = await orm.select({ generation, status }).from(connections).where(live).for('no key update');
        if (!stored) return 'gone';
        if (ofGeneration !== undefined && stored.generation !== ofGeneration) return 'changed';
        const keepsToken = credentials.refreshToken === undefined;
        if (keepsToken && (await isRefreshing(orm, id, stored.status))) return 'refreshing';
        const [renewed] = await orm
          .update(connections)
          .set(renewalOf(connections, connection))
          .where(live)
          .returning({ generation });
        if (!renewed) return 'gone';
        if (bringsSecrets(credentials)) await orm.update(grants).set(credentials).where(eq(grants.connectionId, id));
        await orm.update(leases).set(fencedOff(leases, keepsToken)).where(eq(leases.connectionId, id));
        await replaceCapturedValues(orm, connection);
        // Its owner is told again when the new grant ends.
        await orm.delete(reauthNotices).where(eq(reauthNotices.connectionId, id));
        if (!keepsToken) await forgetImport(orm, id);
        await replaceTokenDigests(orm, connection, credentials.tokenDigests);
        if (sessionId !== null) await complete(orm, sessionId, connection);
        await record(orm, audit, { kind: 'connection', id, ...renewed });
        return renewed;
      }),

    recordCheck: (id, { generation: ofGeneration, at, error }, audit) =>
      transaction(async (orm) => {
        const expected = and(eq(connections.id, id), isLive, eq(connections.generation, ofGeneration));
        const change = { lastCheckedAt: at, lastCheckError: error };
        const { rowCount } = await orm.update(connections).set(change).where(expected);
        if (!rowCount) return 'changed';
        await record(orm, audit);
        return 'recorded';
      }),

    storedCredentials: (id) =>
      autocommit(async (orm) => {
        const rows = await orm.select(credentialColumnsOf(grants)).from(grants).where(eq(grants.connectionId, id));
        return rows[0];
      }),
    connection: (id) => autocommit(async (orm) => (await statements(orm).one.execute({ id }))[0]),
    connectionsOfAccount: (account, limit) =>
      autocommit((orm) =>
        orm
          .select()
          .from(connections)
          .where(and(isOfAccount(account), isLive))
          .orderBy(asc(connections.id))
          .limit(limit),
      ),

    servedRowsByOwner: (integration, owner, label) =>
      autocommit((orm) => {
        const { servedAny, servedLabelled } = statements(orm);
        return label === undefined
          ? servedAny.execute({ integration, owner })
          : servedLabelled.execute({ integration, owner, label });
      }),
    connectionVersions: (ids) => autocommit((orm) => statements(orm).versions.execute({ ids })),
    dpopBoundRow: (id) => autocommit(async (orm) => (await statements(orm).bound.execute({ id }))[0]),
  };
}
