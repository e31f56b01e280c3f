// The change feed in PostgreSQL. The table `changes` holds every change; a notification only says that there is something to
// read, and where none arrives, or one was lost, the table is read at intervals.
import { escapeLiteral, type Pool } from 'pg';
import {
  CHANGE_NOTIFY_DELAY_MS,
  CHANGE_NOTIFY_REFRESHES_DELAY_MS,
  CHANGE_POLL_MS,
  CHANGE_POLL_NOTIFIED_MS,
} from '../../domain/time-limits.ts';
import type { ChangeFeed, Store } from '../../ports/index.ts';
import { CHANNEL, startListening } from './change-listener.ts';
import { type ChangeReader, createChangeReader } from './change-reader.ts';
import type { Address } from './database.ts';
import type { Liveness } from './liveness.ts';
import type { OwnChange } from './own-changes.ts';
import type { StatementNames } from './prepared-statements.ts';

export interface PostgresChangeFeed extends Pick<Store, 'subscribe'> {
  /** After a commit with changes: soon, together with other ones, or `now`. */
  notify(when?: 'soon' | 'now'): void;
  /**
   * Before a statement that commits routine refreshes, whose tokens this process has in memory: returns what is to be called
   * after it. Only others hear of them, if there are any.
   */
  refreshing(): (committed: OwnChange[]) => void;
  stop(): Promise<void>;
}

interface Parts extends Pick<Liveness, 'onDown' | 'holder' | 'tellApplied' | 'isAlone'> {
  address: Address;
  pool: Pool;
  names: StatementNames;
  /** Milliseconds of a clock that only goes forward. */
  now: () => number;
}

export function openChangeFeed({ address, pool, names, now, ...liveness }: Parts): PostgresChangeFeed {
  const subscriptions = new Set<ChangeFeed>();
  const readers = new Set<ChangeReader>();
  const { holder, tellApplied: applied, onDown, isAlone } = liveness;
  let timer: NodeJS.Timeout | undefined;
  /** What the notification under way is about: refreshes of this process alone, of which it does not read. */
  let isOfRefreshes = true;
  const notify = `notify ${CHANNEL}`;
  const notifyOthers = `${notify}, ${escapeLiteral(holder)}`;
  const send = () => {
    clearTimeout(timer);
    timer = undefined;
    const statement = isOfRefreshes ? notifyOthers : notify;
    isOfRefreshes = true;
    // Who does not get it reads anyway; a database without notifications refuses each time.
    void pool.query(statement).catch(() => undefined);
  };
  function sendWithin(ms: number): void {
    clearTimeout(timer);
    timer = setTimeout(send, ms);
  }

  return {
    notify(when) {
      const isWaiting = timer !== undefined && !isOfRefreshes;
      isOfRefreshes = false;
      if (when === 'now') send();
      else if (!isWaiting) sendWithin(CHANGE_NOTIFY_DELAY_MS);
    },
    refreshing() {
      const noted = [...readers].map((reader) => reader.own());
      return (committed) => {
        for (const note of noted) note(committed);
        if (timer === undefined && !isAlone()) sendWithin(CHANGE_NOTIFY_REFRESHES_DELAY_MS);
      };
    },
    async subscribe(listener) {
      const reader = await createChangeReader({ pool, names, listener, applied, holder, now });
      readers.add(reader);
      const onNotification = (payload?: string) => {
        if (payload !== holder) reader.read();
      };
      const connection = await startListening(address, pool, onNotification, reader.noteLoss);
      // A connection whose server is gone may never end by itself.
      if (connection) onDown(connection.drop);
      const everyMs = connection ? CHANGE_POLL_NOTIFIED_MS : CHANGE_POLL_MS;
      const interval = setInterval(() => reader.read(), everyMs);
      interval.unref();
      const subscription: ChangeFeed = {
        delivery: connection ? 'pushed' : 'polled',
        everyMs,
        lagMs: () => now() - reader.readAt(),
        async stop() {
          subscriptions.delete(subscription);
          readers.delete(reader);
          clearInterval(interval);
          await connection?.stop();
          await reader.stop();
        },
      };
      subscriptions.add(subscription);
      return subscription;
    },
    async stop() {
      if (timer !== undefined) send();
      await Promise.all([...subscriptions].map((subscription) => subscription.stop()));
    },
  };
}
