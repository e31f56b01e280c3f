// Connections and their credentials in SQLite: created, renewed, listed, and read for serving.
import { and, asc, eq, sql } from 'drizzle-orm';
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
import { forgetImport, replaceCapturedValues, replaceTokenDigests } from './captured-values.ts';
import type { SqliteAccess } from './client.ts';
import { CONNECTION_COLUMNS, type ConnectionRow, connectionOf } from './connection-rows.ts';
import type { Liveness } from './liveness.ts';
import { prepared } from './prepared-queries.ts';
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
  { orm, read, write, record }: SqliteAccess,
  { isAlive }: Pick<Liveness, 'isAlive'>,
): Omit<ConnectionStore, 'servedRow' | 'connections' | 'liveConnections'> {
  const byId = eq(connections.id, sql.placeholder('id'));
  const one = orm.$client.prepare<[string], ConnectionRow>(
    `select ${CONNECTION_COLUMNS} from connections where id = ?`,
  );
  const servedRows = () => orm.select({ connection: connections, accessToken: accessTokenOf }).from(connections);
  const ofOwner = and(
    eq(connections.integration, sql.placeholder('integration')),
    eq(connections.owner, sql.placeholder('owner')),
  );
  const versions = orm.$client.prepare<[string], Pick<Connection, 'id' | 'status' | 'generation' | 'issuedAt'>>(
    `select id, status, generation, issued_at as "issuedAt" from connections where id in (select value from json_each(?))`,
  );
  const bound = prepared(() =>
    orm
      .select({ connection: connections, accessToken: accessTokenOf, credentials: credentialsOf })
      .from(connections)
      .where(byId),
  );
  const servedAny = prepared(() =>
    servedRows()
      .where(ofOwner)
      .orderBy(...liveFirst(connections))
      .limit(MAX_SERVED),
  );
  const servedLabelled = prepared(() =>
    servedRows()
      .where(and(ofOwner, eq(connections.label, sql.placeholder('label'))))
      .orderBy(...liveFirst(connections))
      .limit(MAX_SERVED),
  );

  const { finish, status: sessionStatus, integration: chosen } = connectSessions;
  const isOver = (sessionId: string, { integration }: Pick<Connection, 'integration'>) =>
    !isCompletable(
      orm
        .select({ finish, status: sessionStatus, integration: chosen })
        .from(connectSessions)
        .where(eq(connectSessions.id, sessionId))
        .get(),
      integration,
    );
  function complete(sessionId: string, { id, account }: Pick<Connection, 'id' | 'account'>): void {
    const change = { ...completed, connectionId: id, account };
    orm.update(connectSessions).set(change).where(eq(connectSessions.id, sessionId)).run();
    orm.delete(candidates).where(eq(candidates.sessionId, sessionId)).run();
  }

  function isRefreshing(id: string, status: Connection['status']): boolean {
    const { holder = null, attempt = null } = orm.select().from(leases).where(eq(leases.connectionId, id)).get() ?? {};
    const isResolvedNext = status === 'active' && attempt !== null;
    return holder !== null && (isResolvedNext || isAlive(holder));
  }

  return {
    addConnection: (connection, credentials, sessionId, audit, of) =>
      write(() => {
        if (sessionId !== null && isOver(sessionId, connection)) return 'session_over';
        const { id, integration, generation } = connection;
        const exists = orm
          .select({ id: connections.id })
          .from(connections)
          .where(and(hasSlot(connections, connection), isLive))
          .get();
        if (exists) return { exists: exists.id };
        // Deleted since the caller read it: no live connection may be without its integration, or at another one.
        if (!isThere(orm, integration, of)) throw new StoreError('the integration of the connection is not there');
        orm.insert(connections).values(connection).run();
        orm
          .insert(grants)
          .values({ ...credentials, connectionId: id })
          .run();
        replaceCapturedValues(orm, connection);
        replaceTokenDigests(orm, connection, credentials.tokenDigests);
        if (sessionId !== null) complete(sessionId, connection);
        record(audit, { kind: 'connection', id, generation });
        return 'added';
      }),

    renewConnection: (connection, credentials, sessionId, audit, ofGeneration) =>
      write(() => {
        if (sessionId !== null && isOver(sessionId, connection)) return 'session_over';
        const { id } = connection;
        const live = and(eq(connections.id, id), isLive);
        const { generation, status } = connections;
        const stored = orm.select({ generation, status }).from(connections).where(live).get();
        if (!stored) return 'gone';
        if (ofGeneration !== undefined && stored.generation !== ofGeneration) return 'changed';
        const keepsToken = credentials.refreshToken === undefined;
        if (keepsToken && isRefreshing(id, stored.status)) return 'refreshing';
        const renewed = orm
          .update(connections)
          .set(renewalOf(connections, connection))
          .where(live)
          .returning({ generation })
          .get();
        if (bringsSecrets(credentials)) orm.update(grants).set(credentials).where(eq(grants.connectionId, id)).run();
        orm.update(leases).set(fencedOff(leases, keepsToken)).where(eq(leases.connectionId, id)).run();
        replaceCapturedValues(orm, connection);
        // Its owner is told again when the new grant ends.
        orm.delete(reauthNotices).where(eq(reauthNotices.connectionId, id)).run();
        if (!keepsToken) forgetImport(orm, id);
        replaceTokenDigests(orm, connection, credentials.tokenDigests);
        if (sessionId !== null) complete(sessionId, connection);
        record(audit, { kind: 'connection', id, ...renewed });
        return renewed;
      }),

    recordCheck: (id, { generation: ofGeneration, at, error }, audit) =>
      write(() => {
        const expected = and(eq(connections.id, id), isLive, eq(connections.generation, ofGeneration));
        const change = { lastCheckedAt: at, lastCheckError: error };
        if (orm.update(connections).set(change).where(expected).run().changes === 0) return 'changed';
        record(audit);
        return 'recorded';
      }),

    storedCredentials: (id) =>
      read(() => orm.select(credentialColumnsOf(grants)).from(grants).where(eq(grants.connectionId, id)).get()),
    connection: (id) =>
      read(() => {
        const row = one.get(id);
        return row && connectionOf(row);
      }),
    connectionsOfAccount: (account, limit) =>
      read(() =>
        orm
          .select()
          .from(connections)
          .where(and(isOfAccount(account), isLive))
          .orderBy(asc(connections.id))
          .limit(limit)
          .all(),
      ),
    servedRowsByOwner: (integration, owner, label) =>
      read(() =>
        label === undefined ? servedAny.all({ integration, owner }) : servedLabelled.all({ integration, owner, label }),
      ),
    connectionVersions: (ids) => read(() => versions.all(JSON.stringify(ids))),
    dpopBoundRow: (id) => read(() => bound.get({ id })),
  };
}
