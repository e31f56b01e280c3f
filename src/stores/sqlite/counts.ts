// Counts of what is due in SQLite: along an index, in steps between which the event loop gets on.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RefreshStore } from '../../ports/index.ts';
import type { SqliteAccess } from './client.ts';
import { dueIntegrations } from './due-connections.ts';

/** Index entries of one step: less than a millisecond. */
const COUNTED_PER_STEP = 2_000;

const DUE_AFTER = `
  from leases where due_at is not null and integration = ? and (due_at, connection_id) > (?, ?) and due_at <= ?
  order by due_at, connection_id`;
export const COUNT_DUE = `select count(*) from (select connection_id ${DUE_AFTER} limit ${COUNTED_PER_STEP})`;
export const LAST_COUNTED_DUE = `select due_at as at, connection_id as id ${DUE_AFTER} limit 1 offset ${COUNTED_PER_STEP - 1}`;

export function createCounts({ orm, read }: Pick<SqliteAccess, 'orm' | 'read'>): Pick<RefreshStore, 'countDue'> {
  const ofDue = orm.$client.prepare<unknown[], number>(COUNT_DUE).pluck();
  const lastDue = orm.$client.prepare<unknown[], { at: number; id: string }>(LAST_COUNTED_DUE);

  async function countDueOf(integration: string, now: number): Promise<number> {
    let total = 0;
    for (let after: [number, string] = [Number.MIN_SAFE_INTEGER, '']; ; ) {
      const which = [integration, ...after, now];
      const count = await read(() => ofDue.get(which) ?? 0);
      const last = count < COUNTED_PER_STEP ? undefined : await read(() => lastDue.get(which));
      total += count;
      if (!last) return total;
      after = [last.at, last.id];
      await nextTurn();
    }
  }

  return {
    async countDue(now) {
      const due = await read(() => orm.all<{ integration: string; dueAt: number }>(dueIntegrations(now)));
      const counts: Awaited<ReturnType<RefreshStore['countDue']>> = [];
      for (const one of due) {
        await nextTurn();
        counts.push({ ...one, count: await countDueOf(one.integration, now) });
      }
      return counts;
    },
  };
}
