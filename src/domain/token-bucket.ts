// The token bucket that limits how many requests a provider gets from us.

/** What the token endpoint of one integration gets from all processes together. */
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
