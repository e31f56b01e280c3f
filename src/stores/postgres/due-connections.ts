// What is due for a refresh, in PostgreSQL: from the narrow rows beside the leases, divided among the replicas that are alive.
import {
  CLAIMED_DUE_AGAIN_MS,
  DUE_FOR_OTHERS_MS,
  DUE_FULL_LOOK_MS,
  DUE_LOOKBACK_MS,
  PROCESS_DEAD_AFTER_MS,
} from '../../domain/time-limits.ts';
import type { RefreshStore } from '../../ports/index.ts';
import { KNOWN_INTEGRATIONS } from '../shared/narrow-scopes.ts';
import type { PostgresAccess } from './client.ts';
import { connectionAt, connectionColumns } from './connection-rows.ts';
import type { Liveness } from './liveness.ts';

/** A place in the index of what is due. */
export interface DuePlace {
  dueAt: number;
  id: string;
}

/**
 * The planner takes the values of parameters that it sees for a reason to plan every call again, which takes longer than to run
 * it.
 */
const unseen = (parameter: string): string => `(select ${parameter})`;

/**
 * The oldest that is due of each integration, from these places on: what is due earlier was not there when it was looked at
 * last. Behind an old snapshot the entries of what has been refreshed since stay in the index, and would be read each time.
 * $1: now, $2 to $4: the integration, due time and id of each place.
 */
export const DUE_INTEGRATIONS = `
  with known as (${KNOWN_INTEGRATIONS}), looked as (
    select * from unnest(${unseen('$2::text[]')}, ${unseen('$3::bigint[]')}, ${unseen('$4::text[]')}) as places(integration, due_at, id)
  )
  select known.id as integration, oldest.due_at as "dueAt", oldest.connection_id as id
  from known left join looked on looked.integration = known.id
  left join lateral (
    select due_at, connection_id from leases
    where integration = known.id and due_at is not null and due_at <= ${unseen('$1::bigint')}
      and (due_at, connection_id) >= (coalesce(looked.due_at, ${Number.MIN_SAFE_INTEGER}), coalesce(looked.id, ''))
    order by due_at, connection_id limit 1
  ) oldest on true`;

/** The parameters of `DUE_INTEGRATIONS`. */
export const lookFrom = (now: number, from: ReadonlyMap<string, DuePlace>): unknown[] => {
  const places = [...from.values()];
  return [Math.floor(now), [...from.keys()], places.map(({ dueAt }) => dueAt), places.map(({ id }) => id)];
};

/** A `case`, which the planner takes for half of the rows. Of a comparison it expects nearly none, and reads and sorts them all. */
const isShare = (operator: '=' | '<>'): string =>
  `case when mod(abs(hashtext(connection_id)::bigint), (select replicas from live)) ${operator} (select rank from live)
   then true else false end`;

const INTEGRATION = unseen('$1::text');
const NOW = unseen('$2::bigint');
const LIMIT = unseen('$3::bigint');
const WITHOUT = unseen('$4::text[]');
const PLACE = `${unseen('$6::bigint')}, ${unseen('$7::text')}`;

/** $1: integration, $2: now, $3: limit, $4: ids that are left out, $5: this holder, $6 and $7: the place to begin at. */
export const DUE_CONNECTIONS = `
  with live as materialized (
    select greatest(count(*), 1) as replicas, count(*) filter (where holder < $5) as rank from replicas
    where seen_at > clock_timestamp() - interval '${PROCESS_DEAD_AFTER_MS} milliseconds'
  ), ours as materialized (
    select connection_id, due_at from leases
    where integration = ${INTEGRATION} and due_at is not null and due_at <= ${NOW}
      and (due_at, connection_id) >= (${PLACE})
      and ${isShare('=')}
      and connection_id not in (select unnest(${WITHOUT}))
    order by due_at, connection_id limit ${LIMIT}
  ), late as materialized (
    select connection_id, due_at from leases
    where integration = ${INTEGRATION} and due_at is not null and due_at <= ${NOW} - ${DUE_FOR_OTHERS_MS}
      and (due_at, connection_id) >= (${PLACE})
      and ${isShare('<>')}
      and connection_id not in (select unnest(${WITHOUT}))
    order by due_at desc, connection_id desc limit ${LIMIT} - (select count(*) from ours)
  )
  select due.due_at, ${connectionColumns('c')}
  from (select * from ours union all select * from late) due,
    -- Each by its key: of a join, the planner may read the table instead, since it does not know how few they are.
    lateral (select * from connections where id = due.connection_id and status = 'active' limit 1) c
  order by due.due_at, c.id`;

/**
 * Waits for no lock: it takes leases without their connections, and sets of claims and commits would wait for it in turn. A lease that
 * is locked is being moved on, or the next look finds it.
 */
const POSTPONE = `
  with free as materialized (
    select connection_id as id from leases where connection_id = any($1::text[]) and due_at < $2
    for no key update skip locked
  )
  update leases set due_at = greatest($2, c.next_refresh_at) from free, connections c
  where connection_id = free.id and c.id = free.id and c.status = 'active'`;

/** Counts what is due, the oldest first; an index step each. */
const COUNT_DUE = `
  select integration, "dueAt", (select count(*) from leases l where l.due_at is not null
    and l.due_at <= $1 and l.integration = d.integration) as count
  from (${DUE_INTEGRATIONS}) d where "dueAt" is not null order by "dueAt"`;

type DueStore = Pick<RefreshStore, 'dueIntegrations' | 'countDue' | 'dueConnections' | 'postponeDue'>;

export function createDueConnections(
  { autocommit, prepared }: Pick<PostgresAccess, 'autocommit' | 'prepared'>,
  { holder, instants }: Pick<Liveness, 'holder' | 'instants'>,
): DueStore {
  const names = prepared((_, name) => ({
    look: name('due_integrations'),
    due: name('due_connections'),
    postpone: name('postpone_due'),
  }));
  /** By integration, where the next look begins. Of this process, as its clock is. */
  const looked = new Map<string, DuePlace>();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let fullLookAt = Number.NEGATIVE_INFINITY;

  function forget(now: number): void {
    const monotonic = instants.now().monotonic;
    const wasSetBack = now < lookedAt;
    lookedAt = now;
    if (!wasSetBack && monotonic - fullLookAt < DUE_FULL_LOOK_MS) return;
    fullLookAt = monotonic;
    looked.clear();
  }

  return {
    dueIntegrations: (now) =>
      autocommit(async (orm) => {
        forget(now);
        const { rows } = await orm.$client.query<{ integration: string; dueAt: string | null; id: string | null }>({
          name: names(orm).look,
          text: DUE_INTEGRATIONS,
          values: lookFrom(now, looked),
        });
        const due: { integration: string; dueAt: number }[] = [];
        for (const { integration, dueAt, id } of rows) {
          const isDue = dueAt !== null && id !== null;
          looked.set(integration, isDue ? { dueAt: Number(dueAt), id } : { dueAt: now - DUE_LOOKBACK_MS, id: '' });
          if (isDue) due.push({ integration, dueAt: Number(dueAt) });
        }
        return due.sort((a, b) => a.dueAt - b.dueAt);
      }),

    countDue: (now) =>
      autocommit(async (orm) => {
        const { rows } = await orm.$client.query<{ integration: string; dueAt: string; count: string }>(
          COUNT_DUE,
          lookFrom(now, new Map()),
        );
        return rows.map(({ integration, dueAt, count }) => ({
          integration,
          dueAt: Number(dueAt),
          count: Number(count),
        }));
      }),

    dueConnections: (integration, now, limit, without = []) =>
      autocommit(async (orm) => {
        const { dueAt, id } = looked.get(integration) ?? { dueAt: Number.MIN_SAFE_INTEGER, id: '' };
        const { rows } = await orm.$client.query<unknown[]>({
          name: names(orm).due,
          text: DUE_CONNECTIONS,
          rowMode: 'array',
          values: [integration, Math.floor(now), limit, without, holder, dueAt, id],
        });
        return rows.map((row) => ({ dueAt: Number(row[0]), connection: connectionAt(row, 1) }));
      }),

    postponeDue: (ids, now) =>
      autocommit(async (orm) => {
        await orm.$client.query({
          name: names(orm).postpone,
          text: POSTPONE,
          values: [ids, Math.ceil(now + CLAIMED_DUE_AGAIN_MS)],
        });
      }),
  };
}
