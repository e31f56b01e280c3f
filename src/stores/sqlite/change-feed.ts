// News of what other processes may remember wrongly. SQLite notifies nobody, but tells for next to nothing whether somebody
// else has written; then the table `changes` is read on. Its numbers are in the order of the commits, so that none is missed.
import type { Database } from 'better-sqlite3';
import { CHANGE_FEED_STALE_MS, CHANGE_POLL_MS } from '../../domain/time-limits.ts';
import type { Change, ChangeFeed, ChangeKind, Store, StoreChange } from '../../ports/index.ts';

export interface StoreChangeFeed extends Pick<Store, 'subscribe'> {
  /** Inside a sentence. */
  tell(changes: StoreChange[]): void;
  stop(): void;
}

interface Row {
  seq: number;
  kind: ChangeKind;
  id: string | null;
  generation: number | null;
}

/** `now`: milliseconds of a clock that only goes forward. */
export function openChangeFeed(client: Database, now: () => number = () => performance.now()): StoreChangeFeed {
  const insert = client.prepare('insert into changes (kind, id, generation) values (@kind, @id, @generation)');
  const since = client.prepare<[number], Row>(
    'select seq, kind, id, generation from changes where seq > ? order by seq',
  );
  const newest = client.prepare<[], number | null>('select max(seq) from changes').pluck();
  const version = client.prepare<[], number>('pragma data_version').pluck();
  const watches = new Set<ChangeFeed>();
  /** Counts what this process has told itself, which the database's own count leaves out. */
  let ours = 0;

  return {
    tell(changes) {
      for (const change of changes) insert.run({ id: null, generation: null, ...change });
      ours += changes.length;
    },

    async subscribe(told) {
      let seen = { version: version.get(), ours };
      let mark = newest.get() ?? 0;
      let lookedAt = now();
      function look(): void {
        const isLost = now() - lookedAt > CHANGE_FEED_STALE_MS;
        const current = { version: version.get(), ours };
        const isNew = current.version !== seen.version || current.ours !== seen.ours;
        const rows = isNew || isLost ? since.all(mark) : [];
        seen = current;
        lookedAt = now();
        mark = rows.at(-1)?.seq ?? mark;
        if (isLost) told([{ kind: 'everything' }]);
        else if (rows.length > 0) told(rows.map(changeOf));
      }
      const timer = setInterval(() => {
        try {
          look();
        } catch {
          // Locked or damaged just now: whoever writes or reads is told so.
        }
      }, CHANGE_POLL_MS);
      timer.unref();
      const watch: ChangeFeed = {
        delivery: 'polled',
        everyMs: CHANGE_POLL_MS,
        lagMs: () => now() - lookedAt,
        async stop() {
          clearInterval(timer);
          watches.delete(watch);
        },
      };
      watches.add(watch);
      return watch;
    },

    stop() {
      for (const watch of [...watches]) void watch.stop();
    },
  };
}

function changeOf({ kind, id, generation }: Row): Change {
  if (kind === 'connection') return { kind, id: id!, generation: generation! };
  return kind === 'integration' ? { kind, id: id! } : { kind };
}
