// The tokens of one rate, taken from a bucket in the store that all replicas share, as many at a time as are used. While the
// store does not answer, this process counts alone, within its share of the rate: calls go on.
import { LIMIT_PREFETCH_MS, LIMIT_STORE_RETRY_MS, LIMIT_STORE_WAIT_MS } from '../../../domain/time-limits.ts';
import { type BucketLimits, type LocalBucket, takeLocally } from '../../../domain/token-bucket.ts';
import type { Clock, Store } from '../../../ports/index.ts';

export interface RateTokens {
  /** Takes one that is at hand. */
  take(isBackground: boolean): boolean;
  /** Gets more for so many who wait. Milliseconds until there may be another; 0: there are some. Never rejects. */
  refill(wanted: number, isBackground: boolean): Promise<number>;
  readonly rate: TokenRate;
}

export interface TokenRate {
  requests: number;
  /** Seconds. */
  window: number;
}

/** The part of a burst that background calls leave to others. */
const RESERVED = 1 / 4;
/** The part of a burst that one process takes at a time, at most. */
const PREFETCHED = 1 / 50;

interface Parts {
  key: string;
  rate: TokenRate;
  store: Pick<Store, 'takeFromBucket'>;
  clock: Pick<Clock, 'monotonic'>;
  /** How many processes share the rate, as far as it is known. */
  processes: () => number;
  /** How long a call waits for the store, in ms. */
  storeWaitMs?: number | undefined;
}

export function createRateTokens(parts: Parts): RateTokens {
  const { key, rate, store, clock, processes, storeWaitMs = LIMIT_STORE_WAIT_MS } = parts;
  /** For all, and for those only that are not in the background. */
  const atHand = { all: 0, urgent: 0 };
  let expireAt = 0;
  let prefetch = 1;
  /** Until then, the bucket has none: for those in the background, and for others. */
  const emptyUntil = { background: 0, urgent: 0 };
  let asking: Promise<void> | undefined;
  let local: LocalBucket;
  let storeAwayUntil = Number.NEGATIVE_INFINITY;

  function limitsFor(isBackground: boolean): BucketLimits {
    const { requests, window } = rate;
    const reserve = isBackground ? Math.floor(requests * RESERVED) : 0;
    return { perSecond: requests / window, burst: requests, reserve };
  }

  async function ask(wanted: number, isBackground: boolean): Promise<void> {
    const limits = limitsFor(isBackground);
    const count = Math.min(Math.max(wanted, prefetch), limits.burst);
    const { taken, inMs } = await takeFrom(count, limits);
    const now = clock.monotonic();
    if (isBackground) atHand.all += taken;
    else atHand.urgent += taken;
    expireAt = now + 2 * LIMIT_PREFETCH_MS;
    prefetch = Math.min(2 * prefetch, Math.max(1, Math.floor(limits.burst * PREFETCHED)));
    if (taken < count) emptyUntil[isBackground ? 'background' : 'urgent'] = now + inMs;
  }

  async function takeFrom(count: number, limits: BucketLimits): Promise<{ taken: number; inMs: number }> {
    const now = clock.monotonic();
    const alone = takeLocally(local, count, shareOf(limits, processes()), now);
    local = alone.bucket;
    if (now < storeAwayUntil) return alone;
    const given = await inTime(store.takeFromBucket(key, count, limits), storeWaitMs);
    if (given) return given;
    storeAwayUntil = clock.monotonic() + LIMIT_STORE_RETRY_MS;
    return alone;
  }

  return {
    rate,
    take(isBackground) {
      if (atHand.all + atHand.urgent > 0 && clock.monotonic() > expireAt) {
        atHand.all = 0;
        atHand.urgent = 0;
        prefetch = Math.ceil(prefetch / 4);
      }
      const from = !isBackground && atHand.urgent > 0 ? 'urgent' : 'all';
      if (atHand[from] === 0) return false;
      atHand[from]--;
      return true;
    },
    async refill(wanted, isBackground) {
      const empty = () => emptyUntil[isBackground ? 'background' : 'urgent'] - clock.monotonic();
      while (asking) await asking;
      const has = () => atHand.all + (isBackground ? 0 : atHand.urgent) > 0;
      if (has()) return 0;
      if (empty() > 0) return empty();
      asking = ask(wanted, isBackground).finally(() => {
        asking = undefined;
      });
      await asking;
      return has() ? 0 : Math.max(1, empty());
    },
  };
}

const shareOf = ({ perSecond, burst, reserve }: BucketLimits, processes: number): BucketLimits => ({
  perSecond: perSecond / processes,
  burst: Math.max(1, Math.floor(burst / processes)),
  reserve: Math.floor(reserve / processes),
});

/** Undefined: the store failed, or took too long. */
async function inTime<T>(answer: Promise<T>, waitMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), waitMs);
  });
  try {
    return await Promise.race([answer.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
