// Integrations in PostgreSQL.
import { and, asc, count, eq, gt, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type {
  ExpectedIntegration,
  IntegrationInUse,
  IntegrationSettings,
  IntegrationStore,
} from '../../ports/index.ts';
import { ofIntegration } from '../shared/connect-sessions.ts';
import { isCountedLive } from '../shared/connection-counts.ts';
import { pageOf } from '../shared/pages.ts';
import { placeholderFor } from '../shared/placeholders.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { cancelSessions } from './connect-sessions.ts';
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
  isLive,
  pendingRevocations,
  receiverSettings,
} from './schema.ts';

const isExpected = ({ version, createdAt }: ExpectedIntegration) =>
  and(eq(integrations.version, version), createdAt === undefined ? undefined : eq(integrations.createdAt, createdAt));

/** Inside a transaction. `changed`: it is not what was expected, and stays as it is. */
export const integrationWriter =
  ({ record }: Pick<PostgresAccess, 'record'>) =>
  async (
    orm: Orm,
    integration: IntegrationSettings,
    audit: AuditEntry,
    expected?: ExpectedIntegration,
  ): Promise<'created' | 'updated' | 'changed'> => {
    const { id, createdAt, ...change } = integration;
    const next = { ...change, version: sql`${integrations.version} + 1` };
    const insert = orm.insert(integrations).values({ ...change, id, createdAt, version: 1 });
    const returned = { version: integrations.version };
    const [put] = await (expected === undefined
      ? insert.onConflictDoUpdate({ target: integrations.id, set: next }).returning(returned)
      : expected.version === 0
        ? insert.onConflictDoNothing().returning(returned)
        : orm
            .update(integrations)
            .set(next)
            .where(and(eq(integrations.id, id), isExpected(expected)))
            .returning(returned));
    if (!put) return 'changed';
    await record(orm, audit, { kind: 'integration', id });
    return put.version === 1 ? 'created' : 'updated';
  };

/** Inside a transaction. */
export function integrationRemover({ record }: Pick<PostgresAccess, 'record'>) {
  return {
    /** Locks it. Undefined: nothing needs it, or there is none. */
    async usedBy(orm: Orm, id: string): Promise<IntegrationInUse | undefined> {
      // Adding a connection takes a share lock on its integration: the counts stay true.
      const it = orm.select({ id: integrations.id }).from(integrations).where(eq(integrations.id, id));
      if ((await it.for('update')).length === 0) return undefined;
      const [live] = await orm
        .select({ id: connections.id })
        .from(connections)
        .where(and(eq(connections.integration, id), isLive))
        .limit(1);
      // A connection is what keeps it, and the counter only says how many.
      const [counted] = await orm
        .select({ n: sql`coalesce(sum(count), 0)`.mapWith(Number) })
        .from(connectionCounts)
        .where(isCountedLive(connectionCounts, id));
      const [pending] = await orm
        .select({ n: count() })
        .from(pendingRevocations)
        .where(eq(pendingRevocations.integration, id));
      const [waiting] = await orm
        .select({ n: count() })
        .from(candidates)
        .innerJoin(connectSessions, eq(connectSessions.id, candidates.sessionId))
        .where(eq(connectSessions.integration, id));
      const needed = { connections: live ? Math.max(1, counted!.n) : 0, pendingRevocations: pending!.n + waiting!.n };
      return needed.connections + needed.pendingRevocations > 0 ? { integration: id, ...needed } : undefined;
    },
    /** What nothing needs. */
    async remove(orm: Orm, id: string, audit: AuditEntry): Promise<'deleted' | 'absent'> {
      // What is open must not lead to another provider that is set up under this id.
      await cancelSessions(orm, ofIntegration(connectSessions, id), audit.at);
      await orm.delete(flows).where(eq(flows.integration, id));
      await orm.delete(clientRegistrations).where(eq(clientRegistrations.integration, id));
      await orm.delete(receiverSettings).where(eq(receiverSettings.integration, id));
      if ((await orm.delete(integrations).where(eq(integrations.id, id))).rowCount === 0) return 'absent';
      await orm.delete(integrationFaults).where(eq(integrationFaults.integration, id));
      await record(orm, audit, { kind: 'integration', id });
      return 'deleted';
    },
  };
}

export function createIntegrationStore(access: PostgresAccess): IntegrationStore {
  const { autocommit, transaction, prepared } = access;
  const put = integrationWriter(access);
  const putReceiver = receiverWriter(access);
  const remover = integrationRemover(access);
  const statements = prepared((orm, name) => ({
    one: orm
      .select()
      .from(integrations)
      .where(eq(integrations.id, placeholderFor(integrations.id, 'id')))
      .prepare(name('integration')),
  }));

  return {
    putIntegration: (integration, audit, receivers = [], expected) =>
      transaction(async (orm) => {
        const outcome = await put(orm, integration, audit, expected);
        if (outcome === 'changed') return outcome;
        for (const one of receivers) await putReceiver(orm, one);
        return outcome;
      }),
    integration: (id) => autocommit(async (orm) => (await statements(orm).one.execute({ id }))[0]),
    integrations: ({ limit, after }) =>
      autocommit(async (orm) => {
        const rows = await orm
          .select()
          .from(integrations)
          .where(after === undefined ? undefined : gt(integrations.id, after))
          .orderBy(asc(integrations.id))
          .limit(limit + 1);
        return pageOf(rows, limit);
      }),
    deleteIntegration: (id, audit) =>
      transaction(async (orm) => (await remover.usedBy(orm, id)) ?? remover.remove(orm, id, audit)),
  };
}
