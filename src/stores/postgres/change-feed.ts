// The change feed in PostgreSQL. The table `changes` holds every change; a notification only says that there is something to
// read, and where none arrives, or one was lost, the table is read at intervals.
import type { Pool } from 'pg';
import { CHANGE_NOTIFY_DELAY_MS, CHANGE_POLL_MS, CHANGE_POLL_NOTIFIED_MS } from '../../domain/time-limits.ts';
import type { ChangeFeed, Store } from '../../ports/index.ts';
import { CHANNEL, startListening } from './change-listener.ts';
import { createChangeReader } from './change-reader.ts';
import type { Address } from './database.ts';
import type { Liveness } from './liveness.ts';

export interface PostgresChangeFeed extends Pick<Store, 'subscribe'> {
  /** After a commit with changes: soon, together with other ones, or `now`. */
  notify(when?: 'soon' | 'now'): void;
  stop(): Promise<void>;
}

interface Parts extends Pick<Liveness, 'onDown' | 'holder' | 'tellApplied'> {
  address: Address;
  pool: Pool;
  /** Milliseconds of a clock that only goes forward. */
  now: () => number;
}

export function openChangeFeed({ address, pool, now, ...liveness }: Parts): PostgresChangeFeed {
  const subscriptions = new Set<ChangeFeed>();
  let timer: NodeJS.Timeout | undefined;
  const send = () => {
    clearTimeout(timer);
    timer = undefined;
    // Who does not get it reads anyway; a database without notifications refuses each time.
    void pool.query(`notify ${CHANNEL}`).catch(() => undefined);
  };

  return {
    notify(when) {
      if (when === 'now') send();
      else timer ??= setTimeout(send, CHANGE_NOTIFY_DELAY_MS);
    },
    async subscribe(listener) {
      const { holder, tellApplied: applied, onDown } = liveness;
      const reader = await createChangeReader({ pool, listener, applied, holder, now });
      const connection = await startListening(address, pool, reader.read, reader.noteLoss);
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
