// The change feed in SQLite, which sends no notifications, but says at next to no cost whether another connection has
// written: only then the table `changes` is read on. Its numbers are in commit order, so that none is missed.
import type { Database } from 'better-sqlite3';
import { CHANGE_FEED_STALE_MS, SQLITE_CHANGE_POLL_MS, SQLITE_UNANSWERED_CHANGES_MS } from '../../domain/time-limits.ts';
import type { Change, ChangeFeed, Store, StoreChange } from '../../ports/index.ts';
import { type ChangeRow, changeFrom } from '../shared/changes.ts';
import type { Liveness } from './liveness.ts';

export interface SqliteChangeFeed extends Pick<Store, 'subscribe'> {
  /** Inside an operation. `isKnown`: this process has in memory what they bring, so only others need to read them. */
  append(changes: StoreChange[], isKnown?: boolean): void;
  /** Inside an operation: the number of a barrier, up to which other processes then tell that they have applied all. */
  addBarrier(): number;
  /**
   * Who made the changes so far has been answered. Before that they are not read here: who refreshed a token has it in memory then,
   * and a change that was reported earlier would keep it from getting there.
   */
  answered(): void;
  stop(): void;
}

/** The kind of a row that reports no change: the process that made it waits until the others have read up to it. */
const BARRIER = 'barrier';

interface Row extends Omit<ChangeRow, 'kind'> {
  seq: number;
  kind: ChangeRow['kind'] | typeof BARRIER;
}

/** `now`: milliseconds of a clock that only goes forward. */
export function openChangeFeed(
  client: Database,
  { holder, tellApplied }: Pick<Liveness, 'holder' | 'tellApplied'>,
  now: () => number = () => performance.now(),
): SqliteChangeFeed {
  const insert = client.prepare('insert into changes (kind, id, generation) values (?, ?, ?)');
  const since = client.prepare<[number, number], Row>(
    'select seq, kind, id, generation from changes where seq > ? and seq < ? order by seq',
  );
  const newest = client.prepare<[], number | null>('select max(seq) from changes').pluck();
  const dataVersion = client.prepare<[], number>('pragma data_version').pluck();
  const subscriptions = new Set<ChangeFeed>();
  /** Count the changes of this connection, which `data_version` leaves out. */
  let ours = 0;
  let known = 0;
  /** The first change of this process whose writer has not been answered, and since when. */
  let unanswered: { seq: number; at: number } | undefined;
  /** What reads on for those of whom a poll has left some changes. */
  const readRest = new Set<() => void>();
  /** What is read now, and everything before it. */
  const readable = () =>
    unanswered && now() - unanswered.at < SQLITE_UNANSWERED_CHANGES_MS ? unanswered.seq : Number.MAX_SAFE_INTEGER;

  return {
    append(changes, isKnown = false) {
      for (const change of changes) {
        const id = 'id' in change ? change.id : null;
        const generation = 'generation' in change ? change.generation : null;
        const { lastInsertRowid } = insert.run(change.kind, id, generation);
        unanswered ??= { seq: Number(lastInsertRowid), at: now() };
      }
      if (isKnown) known += changes.length;
      else ours += changes.length;
    },

    answered() {
      unanswered = undefined;
      // When they have gone on.
      if (readRest.size > 0) setImmediate(() => [...readRest].forEach((read) => void read()));
    },

    addBarrier: () => Number(insert.run(BARRIER, holder, null).lastInsertRowid),

    async subscribe(listener) {
      let seen = { version: dataVersion.get(), ours, known };
      let position = newest.get() ?? 0;
      let readAt = now();
      /** Fulfilled when everything that was reported is applied. */
      let applying: Promise<unknown> = Promise.resolve();
      let isStopped = false;
      tellApplied(position);
      function report(changes: Change[]): void {
        applying = Promise.all([applying, listener(changes)]);
        applying.catch(() => undefined);
      }
      function acknowledge(seq: number): void {
        void applying.then(() => isStopped || tellApplied(seq)).catch(() => undefined);
      }
      function poll(): void {
        const isLate = now() - readAt > CHANGE_FEED_STALE_MS;
        // Before it is asked whether others have written: then all up to here is known, if they have not.
        const last = known === seen.known ? null : newest.get();
        const current = { version: dataVersion.get(), ours, known };
        const isNew = readRest.has(pollSafely) || current.version !== seen.version || current.ours !== seen.ours;
        const until = readable();
        const rows = isNew || isLate ? since.all(position, until) : [];
        if (isNew && until !== Number.MAX_SAFE_INTEGER) readRest.add(pollSafely);
        else readRest.delete(pollSafely);
        seen = current;
        readAt = now();
        position = rows.at(-1)?.seq ?? (isNew ? position : (last ?? position));
        const changes = rows.flatMap(({ kind, ...row }) => (kind === BARRIER ? [] : [changeFrom({ ...row, kind })]));
        if (isLate) report([{ kind: 'everything' }]);
        else if (changes.length > 0) report(changes);
        if (isLate || rows.some(({ kind, id }) => kind === BARRIER && id !== holder)) acknowledge(position);
      }
      function pollSafely(): void {
        try {
          if (!isStopped) poll();
        } catch {
          // Locked or damaged: the next read or write reports it, and the next poll tries again.
        }
      }
      const timer = setInterval(pollSafely, SQLITE_CHANGE_POLL_MS);
      timer.unref();
      const subscription: ChangeFeed = {
        delivery: 'polled',
        everyMs: SQLITE_CHANGE_POLL_MS,
        lagMs: () => now() - readAt,
        async stop() {
          isStopped = true;
          readRest.delete(pollSafely);
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
