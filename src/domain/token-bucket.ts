// How many requests a provider gets from us: a bucket of turns that fills as time goes by.

/** What one integration's token endpoint gets from all processes together. */
export interface BucketLimits {
  perSecond: number;
  /** So many at once, after a while without any. */
  burst: number;
  /** So many of these are left to others, who are in more of a hurry; less than `burst`. */
  reserve: number;
}

/** Milliseconds until one more turn may be had of a bucket that holds so many. */
export const msUntilNext = (allowance: number, { perSecond, reserve }: BucketLimits): number =>
  Math.max(0, Math.ceil(((1 + reserve - allowance) / perSecond) * 1_000));
