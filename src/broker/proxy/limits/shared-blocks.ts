// Blocks that all replicas share: one that is told to wait tells the others through the store, and each reads what is blocked
// once a second while there are calls. Without the store, each replica learns of a limit by its own refusal.
import {
  LIMIT_BUCKET_IDLE_MS,
  LIMIT_PRUNE_INTERVAL_MS,
  LIMIT_SHARE_MIN_MS,
  LIMIT_SHARED_IDLE_MS,
  LIMIT_SHARED_POLL_MS,
  LIMIT_SHARED_STALE_MS,
  LIMIT_STORE_WAIT_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../../ports/index.ts';

export interface SharedBlocks {
  /** A call is about to be made: what is blocked is read from now on. A promise: it is not known yet, and soon is. */
  touch(): Promise<void> | undefined;
  /** Until when (monotonic) another replica has blocked it; 0: it has not. */
  blockedUntil(key: string): number;
  /** Tells the others. In the background: it never rejects. */
  tell(key: string, forMs: number): void;
  /** How many processes share the limits. */
  processes(): number;
  stop(): Promise<void>;
}

/** More are not read: those that are blocked longest come first. */
const MAX_BLOCKS = 10_000;
const PRUNED_AT_ONCE = 1_000;

interface Parts {
  store: Pick<Store, 'blockBucket' | 'blockedBuckets' | 'deleteIdleBuckets' | 'countProcesses'>;
  clock: Pick<Clock, 'monotonic'>;
  log: Pick<Logger, 'warn'>;
  /** After each read. */
  onRead: () => void;
  everyMs?: number | undefined;
}

export function createSharedBlocks({ store, clock, log, onRead, everyMs = LIMIT_SHARED_POLL_MS }: Parts): SharedBlocks {
  let blocks = new Map<string, number>();
  let processes = 1;
  let touchedAt = Number.NEGATIVE_INFINITY;
  let readAt = Number.NEGATIVE_INFINITY;
  let prunedAt = clock.monotonic();
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let isStopped = false;
  let hasFailed = false;
  const telling = new Set<Promise<void>>();

  async function read(): Promise<void> {
    try {
      const [blocked, count] = await Promise.all([store.blockedBuckets(MAX_BLOCKS), store.countProcesses()]);
      const now = clock.monotonic();
      blocks = new Map(blocked.map(({ bucket, forMs }) => [bucket, now + forMs]));
      processes = Math.max(1, count);
      hasFailed = false;
    } catch (error) {
      // What was blocked stays so until it ends.
      if (!hasFailed) log.warn({ err: error }, 'API limits: not shared between replicas while the store fails');
      hasFailed = true;
    }
    readAt = clock.monotonic();
    onRead();
    if (clock.monotonic() - prunedAt >= LIMIT_PRUNE_INTERVAL_MS) await prune();
  }

  async function prune(): Promise<void> {
    prunedAt = clock.monotonic();
    try {
      while (!isStopped && (await store.deleteIdleBuckets(LIMIT_BUCKET_IDLE_MS, PRUNED_AT_ONCE)));
    } catch (error) {
      log.warn({ err: error }, 'API limits: old buckets could not be deleted, will retry');
    }
  }

  function next(): void {
    timer = undefined;
    reading ??= read().finally(() => {
      reading = undefined;
      const isIdle = clock.monotonic() - touchedAt > LIMIT_SHARED_IDLE_MS;
      if (!isStopped && !isIdle) timer = setTimeout(next, everyMs).unref();
    });
  }

  /** Those who wait for the first read do not wait for a store that does not answer. */
  async function firstRead(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const late = setTimeout(resolve, LIMIT_STORE_WAIT_MS);
    await Promise.race([reading, promise]);
    clearTimeout(late);
  }

  return {
    touch() {
      touchedAt = clock.monotonic();
      if (isStopped) return undefined;
      if (!timer) next();
      return touchedAt - readAt > LIMIT_SHARED_STALE_MS ? firstRead() : undefined;
    },
    blockedUntil: (key) => blocks.get(key) ?? 0,
    tell(key, forMs) {
      if (forMs < LIMIT_SHARE_MIN_MS || isStopped) return;
      const told = store.blockBucket(key, forMs).catch((error: unknown) => {
        log.warn({ err: error }, 'API limits: the other replicas could not be told of a limit');
      });
      telling.add(told);
      void told.finally(() => telling.delete(told));
    },
    processes: () => processes,
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      timer = undefined;
      await reading;
      await Promise.all(telling);
    },
  };
}
