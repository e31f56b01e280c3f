// What is told once, in SQLite: that a provider refuses the client of an integration, and that a grant ends.
import { and, asc, eq, lt, type SQL, sql } from 'drizzle-orm';
import type { EndingConnection } from '../../ports/index.ts';
import { isTold, type NoticeStore } from '../shared/events.ts';
import type { SqliteAccess } from './client.ts';
import { connections, integrationFaults, isActive, leases, reauthNotices } from './schema.ts';

const dueAt = sql<number>`${leases.endsAt}`;

/** A part of the index of grants that end. */
export const endingConnections = (
  orm: Pick<SqliteAccess['orm'], 'select'>,
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
        after && sql`(${endsAt}, ${leases.connectionId}) > (${after.dueAt}, ${after.id})`,
        which,
      ),
    )
    .orderBy(asc(endsAt), asc(leases.connectionId))
    .limit(limit);
};

export const createNoticeStore = ({ orm, read, write, record }: SqliteAccess): NoticeStore => ({
  setIntegrationFault: (integration, code, audit) =>
    write(() => {
      const { changes } =
        code === null
          ? orm.delete(integrationFaults).where(eq(integrationFaults.integration, integration)).run()
          : orm.insert(integrationFaults).values({ integration, code, since: audit.at }).onConflictDoNothing().run();
      if (changes === 0) return 'unchanged';
      record(audit);
      return 'changed';
    }),
  integrationFaults: () => read(() => orm.select().from(integrationFaults).all()),
  endingConnections: (before, after, limit) => read(() => endingConnections(orm, before, after, limit).all()),
  putReauthNotice: (ending, stage, audit) =>
    write(() => {
      const { id: connectionId, dueAt } = ending;
      const whole = Number.MAX_SAFE_INTEGER;
      const [current] = endingConnections(orm, whole, undefined, 1, eq(connections.id, connectionId)).all();
      if (!isTold(current, ending)) return 'gone';
      orm
        .insert(reauthNotices)
        .values({ connectionId, stage, dueAt })
        .onConflictDoUpdate({ target: reauthNotices.connectionId, set: { stage, dueAt } })
        .run();
      if (audit) record(audit);
      return 'stored';
    }),
});
