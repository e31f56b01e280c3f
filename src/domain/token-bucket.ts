// The token bucket that limits how many requests a provider gets from us.

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
