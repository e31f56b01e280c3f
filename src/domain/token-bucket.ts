// Token buckets: they limit how many requests others get from us.

/** What a bucket gives to all processes together. */
export interface BucketLimits {
  /** Tokens that are added each second. */
  perSecond: number;
  /** The most tokens that the bucket holds. */
  burst: number;
  /** Tokens that are left for more urgent requests; less than `burst`. */
  reserve: number;
}

/** Milliseconds until the next token can be taken from a bucket that holds `allowance`. */
export const msUntilNext = (allowance: number, { perSecond, reserve }: BucketLimits): number =>
  Math.max(0, Math.ceil(((1 + reserve - allowance) / perSecond) * 1_000));

/** A bucket of this process alone. Undefined: full. */
export type LocalBucket = { allowance: number; filledAt: number } | undefined;

/** What a full store would answer: takes up to `wanted` tokens. `now` in ms, of the clock that `filledAt` is of. */
export function takeLocally(
  bucket: LocalBucket,
  wanted: number,
  limits: BucketLimits,
  now: number,
): { bucket: LocalBucket; taken: number; inMs: number } {
  const { perSecond, burst, reserve } = limits;
  const added = bucket ? (Math.max(0, now - bucket.filledAt) * perSecond) / 1_000 : burst;
  const filled = Math.min(burst, (bucket?.allowance ?? 0) + added);
  const taken = Math.max(0, Math.min(wanted, Math.floor(filled - reserve)));
  const allowance = filled - taken;
  return { bucket: { allowance, filledAt: now }, taken, inMs: msUntilNext(allowance, limits) };
}

/**
 * A bucket of this process alone, full at first, that gets a token each `intervalMs`. Each call takes one; false: it is empty.
 *
 * @example
 * const mayFetch = createLocalBucket(20, 1_000, clock.monotonic);
 * if (!mayFetch()) return undefined;
 */
export function createLocalBucket(burst: number, intervalMs: number, monotonic: () => number): () => boolean {
  const limits = { perSecond: 1_000 / intervalMs, burst, reserve: 0 };
  let bucket: LocalBucket;
  return () => {
    const after = takeLocally(bucket, 1, limits, monotonic());
    bucket = after.bucket;
    return after.taken > 0;
  };
}
