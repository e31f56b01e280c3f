// What is due for a refresh, in SQLite: from the narrow rows beside the leases, divided among the processes that have the
// database open.
import { sql } from 'drizzle-orm';
import { CLAIMED_DUE_AGAIN_MS, DUE_FOR_OTHERS_MS } from '../../domain/time-limits.ts';
import type { RefreshStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { CONNECTION_COLUMNS, type ConnectionRow, connectionOf } from './connection-rows.ts';
import type { Liveness } from './liveness.ts';

/** A loose index scan: two index steps for each integration, however many connections it has. */
export const dueIntegrations = (now: number) => sql`
  with recursive at(id) as (
    select min(integration) from leases where due_at is not null
    union all
    select (select min(integration) from leases where due_at is not null and integration > at.id)
    from at where at.id is not null
  ), due as (
    select id as integration,
      (select min(due_at) from leases where due_at is not null and integration = at.id) as "dueAt"
    from at where id is not null
  )
  select integration, "dueAt" from due where "dueAt" <= ${now} order by "dueAt"`;

/** The end of an id is random. */
const SHARE = '(unicode(substr(connection_id, -1)) * 31 + unicode(substr(connection_id, -2, 1))) % @processes';
const dueOf = (which: string) => `
  select connection_id as id, due_at as "dueAt" from leases
  where integration = @integration and due_at is not null and due_at <= @now and ${which}`;
/** The head of a partial, covering index. Of the only process: the share takes longer than to find the row. */
export const ALL = `${dueOf('true')} order by due_at, connection_id limit @limit`;
export const OURS = `${dueOf(`${SHARE} = @rank`)} order by due_at, connection_id limit @limit`;
/** From the other end than those that they fall to. */
export const LATE_OF_OTHERS = `${dueOf(`${SHARE} <> @rank`)} order by due_at desc, connection_id desc limit @limit`;

type DueStore = Pick<RefreshStore, 'dueIntegrations' | 'dueConnections' | 'postponeDue'>;
interface Due {
  id: string;
  dueAt: number;
}

export function createDueConnections(
  { orm, read, write }: Pick<SqliteAccess, 'orm' | 'read' | 'write'>,
  { holder, liveHolders }: Pick<Liveness, 'holder' | 'liveHolders'>,
): DueStore {
  const all = orm.$client.prepare<[object], Due>(ALL);
  const ours = orm.$client.prepare<[object], Due>(OURS);
  const late = orm.$client.prepare<[object], Due>(LATE_OF_OTHERS);
  // Point reads, not a join: with one, better-sqlite3 takes three times as long for the same rows.
  const active = orm.$client.prepare<[string], ConnectionRow>(
    `select ${CONNECTION_COLUMNS} from connections where id = ? and status = 'active'`,
  );
  const [begin, end] = [orm.$client.prepare('BEGIN'), orm.$client.prepare('END')];
  const postpone = orm.$client.prepare<[object]>(
    `update leases set due_at = max(@until,
       (select next_refresh_at from connections where id = connection_id and next_refresh_at is not null))
     where connection_id = @id and due_at < @until`,
  );

  /** Of one snapshot: SQLite's locks cost as much as finding a row. */
  function together<T>(query: () => T): T {
    begin.run();
    try {
      return query();
    } finally {
      if (orm.$client.inTransaction) end.run();
    }
  }

  return {
    dueIntegrations: (now) => read(() => orm.all<{ integration: string; dueAt: number }>(dueIntegrations(now))),
    dueConnections: (integration, now, limit, without = []) =>
      read(() => {
        const holders = liveHolders();
        const share = { processes: holders.length, rank: holders.indexOf(holder) };
        // Left out here: SQLite would make a table of them each time.
        const leftOut = new Set(without);
        const find = (query: typeof all, until: number, most: number) =>
          query
            .all({ integration, ...share, now: until, limit: most + leftOut.size })
            .filter(({ id }) => !leftOut.has(id))
            .slice(0, most);
        return together(() => {
          const due = find(holders.length > 1 ? ours : all, now, limit);
          if (due.length < limit && holders.length > 1)
            due.push(...find(late, now - DUE_FOR_OTHERS_MS, limit - due.length));
          due.sort((a, b) => a.dueAt - b.dueAt);
          return due.flatMap(({ id, dueAt }) => {
            const row = active.get(id);
            return row ? [{ dueAt, connection: connectionOf(row) }] : [];
          });
        });
      }),
    postponeDue: (ids, now) =>
      write(() => {
        for (const id of ids) postpone.run({ id, until: now + CLAIMED_DUE_AGAIN_MS });
      }),
  };
}
