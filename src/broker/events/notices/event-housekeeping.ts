// Background work of the events room: owners are told that grants end, and old events are deleted with their deliveries.
import { setTimeout as pause } from 'node:timers/promises';
import { createPeriodicTask } from '../../../domain/periodic-task.ts';
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
  const failed = (error: unknown) => log.error({ err: error }, 'events: housekeeping failed, will retry');
  const pruning = createPeriodicTask(prune, failed);
  const telling = createPeriodicTask(() => tellReauthDue({ store, access, clock, rest }), failed);

  /** Between two batches; false: stop. */
  async function rest(): Promise<boolean> {
    await pause(EVENT_BATCH_PAUSE_MS);
    return !pruning.isStopped();
  }

  async function prune(): Promise<void> {
    const before = clock.now() - days * DAY_MS;
    while ((await store.pruneEvents(before, BATCH)) === BATCH && (await rest()));
  }

  return {
    start() {
      pruning.start(everyMs ?? EVENT_RETENTION_INTERVAL_MS);
      telling.start(everyMs ?? REAUTH_NOTICE_INTERVAL_MS);
    },
    async stop() {
      await Promise.all([pruning.stop(), telling.stop()]);
    },
  };
}
