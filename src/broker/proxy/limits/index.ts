// The limits of APIs: each call takes its place in the buckets that it counts against, waits for it as long as its caller
// asks for, and its answer tells them what remains.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { type Refusal, refuse, type UpstreamLimitScope } from '../../../domain/errors.ts';
import type { LimitReading } from '../../../domain/limit-reading.ts';
import type { LimitsMet, LimitView } from '../../../domain/limits-state.ts';
import type { Clock, Logger, Store, Telemetry } from '../../../ports/index.ts';
import { type Begun, type Bucket, createBucket, type Limited, type Waiter } from './bucket.ts';
import { type BucketName, bucketName, type LimitPlace, rateName } from './bucket-names.ts';
import { createRateTokens, type RateTokens } from './rate-tokens.ts';
import { createSharedBlocks } from './shared-blocks.ts';

export type { LimitPlace } from './bucket-names.ts';
export { blockedUntil } from './stored-blocks.ts';

export interface AdmitOptions {
  /** How long the caller waits, in ms; 0: not at all. */
  maxWaitMs: number;
  /** It leaves a part of each limit to others, and goes after them. */
  isBackground: boolean;
  /** The caller has hung up: it waits no more. */
  signal?: AbortSignal | undefined;
}

/** Permission to send one request. */
export interface LimitPermit {
  /** What the answer says, as soon as that is known. */
  learn(reading: LimitReading): void;
  /** Whose calls the limit counts that such an answer has met. */
  scopeOf(reading: LimitReading): UpstreamLimitScope;
  /** The answer's body has ended, or there was none. Its place is free. The first call counts. */
  release(): void;
}

export interface UpstreamLimits {
  /**
   * A permit as soon as a request may be sent, or a refusal with `upstream_rate_limited`: at once where it is known that the
   * caller would wait in vain, and after `maxWaitMs` at the latest. Synchronous where it may be sent now. Never rejects: while
   * the store is away, this process counts alone.
   */
  admit(place: LimitPlace, options: AdmitOptions): LimitPermit | Refusal | Promise<LimitPermit | Refusal>;
  /** For metrics: how many calls wait, by integration. */
  waiting(): { integration: string; count: number }[];
  /** Those that are in use or known, up to `limit`: what is blocked and waited for first. */
  views(limit: number): LimitView[];
  /** By integration. */
  met(): LimitsMet[];
  /** At shutdown: those who wait are refused, and no one waits from now on. */
  stopWaiting(): void;
  stop(): Promise<void>;
}

const MAX_BUCKETS = 50_000;
/** Integrations whose limits were met. */
const MAX_MET = 1_000;

export interface UpstreamLimitsParts {
  store: Pick<Store, 'takeFromBucket' | 'blockBucket' | 'blockedBuckets' | 'deleteIdleBuckets' | 'countProcesses'>;
  telemetry: Pick<Telemetry, 'upstreamLimited'>;
  clock: Pick<Clock, 'monotonic'>;
  log: Pick<Logger, 'warn'>;
  /** How often what other replicas have blocked is read, in ms. */
  everyMs?: number | undefined;
  /** How long a call waits for the store before this process counts alone, in ms. */
  storeWaitMs?: number | undefined;
}

export function createUpstreamLimits({
  store,
  telemetry,
  clock,
  log,
  everyMs,
  storeWaitMs,
}: UpstreamLimitsParts): UpstreamLimits {
  const buckets = new LRUCache<string, Bucket>(upTo(MAX_BUCKETS));
  const rates = new LRUCache<string, RateTokens>(upTo(MAX_BUCKETS));
  const waitedFor = new Set<Bucket>();
  const met = new LRUCache<string, { told: number; refused: number; at: number }>(upTo(MAX_MET));
  const waiting = new Map<string, number>();
  let isStopping = false;
  const shared = createSharedBlocks({ store, clock, log, everyMs, onRead: lookAgain });

  function lookAgain(): void {
    for (const bucket of waitedFor) bucket.look();
  }

  function bucketOf(name: BucketName): Bucket {
    const known = buckets.get(name.key);
    if (known) return known;
    const { key } = name;
    const bucket = createBucket({
      name,
      blockedElsewhere: () => shared.blockedUntil(key),
      tell: (forMs) => shared.tell(key, forMs),
      clock,
    });
    buckets.set(key, bucket);
    return bucket;
  }

  function tokensOf(key: string, rate: { requests: number; window: number }): RateTokens {
    const known = rates.get(key);
    // What is known of another rate says nothing of this one.
    if (known?.rate.requests === rate.requests && known.rate.window === rate.window) return known;
    const tokens = createRateTokens({ key, rate, store, clock, processes: shared.processes, storeWaitMs });
    rates.set(key, tokens);
    return tokens;
  }

  /** The bucket of the entry's scope, with what the vendor documents for it. */
  function mainBucket(place: LimitPlace, name: BucketName): Bucket {
    const { limits, integration } = place;
    const bucket = bucketOf(name);
    const { concurrency, rate } = limits ?? {};
    bucket.settings = {
      places: concurrency === undefined ? undefined : Math.max(1, Math.floor(concurrency / shared.processes())),
      tokens: rate && integration.rate === null ? tokensOf(name.key, rate) : undefined,
    };
    return bucket;
  }

  /** Those that it has to pass before: of other scopes that a refusal may name, and of the rate that an admin has set. */
  function bucketsBefore(place: LimitPlace, main: Bucket): readonly Bucket[] {
    const { reason } = place.limits ?? {};
    if (!reason && !place.integration.rate) return NONE;
    const scopes = Object.values(reason?.scopes ?? {});
    const before = new Set(scopes.map((scope) => bucketOf(bucketName(place, scope))));
    before.delete(main);
    const { rate } = place.integration;
    if (rate) {
      const name = rateName(place, rate.per);
      const own = bucketOf(name);
      own.settings = { places: undefined, tokens: tokensOf(name.key, rate) };
      before.add(own);
    }
    return [...before];
  }

  /** Waits in one bucket. */
  function enter(
    bucket: Bucket,
    place: LimitPlace,
    until: number,
    options: AdmitOptions,
  ): Begun | Limited | Promise<Begun | Limited> {
    const begun = bucket.beginNow(place.caller, options.isBackground);
    if (begun) return begun;
    const blocked = bucket.blocked(options.isBackground);
    if (blocked && clock.monotonic() + blocked.waitMs > until) return blocked;
    return wait(bucket, place, until, options);
  }

  function wait(bucket: Bucket, place: LimitPlace, until: number, options: AdmitOptions): Promise<Begun | Limited> {
    const { isBackground, signal } = options;
    const { id } = place.integration;
    return new Promise((resolve) => {
      let isSettled = false;
      const withdraw = () => bucket.withdraw(waiter);
      const waiter: Waiter = {
        caller: place.caller,
        connection: place.connectionId,
        isBackground,
        until,
        settle(outcome) {
          isSettled = true;
          signal?.removeEventListener('abort', withdraw);
          if (waitedFor.has(bucket) && bucket.waiting() === 0) waitedFor.delete(bucket);
          resolve(outcome);
        },
      };
      bucket.admit(waiter);
      if (isSettled) return;
      waitedFor.add(bucket);
      waiting.set(id, (waiting.get(id) ?? 0) + 1);
      const { settle } = waiter;
      waiter.settle = (outcome) => {
        const left = waiting.get(id)! - 1;
        if (left > 0) waiting.set(id, left);
        else waiting.delete(id);
        settle(outcome);
      };
      signal?.addEventListener('abort', withdraw, { once: true });
      if (signal?.aborted) withdraw();
    });
  }

  function note({ integration: { id } }: LimitPlace, scope: UpstreamLimitScope, outcome: 'told' | 'refused'): void {
    telemetry.upstreamLimited(id, scope, outcome);
    const { told, refused } = met.get(id) ?? { told: 0, refused: 0 };
    const counts = { told: told + (outcome === 'told' ? 1 : 0), refused: refused + (outcome === 'refused' ? 1 : 0) };
    met.set(id, { ...counts, at: clock.monotonic() });
  }

  function refusal(place: LimitPlace, { waitMs, scope }: Limited): Refusal {
    note(place, scope, 'refused');
    const retryAfter = Math.max(1, Math.ceil(waitMs / 1_000));
    return refuse({ code: 'upstream_rate_limited', integration: place.integration.id, scope, retryAfter });
  }

  function stopWaiting(): void {
    isStopping = true;
    for (const bucket of [...waitedFor]) bucket.stop();
  }

  function permit(place: LimitPlace, main: Bucket, name: BucketName, begun: Begun): LimitPermit {
    const nameOf = ({ scope }: LimitReading) => (scope === undefined ? name : bucketName(place, scope));
    return {
      scopeOf: (reading) => nameOf(reading).scope,
      learn(reading) {
        const told = nameOf(reading);
        if (reading.isLimited) note(place, told.scope, 'told');
        const bucket = told.key === name.key ? main : bucketOf(told);
        if (bucket === main) begun.learn(reading);
        else bucket.learn(reading);
      },
      release: begun.leave,
    };
  }

  function admitNow(place: LimitPlace, until: number, options: AdmitOptions): Admitted | Promise<Admitted> {
    const name = bucketName(place, place.limits?.scope ?? 'connection');
    const main = mainBucket(place, name);
    const admitted = (entered: Begun | Limited) =>
      'leave' in entered ? permit(place, main, name, entered) : refusal(place, entered);
    const before = bucketsBefore(place, main);
    if (before.length > 0) return admitAfter(before);
    const entered = enter(main, place, until, options);
    return entered instanceof Promise ? entered.then(admitted) : admitted(entered);

    async function admitAfter(others: readonly Bucket[]): Promise<Admitted> {
      // So that no token is taken for a call that will not be sent.
      const blocked = main.blocked(options.isBackground);
      if (blocked && clock.monotonic() + blocked.waitMs > until) return refusal(place, blocked);
      for (const other of others) {
        const passed = await enter(other, place, until, options);
        if (!('leave' in passed)) return refusal(place, passed);
        passed.leave();
      }
      return admitted(await enter(main, place, until, options));
    }
  }

  return {
    admit(place, options) {
      const until = clock.monotonic() + (isStopping ? 0 : options.maxWaitMs);
      const reading = shared.touch();
      return reading ? reading.then(() => admitNow(place, until, options)) : admitNow(place, until, options);
    },
    views: (limit) =>
      [...buckets.values()]
        .flatMap((bucket) => bucket.view() ?? [])
        .sort(byUrgency)
        .slice(0, limit),
    met: () =>
      [...met].map(([integration, { told, refused, at }]) => ({
        ...{ integration, told, refused },
        lastMsAgo: clock.monotonic() - at,
      })),
    waiting: () => [...waiting].map(([integration, count]) => ({ integration, count })),
    stopWaiting,
    async stop() {
      stopWaiting();
      await shared.stop();
    },
  };
}

type Admitted = LimitPermit | Refusal;
const NONE: readonly Bucket[] = [];

/** What is left of a window, as a share; without one, all of it. */
const shareLeft = ({ window }: LimitView): number => (window?.limit ? window.left / window.limit : 1);

const byUrgency = (one: LimitView, other: LimitView): number =>
  Number(other.blockedForMs > 0) - Number(one.blockedForMs > 0) ||
  other.waiting - one.waiting ||
  shareLeft(one) - shareLeft(other);
