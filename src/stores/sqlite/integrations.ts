// Integrations in SQLite.
import { and, asc, count, eq, gt, inArray, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type {
  ExpectedIntegration,
  IntegrationInUse,
  IntegrationSettings,
  IntegrationStore,
} from '../../ports/index.ts';
import { ofIntegration } from '../shared/connect-sessions.ts';
import { isCountedLive } from '../shared/connection-counts.ts';
import { LIVE_STATUSES } from '../shared/filters.ts';
import { pageOf } from '../shared/pages.ts';
import type { SqliteAccess } from './client.ts';
import { cancelSessions } from './connect-sessions.ts';
import { prepared } from './prepared-queries.ts';
import { receiverWriter } from './received-webhooks.ts';
import {
  candidates,
  clientRegistrations,
  connectionCounts,
  connections,
  connectSessions,
  flows,
  integrationFaults,
  integrations,
  pendingRevocations,
  receiverSettings,
} from './schema.ts';

const liveOf = (id: string) => and(eq(connections.integration, id), inArray(connections.status, [...LIVE_STATUSES]));
const liveSum = sql<number>`coalesce(sum(${connectionCounts.count}), 0)`;
const pendingOf = (id: string) => eq(pendingRevocations.integration, id);

const isExpected = (stored: ExpectedIntegration | undefined, { version, createdAt }: ExpectedIntegration): boolean =>
  (stored?.version ?? 0) === version && (createdAt === undefined || stored?.createdAt === createdAt);

/** Inside an operation. `changed`: it is not what was expected, and stays as it is. */
export const integrationWriter =
  ({ orm, record }: Pick<SqliteAccess, 'orm' | 'record'>) =>
  (
    integration: IntegrationSettings,
    audit: AuditEntry,
    expected?: ExpectedIntegration,
  ): 'created' | 'updated' | 'changed' => {
    const { id, createdAt, ...change } = integration;
    const stored = orm
      .select({ version: integrations.version, createdAt: integrations.createdAt })
      .from(integrations)
      .where(eq(integrations.id, id))
      .get();
    if (expected && !isExpected(stored, expected)) return 'changed';
    const version = (stored?.version ?? 0) + 1;
    orm
      .insert(integrations)
      .values({ ...change, id, createdAt, version })
      .onConflictDoUpdate({ target: integrations.id, set: { ...change, version } })
      .run();
    record(audit, { kind: 'integration', id });
    return version === 1 ? 'created' : 'updated';
  };

/** Inside an operation. */
export function integrationRemover({ orm, record }: Pick<SqliteAccess, 'orm' | 'record'>) {
  const exists = (id: string): boolean =>
    orm.select({ id: integrations.id }).from(integrations).where(eq(integrations.id, id)).get() !== undefined;
  const waiting = (id: string): number =>
    orm
      .select({ n: count() })
      .from(candidates)
      .innerJoin(connectSessions, eq(connectSessions.id, candidates.sessionId))
      .where(eq(connectSessions.integration, id))
      .get()!.n;
  return {
    /** Undefined: nothing needs it, or there is none. Candidates count as pending revocations. */
    usedBy(id: string): IntegrationInUse | undefined {
      if (!exists(id)) return undefined;
      const live = orm.select({ id: connections.id }).from(connections).where(liveOf(id)).limit(1).get();
      const pending = orm.select({ n: count() }).from(pendingRevocations).where(pendingOf(id)).get()!.n + waiting(id);
      if (!live && pending === 0) return undefined;
      // A connection is what keeps it, and the counter only says how many.
      const counted = orm
        .select({ n: liveSum })
        .from(connectionCounts)
        .where(isCountedLive(connectionCounts, id))
        .get();
      return { integration: id, connections: live ? Math.max(1, counted!.n) : 0, pendingRevocations: pending };
    },
    /** What nothing needs. */
    remove(id: string, audit: AuditEntry): 'deleted' | 'absent' {
      if (!exists(id)) return 'absent';
      // What is open must not lead to another provider that is set up under this id.
      cancelSessions(orm, ofIntegration(connectSessions, id), audit.at);
      orm.delete(flows).where(eq(flows.integration, id)).run();
      orm.delete(clientRegistrations).where(eq(clientRegistrations.integration, id)).run();
      orm.delete(receiverSettings).where(eq(receiverSettings.integration, id)).run();
      orm.delete(integrations).where(eq(integrations.id, id)).run();
      orm.delete(integrationFaults).where(eq(integrationFaults.integration, id)).run();
      record(audit, { kind: 'integration', id });
      return 'deleted';
    },
  };
}

export function createIntegrationStore(access: SqliteAccess): IntegrationStore {
  const { orm, read, write } = access;
  const put = integrationWriter(access);
  const putReceiver = receiverWriter(access);
  const remover = integrationRemover(access);
  const one = prepared(() =>
    orm
      .select()
      .from(integrations)
      .where(eq(integrations.id, sql.placeholder('id'))),
  );

  return {
    putIntegration: (integration, audit, receivers = [], expected) =>
      write(() => {
        const outcome = put(integration, audit, expected);
        if (outcome === 'changed') return outcome;
        receivers.forEach(putReceiver);
        return outcome;
      }),
    integration: (id) => read(() => one.get({ id })),
    integrations: ({ limit, after }) =>
      read(() => {
        const rows = orm
          .select()
          .from(integrations)
          .where(after === undefined ? undefined : gt(integrations.id, after))
          .orderBy(asc(integrations.id))
          .limit(limit + 1)
          .all();
        return pageOf(rows, limit);
      }),
    deleteIntegration: (id, audit) => write(() => remover.usedBy(id) ?? remover.remove(id, audit)),
  };
}
