// Counts of what is due and of what is live in SQLite: along an index, in steps between which the event loop gets on.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ConnectionStatus } from '../../domain/connection.ts';
import type { RefreshStore } from '../../ports/index.ts';
import { LIVE_STATUSES } from '../shared/filters.ts';
import type { SqliteAccess } from './client.ts';
import { dueIntegrations } from './refreshes.ts';

/** Index entries of one step: less than a millisecond. */
const COUNTED_PER_STEP = 2_000;

export const COUNT_STATUS = `
  select count(*) as count, max(id) as last from
    (select id from connections where integration = ? and status = ? and id > ? order by id limit ${COUNTED_PER_STEP})`;

const DUE_AFTER = `
  from connections where status = 'active' and integration = ? and (next_refresh_at, id) > (?, ?) and next_refresh_at <= ?
  order by next_refresh_at, id`;
export const COUNT_DUE = `select count(*) from (select id ${DUE_AFTER} limit ${COUNTED_PER_STEP})`;
export const LAST_COUNTED_DUE = `select next_refresh_at as at, id ${DUE_AFTER} limit 1 offset ${COUNTED_PER_STEP - 1}`;

interface Counts extends Pick<RefreshStore, 'countDue'> {
  countLive(integration: string): Promise<number>;
}

export function createCounts({ orm, read }: Pick<SqliteAccess, 'orm' | 'read'>): Counts {
  const ofStatus = orm.$client.prepare<unknown[], { count: number; last: string | null }>(COUNT_STATUS);
  const ofDue = orm.$client.prepare<unknown[], number>(COUNT_DUE).pluck();
  const lastDue = orm.$client.prepare<unknown[], { at: number; id: string }>(LAST_COUNTED_DUE);

  async function countStatus(integration: string, status: ConnectionStatus): Promise<number> {
    let total = 0;
    for (let after = ''; ; ) {
      const { count, last } = await read(() => ofStatus.get(integration, status, after)!);
      total += count;
      if (count < COUNTED_PER_STEP || last === null) return total;
      after = last;
      await nextTurn();
    }
  }

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
    async countLive(integration) {
      let total = 0;
      for (const status of LIVE_STATUSES) total += await countStatus(integration, status);
      return total;
    },
  };
}
