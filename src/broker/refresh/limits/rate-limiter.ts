// The rate limiter of refreshes: how many requests at once, and how many a second, the token endpoint of an integration gets
// from us. Concurrency is limited for each process; where tenants have token endpoints of their own, one of them has at most half of
// it, so that one that hangs does not stop the others. The rate is limited for all processes together: its tokens are taken
// from a bucket in the store, as many at a time as can be used at once. It is outbound, per integration; the limits of callers
// are in src/http/middleware/rate-limits.ts.
import type { RefreshQueueView } from '../../../domain/limits-state.ts';
import {
  RATE_LIMIT_PREFETCH_MS,
  RATE_LIMIT_READ_PORTION_MS,
  RATE_LIMIT_TOKEN_MS,
  REFRESH_BACKLOG_MS,
} from '../../../domain/time-limits.ts';
import type { BucketLimits } from '../../../domain/token-bucket.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import { createWorkQueue, type Priority, type WorkQueue } from './work-queue.ts';

export interface RefreshLimits {
  /** Requests at once, for each integration, of this process. */
  concurrency: number;
  /** Requests a second, for each integration, of all processes; a burst of `concurrency` is allowed. */
  perSecond: number;
}

/** Whose request it is, and where it goes. */
export interface RequestPlace {
  integration: string;
  /** The token endpoint. */
  endpoint: string;
  /** Whether other connections of the integration may have other ones; if left out, that shows when one is seen. */
  isOneOfSeveral?: boolean;
  key: string;
}

export interface RateLimiter {
  /**
   * Queues the work and runs it when the limits permit. `key` names it for `prioritize`. Rejects with the error of the work,
   * with `RateLimiterStopped`, or with `StoreError` when the store cannot give tokens: then the work did not begin. Work that
   * calls `isSlow` gives its place to other work while it goes on.
   */
  run<T>(place: RequestPlace, priority: Priority, work: (isSlow: () => void) => Promise<T>): Promise<T>;
  /** A reader waits for this background work now: it moves to the `read` queue. No effect on work that has begun. */
  prioritize(integration: string, key: string): void;
  /**
   * How much more background work to queue for an integration now: enough to keep it busy until more is looked for.
   * `isRefill`: none while half of what may wait does, since each look into the store passes it.
   */
  capacity(integration: string, isRefill?: boolean): number;
  /** No more work begins: what is queued rejects with `RateLimiterStopped`, what has begun continues. */
  stop(): void;
  /** How much work has begun and not ended. */
  inFlight(): number;
  /** Those of integrations where something has begun or waits. */
  views(): RefreshQueueView[];
}

/** The broker is stopping, and the work did not begin. */
export class RateLimiterStopped extends Error {
  override name = 'RateLimiterStopped';
}

/** Slow work that gives its place to other work, for each place that there is. More of it keeps its place. */
const SLOW_PER_PLACE = 3;

/** Background work that may wait, however low the rate is. */
const MIN_BACKLOG = 4;

/** Work that waits behind others at its endpoint, so that those at other endpoints are looked for. */
const MAX_HELD_BACK = 1_000;

/** The part of a burst that background work leaves to readers, of this process and others. */
const RESERVED_FOR_READS = 1 / 4;

/** Of an integration with several endpoints, the part of its places that one of them may have. */
const SHARE_OF_ENDPOINT = 1 / 2;

/** Requests that have begun and not ended. */
interface Open {
  open: number;
  /** Of these, slow. */
  slow: number;
}

/** The work of one integration. */
interface Queue extends Open {
  integration: string;
  waiting: WorkQueue;
  /** Those with open requests. */
  endpoints: Map<string, Open>;
  /** The first endpoint; null: there have been others. */
  onlyEndpoint: string | null;
  /** Rate-limit tokens that were taken from the store and are not used yet. */
  tokens: number;
  tokensExpireAt: number;
  /** How many tokens are taken at a time: doubled while all are used in time, halved when some expire. */
  prefetch: number;
  isTaking: boolean;
  /** Until then the bucket has too few: for background work, or for reads too. */
  timer: NodeJS.Timeout | undefined;
  isEmptyForReads: boolean;
}

interface Parts extends RefreshLimits {
  store: Pick<Store, 'takeFromBucket'>;
  clock: Pick<Clock, 'monotonic'>;
}

export function createRateLimiter({ store, clock, concurrency, perSecond }: Parts): RateLimiter {
  const queues = new Map<string, Queue>();
  let isStopped = false;
  const inBacklogTime = Math.ceil((perSecond * REFRESH_BACKLOG_MS) / 1_000);
  const maxBacklog = Math.min(concurrency, Math.max(MIN_BACKLOG, inBacklogTime));
  const inPrefetchTime = Math.floor((perSecond * RATE_LIMIT_PREFETCH_MS) / 1_000);
  const maxPrefetch = Math.max(1, Math.min(concurrency, inPrefetchTime));
  const readLimits: BucketLimits = { perSecond, burst: concurrency, reserve: 0 };
  const backgroundLimits: BucketLimits = { ...readLimits, reserve: Math.floor(concurrency * RESERVED_FOR_READS) };

  const shareOfEndpoint = Math.max(1, Math.floor(concurrency * SHARE_OF_ENDPOINT));

  const left = ({ open, slow }: Open, limit: number): number => limit - open + Math.min(slow, SLOW_PER_PLACE * limit);
  const places = (queue: Queue): number => left(queue, concurrency);
  const mayBeginAt = (queue: Queue) => (endpoint: string) => {
    const open = queue.onlyEndpoint === null ? queue.endpoints.get(endpoint) : undefined;
    return open === undefined || left(open, shareOfEndpoint) > 0;
  };

  function openAt(queue: Queue, endpoint: string): Open {
    const known = queue.endpoints.get(endpoint);
    if (known) return known;
    const open = { open: 0, slow: 0 };
    queue.endpoints.set(endpoint, open);
    return open;
  }

  function queueOf({ integration, endpoint, isOneOfSeveral = false }: RequestPlace): Queue {
    let queue = queues.get(integration);
    if (!queue) {
      queue = {
        integration,
        open: 0,
        slow: 0,
        waiting: createWorkQueue(),
        endpoints: new Map(),
        onlyEndpoint: endpoint,
        tokens: 0,
        tokensExpireAt: 0,
        prefetch: 1,
        isTaking: false,
        timer: undefined,
        isEmptyForReads: false,
      };
      queues.set(integration, queue);
    }
    if (isOneOfSeveral || queue.onlyEndpoint !== endpoint) queue.onlyEndpoint = null;
    return queue;
  }

  const waitingIn = ({ waiting }: Queue): number => waiting.size('read') + waiting.size('background');

  /** What waits for a place or a token, and not for others at its endpoint, which has its share. */
  function readyIn(queue: Queue, priority: Priority): number {
    let ready = queue.waiting.size(priority);
    if (queue.onlyEndpoint !== null) return ready;
    const mayBegin = mayBeginAt(queue);
    for (const endpoint of queue.endpoints.keys())
      if (!mayBegin(endpoint)) ready -= queue.waiting.sizeAt(endpoint, priority);
    return ready;
  }

  function advance(queue: Queue): void {
    if (queue.tokens > 0 && clock.monotonic() > queue.tokensExpireAt) {
      queue.tokens = 0;
      // `take` doubles it: half as many as the last time.
      queue.prefetch = Math.ceil(queue.prefetch / 4);
    }
    while (places(queue) > 0 && queue.tokens > 0) {
      const next = queue.waiting.next(mayBeginAt(queue));
      if (!next) return;
      queue.open++;
      openAt(queue, next.endpoint).open++;
      queue.tokens--;
      next.begin();
    }
    if (queue.isTaking || places(queue) <= 0) return;
    if (readyIn(queue, 'read') + readyIn(queue, 'background') > 0) void take(queue);
  }

  /** Takes rate-limit tokens from the store. If it fails, all queued work fails: nothing runs without a token. */
  async function take(queue: Queue): Promise<void> {
    const forRead = readyIn(queue, 'read') > 0;
    if (queue.timer && (!forRead || queue.isEmptyForReads)) return;
    clearTimeout(queue.timer);
    queue.timer = undefined;
    const usable = Math.min(readyIn(queue, forRead ? 'read' : 'background'), places(queue));
    queue.isTaking = true;
    try {
      const limits = forRead ? readLimits : backgroundLimits;
      const { taken, inMs } = await store.takeFromBucket(queue.integration, Math.max(usable, queue.prefetch), limits);
      queue.tokens = taken;
      queue.prefetch = Math.min(2 * queue.prefetch, maxPrefetch);
      queue.tokensExpireAt = clock.monotonic() + RATE_LIMIT_TOKEN_MS;
      const missing = usable - taken;
      queue.isEmptyForReads = forRead && missing > 0;
      const portionMs = forRead ? RATE_LIMIT_READ_PORTION_MS : RATE_LIMIT_PREFETCH_MS;
      const filledMs = Math.min(portionMs, (missing / perSecond) * 1_000);
      if (missing > 0 && !isStopped) queue.timer = setTimeout(retake, Math.max(inMs, filledMs), queue);
    } catch (error) {
      failAll(queue, error);
    }
    queue.isTaking = false;
    advance(queue);
  }

  function retake(queue: Queue): void {
    queue.timer = undefined;
    advance(queue);
  }

  function failAll(queue: Queue, error: unknown): void {
    for (const queued of queue.waiting.removeAll()) queued.fail(error);
  }

  return {
    run<T>(place: RequestPlace, priority: Priority, work: (isSlow: () => void) => Promise<T>): Promise<T> {
      const queue = queueOf(place);
      const { key, endpoint } = place;
      let slow = 0;
      const isSlow = () => {
        if (slow > 0) return;
        slow = 1;
        queue.slow++;
        openAt(queue, endpoint).slow++;
        advance(queue);
      };
      return new Promise<T>((resolve, reject) => {
        const ended = () => {
          const open = openAt(queue, endpoint);
          for (const one of [queue, open]) {
            one.open--;
            one.slow -= slow;
          }
          if (open.open === 0) queue.endpoints.delete(endpoint);
          advance(queue);
        };
        const begin = () =>
          void work(isSlow).then(
            (result) => {
              resolve(result);
              ended();
            },
            (error) => {
              reject(error);
              ended();
            },
          );
        if (isStopped) return reject(new RateLimiterStopped('the broker is stopping'));
        queue.waiting.push(priority, { key, endpoint, begin, fail: reject });
        advance(queue);
      });
    },

    prioritize(integration, key) {
      const queue = queues.get(integration);
      if (!queue) return;
      queue.waiting.prioritize(key);
      advance(queue);
    },

    capacity(integration, isRefill = false) {
      const queue = queues.get(integration);
      if (!queue) return maxBacklog;
      const ready = readyIn(queue, 'read') + readyIn(queue, 'background');
      if (isRefill && ready > maxBacklog / 2) return 0;
      const working = concurrency - places(queue);
      const mayBecomeReady = Math.min(maxBacklog, 2 * concurrency - working) - ready;
      const heldBack = waitingIn(queue) - ready;
      return Math.max(0, Math.min(mayBecomeReady, MAX_HELD_BACK - heldBack));
    },

    stop() {
      isStopped = true;
      for (const queue of queues.values()) {
        clearTimeout(queue.timer);
        failAll(queue, new RateLimiterStopped('the broker is stopping'));
      }
    },

    inFlight: () => [...queues.values()].reduce((sum, queue) => sum + queue.open, 0),
    views: () =>
      [...queues.values()]
        .filter((queue) => queue.open + waitingIn(queue) > 0)
        .map(({ integration, open, slow, waiting }) => ({
          ...{ integration, slow },
          inFlight: open,
          waitingReads: waiting.size('read'),
          waitingBackground: waiting.size('background'),
          places: concurrency,
        })),
  };
}
