// Background work of the events room: owners are told that grants end, and old events are deleted with their deliveries.
import { setTimeout as pause } from 'node:timers/promises';
import {
  DAY_MS,
  EVENT_BATCH_PAUSE_MS,
  EVENT_RETENTION_INTERVAL_MS,
  REAUTH_NOTICE_INTERVAL_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, EventStore, Logger } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import { tellReauthDue } from './reauth-notices.ts';

/** Events; each may have a delivery for each endpoint. */
const BATCH = 200;

export interface EventHousekeeping {
  /** Starts at once. A round that fails is retried in the next. */
  start(): void;
  /** Fulfilled when the current batch is done. */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<EventStore, 'endingConnections' | 'putReauthNotice' | 'pruneEvents'>;
  access: Pick<Access, 'recordSystem'>;
  /** How long events are kept. */
  days: number;
  clock: Clock;
  log: Logger;
  /** How often each is done, in ms. */
  everyMs?: number | undefined;
}

export function createEventHousekeeping({ store, access, days, clock, log, everyMs }: Parts): EventHousekeeping {
  const stopped = new AbortController();
  const running: Promise<void>[] = [];
  const wait = (ms: number) =>
    pause(ms, undefined, { signal: stopped.signal, ref: false }).then(
      () => true,
      () => false,
    );
  const rest = () => wait(EVENT_BATCH_PAUSE_MS);

  async function prune(): Promise<void> {
    const before = clock.now() - days * DAY_MS;
    while ((await store.pruneEvents(before, BATCH)) === BATCH && (await rest()));
  }

  async function repeat(round: () => Promise<void>, intervalMs: number): Promise<void> {
    do {
      await round().catch((error: unknown) => log.error({ err: error }, 'events: housekeeping failed, will retry'));
    } while (await wait(everyMs ?? intervalMs));
  }

  return {
    start() {
      running.push(
        repeat(prune, EVENT_RETENTION_INTERVAL_MS),
        repeat(() => tellReauthDue({ store, access, clock, rest }), REAUTH_NOTICE_INTERVAL_MS),
      );
    },
    async stop() {
      stopped.abort();
      await Promise.all(running);
    },
  };
}
