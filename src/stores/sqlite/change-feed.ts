// The change feed in SQLite, which sends no notifications, but says at next to no cost whether another connection has
// written: only then the table `changes` is read on. Its numbers are in commit order, so that none is missed.
import type { Database } from 'better-sqlite3';
import { CHANGE_FEED_STALE_MS, CHANGE_POLL_MS } from '../../domain/time-limits.ts';
import type { ChangeFeed, Store, StoreChange } from '../../ports/index.ts';
import { type ChangeRow, changeFrom } from '../shared/changes.ts';

export interface SqliteChangeFeed extends Pick<Store, 'subscribe'> {
  /** Inside an operation. */
  append(changes: StoreChange[]): void;
  stop(): void;
}

interface Row extends ChangeRow {
  seq: number;
}

/** `now`: milliseconds of a clock that only goes forward. */
export function openChangeFeed(client: Database, now: () => number = () => performance.now()): SqliteChangeFeed {
  const insert = client.prepare('insert into changes (kind, id, generation) values (@kind, @id, @generation)');
  const since = client.prepare<[number], Row>(
    'select seq, kind, id, generation from changes where seq > ? order by seq',
  );
  const newest = client.prepare<[], number | null>('select max(seq) from changes').pluck();
  const dataVersion = client.prepare<[], number>('pragma data_version').pluck();
  const subscriptions = new Set<ChangeFeed>();
  /** Counts the changes of this connection, which `data_version` leaves out. */
  let ours = 0;

  return {
    append(changes) {
      for (const change of changes) insert.run({ id: null, generation: null, ...change });
      ours += changes.length;
    },

    async subscribe(listener) {
      let seen = { version: dataVersion.get(), ours };
      let position = newest.get() ?? 0;
      let readAt = now();
      function poll(): void {
        const isLate = now() - readAt > CHANGE_FEED_STALE_MS;
        const current = { version: dataVersion.get(), ours };
        const isNew = current.version !== seen.version || current.ours !== seen.ours;
        const rows = isNew || isLate ? since.all(position) : [];
        seen = current;
        readAt = now();
        position = rows.at(-1)?.seq ?? position;
        if (isLate) listener([{ kind: 'everything' }]);
        else if (rows.length > 0) listener(rows.map(changeFrom));
      }
      const timer = setInterval(() => {
        try {
          poll();
        } catch {
          // Locked or damaged: the next read or write reports it, and the next poll tries again.
        }
      }, CHANGE_POLL_MS);
      timer.unref();
      const subscription: ChangeFeed = {
        delivery: 'polled',
        everyMs: CHANGE_POLL_MS,
        lagMs: () => now() - readAt,
        async stop() {
          clearInterval(timer);
          subscriptions.delete(subscription);
        },
      };
      subscriptions.add(subscription);
      return subscription;
    },

    stop() {
      for (const subscription of [...subscriptions]) void subscription.stop();
    },
  };
}
