// What is told once, in PostgreSQL: that a provider refuses the client of an integration, and that a grant ends.
import { and, asc, eq, lt, type SQL, sql } from 'drizzle-orm';
import type { EndingConnection } from '../../ports/index.ts';
import { isTold, type NoticeStore } from '../shared/events.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { connections, integrationFaults, isActive, leases, reauthNotices } from './schema.ts';

const dueAt = sql<number>`${leases.endsAt}`.mapWith(Number);

/** A part of the index of grants that end. */
export const endingConnections = (
  orm: Pick<Orm, 'select'>,
  before: number,
  after: EndingConnection | undefined,
  limit: number,
  which?: SQL,
) => {
  const { id, integration, owner } = connections;
  const { endsAt } = leases;
  const { stage } = reauthNotices;
  return orm
    .select({ id, integration, owner, dueAt, told: { stage, dueAt: reauthNotices.dueAt } })
    .from(leases)
    .innerJoin(connections, eq(id, leases.connectionId))
    .leftJoin(reauthNotices, eq(reauthNotices.connectionId, id))
    .where(
      and(
        isActive,
        sql`ends_at is not null`,
        lt(endsAt, before),
        after && sql`(${endsAt}, ${leases.connectionId}) > (${after.dueAt}::bigint, ${after.id}::text)`,
        which,
      ),
    )
    .orderBy(asc(endsAt), asc(leases.connectionId))
    .limit(limit);
};

export const createNoticeStore = ({ autocommit, transaction, record }: PostgresAccess): NoticeStore => ({
  setIntegrationFault: (integration, code, audit) =>
    transaction(async (orm) => {
      const change =
        code === null
          ? orm.delete(integrationFaults).where(eq(integrationFaults.integration, integration))
          : orm.insert(integrationFaults).values({ integration, code, since: audit.at }).onConflictDoNothing();
      if ((await change).rowCount === 0) return 'unchanged';
      await record(orm, audit);
      return 'changed';
    }),
  integrationFaults: () => autocommit((orm) => orm.select().from(integrationFaults)),
  endingConnections: (before, after, limit) =>
    autocommit((orm) => endingConnections(orm, before, after, limit).execute()),
  putReauthNotice: (ending, stage, audit) =>
    transaction(async (orm) => {
      const { id: connectionId, dueAt } = ending;
      // Locked first: of two replicas, the later one sees what the other has told.
      const isTheOne = eq(connections.id, connectionId);
      await orm.select({ id: connections.id }).from(connections).where(isTheOne).for('no key update');
      const [current] = await endingConnections(orm, Number.MAX_SAFE_INTEGER, undefined, 1, isTheOne);
      if (!isTold(current, ending)) return 'gone';
      await orm
        .insert(reauthNotices)
        .values({ connectionId, stage, dueAt })
        .onConflictDoUpdate({ target: reauthNotices.connectionId, set: { stage, dueAt } });
      if (audit) await record(orm, audit);
      return 'stored';
    }),
});
