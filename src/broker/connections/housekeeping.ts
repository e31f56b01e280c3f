// Background work of the connections room: destroying candidates that no one finished, deleting expired sessions and flows, old
// changes, old unreadable responses, captured calls, hourly counts, registered clients and tombstones, folding counters,
// removing deleted secrets from the disk, and correcting times after the clock was set back. All of it in small portions: a
// transaction of many rows would hold up others.
import { setTimeout as pause } from 'node:timers/promises';
import { createPeriodicTask } from '../../domain/periodic-task.ts';
import {
  CAPTURED_CALL_RETENTION_MS,
  DAY_MS,
  ENDED_SESSION_RETENTION_MS,
  HOURLY_COUNT_RETENTION_MS,
  OUTBOX_POLL_MS,
  REGISTRATION_RETENTION_MS,
  SWEEP_INTERVAL_MS,
  SWEEP_PAUSE_MS,
  TOMBSTONE_PURGE_INTERVAL_MS,
  UNREADABLE_RESPONSE_RETENTION_MS,
  WIPE_INTERVAL_MS,
  WIPE_RETRY_MS,
} from '../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../ports/index.ts';
import type { EndedCandidates } from './connect-sessions/ended-candidates.ts';
import { createSetBackClock } from './set-back-clock.ts';

/** A few milliseconds of the database; SQLite runs nothing else meanwhile. */
const SWEEP_BATCH = 500;

export interface HousekeepingParts {
  store: Pick<
    Store,
    | 'deleteExpired'
    | 'deleteUnreadableResponses'
    | 'deleteCapturedCalls'
    | 'deleteHourlyCounts'
    | 'deleteRegistrations'
    | 'foldConnectionCounts'
    | 'purgeTombstones'
    | 'wipeDeleted'
    | 'correctTimes'
    | 'correctDueTimes'
    | 'correctDeliveries'
    | 'retryFailed'
  >;
  endedCandidates: Pick<EndedCandidates, 'destroyAll'>;
  /** Tombstones are kept for so many days; null: for ever. */
  tombstoneDays: number | null;
  clock: Clock;
  log: Logger;
  /** How often it looks whether there is something to do, in ms. */
  everyMs?: number | undefined;
}

/** Starts at once. `stop` is fulfilled when the current round is done. A round that fails is retried in the next. */
export function startHousekeeping({
  store,
  endedCandidates,
  tombstoneDays,
  clock,
  log,
  everyMs = OUTBOX_POLL_MS,
}: HousekeepingParts): {
  stop(): Promise<void>;
} {
  const rounds = createPeriodicTask(round, (error) =>
    log.error({ err: error }, 'housekeeping: round failed, will retry'),
  );
  const { isStopped } = rounds;
  let deletedAt = Number.NEGATIVE_INFINITY;
  let purgedAt = Number.NEGATIVE_INFINITY;
  let wipeAt = clock.monotonic() + WIPE_INTERVAL_MS;

  const setBackClock = createSetBackClock({ store, clock, log, pause, isStopped });

  async function wipe(): Promise<void> {
    if (clock.monotonic() < wipeAt) return;
    const done = await store.wipeDeleted();
    wipeAt = clock.monotonic() + (done ? WIPE_INTERVAL_MS : WIPE_RETRY_MS);
  }

  /** Portion by portion, until one says that there is no more. */
  async function all(portion: () => Promise<boolean>): Promise<void> {
    while (!isStopped() && (await portion())) await pause(SWEEP_PAUSE_MS);
  }

  async function purgeTombstones(): Promise<void> {
    const startedAt = clock.monotonic();
    if (tombstoneDays === null || startedAt - purgedAt < TOMBSTONE_PURGE_INTERVAL_MS) return;
    const before = clock.now() - tombstoneDays * DAY_MS;
    let total = 0;
    let after: string | undefined;
    await all(async () => {
      const { purged, next } = await store.purgeTombstones(before, { limit: SWEEP_BATCH, after });
      total += purged;
      after = next ?? undefined;
      return next !== null;
    });
    if (isStopped()) return;
    purgedAt = startedAt;
    if (total > 0) log.info({ connections: total, days: tombstoneDays }, 'housekeeping: old tombstones deleted');
  }

  async function round(): Promise<void> {
    await setBackClock.correct();
    await endedCandidates.destroyAll();
    await wipe();
    const startedAt = clock.monotonic();
    if (startedAt - deletedAt < SWEEP_INTERVAL_MS) return;
    const now = clock.now();
    await all(() => store.deleteExpired(now - ENDED_SESSION_RETENTION_MS, SWEEP_BATCH));
    await all(() => store.deleteUnreadableResponses(now - UNREADABLE_RESPONSE_RETENTION_MS, SWEEP_BATCH));
    await all(() => store.deleteCapturedCalls(now - CAPTURED_CALL_RETENTION_MS, SWEEP_BATCH));
    await all(() => store.deleteHourlyCounts(now - HOURLY_COUNT_RETENTION_MS, SWEEP_BATCH));
    await all(() => store.deleteRegistrations(now - REGISTRATION_RETENTION_MS, SWEEP_BATCH));
    await purgeTombstones();
    await all(store.foldConnectionCounts);
    deletedAt = startedAt;
  }

  rounds.start(everyMs);
  return rounds;
}
