// What limiting our requests to providers needs of a store: token buckets that all processes share, by the clock of the store.
import type { BucketLimits } from '../domain/token-bucket.ts';

export interface RateBucketStore {
  /**
   * Takes up to `wanted` tokens from a bucket that all processes share: that of an integration's token endpoint has the id of
   * the integration, others have a slash in their names. `inMs`: milliseconds until there may be another. Tokens that are
   * not used are lost. A blocked bucket gives none.
   */
  takeFromBucket(bucket: string, wanted: number, limits: BucketLimits): Promise<{ taken: number; inMs: number }>;
  /** No process takes from the bucket for so long, in ms. Never shortens a longer block. */
  blockBucket(bucket: string, forMs: number): Promise<void>;
  /** The buckets that are blocked now, those that are for the longest first, and for how many ms. From an index of these alone. */
  blockedBuckets(limit: number): Promise<{ bucket: string; forMs: number }[]>;
  /**
   * Deletes up to `limit` buckets that nothing was taken from for so long, in ms: they are full again. True: there may be
   * more. Reads all of them.
   */
  deleteIdleBuckets(idleMs: number, limit: number): Promise<boolean>;
  /** How many processes use the database now, this one included. */
  countProcesses(): Promise<number>;
}
