// Integrations in PostgreSQL.
import { and, asc, count, eq, gt, sql } from 'drizzle-orm';
import type { AuditEntry } from '../../domain/audit.ts';
import type { IntegrationSettings, Store } from '../../ports/index.ts';
import { given, type Orm, type PostgresAccess, pageOf } from './client.ts';
import { connections, flows, integrations, isLive, pendingRevocations } from './schema.ts';

/** The part of a sentence that puts one. */
export const integrationPutter =
  ({ record }: Pick<PostgresAccess, 'record'>) =>
  async (orm: Orm, integration: IntegrationSettings, by: AuditEntry): Promise<'created' | 'updated'> => {
    const { id, createdAt, ...change } = integration;
    const [put] = await orm
      .insert(integrations)
      .values({ ...change, id, createdAt, version: 1 })
      .onConflictDoUpdate({
        target: integrations.id,
        set: { ...change, version: sql`${integrations.version} + 1` },
      })
      .returning({ version: integrations.version });
    await record(orm, by, { kind: 'integration', id });
    return put!.version === 1 ? 'created' : 'updated';
  };

export function integrationStore(
  access: PostgresAccess,
): Pick<Store, 'putIntegration' | 'integration' | 'integrations' | 'deleteIntegration'> {
  const { ask, write, prepared, record } = access;
  const put = integrationPutter(access);
  const statements = prepared((orm, name) => ({
    one: orm
      .select()
      .from(integrations)
      .where(eq(integrations.id, given(integrations.id, 'id')))
      .prepare(name('integration')),
  }));

  return {
    putIntegration: (integration, by) => write((orm) => put(orm, integration, by)),
    integration: (id) => ask(async (orm) => (await statements(orm).one.execute({ id }))[0]),
    integrations: ({ limit, after }) =>
      ask(async (orm) => {
        const rows = await orm
          .select()
          .from(integrations)
          .where(after === undefined ? undefined : gt(integrations.id, after))
          .orderBy(asc(integrations.id))
          .limit(limit + 1);
        return pageOf(rows, limit);
      }),
    deleteIntegration: (id, by) =>
      write(async (orm) => {
        // Whoever adds a connection shares a lock on its integration: what is counted stays so.
        const it = orm.select({ id: integrations.id }).from(integrations).where(eq(integrations.id, id));
        if ((await it.for('update')).length === 0) return 'absent';
        const [live] = await orm
          .select({ n: count() })
          .from(connections)
          .where(and(eq(connections.integration, id), isLive));
        const [pending] = await orm
          .select({ n: count() })
          .from(pendingRevocations)
          .where(eq(pendingRevocations.integration, id));
        const needed = { connections: live!.n, pendingRevocations: pending!.n };
        if (needed.connections + needed.pendingRevocations > 0) return needed;
        // A flow in flight must not end at another provider that is set up under this id.
        await orm.delete(flows).where(eq(flows.integration, id));
        await orm.delete(integrations).where(eq(integrations.id, id));
        await record(orm, by, { kind: 'integration', id });
        return 'deleted';
      }),
  };
}
