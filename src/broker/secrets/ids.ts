// Ids, secrets and digests: where the randomness of the broker comes from.
import { hash, randomBytes } from 'node:crypto';
import { encodeTime, monotonicFactory } from 'ulid';

const POOL_BYTES = 4_096;

/** From 0 to below 1, in steps of 1/256: bytes of the system's generator, drawn many at once, each used once. */
function pooledRandom(): () => number {
  let pool = Buffer.alloc(0);
  let used = 0;
  return () => {
    if (used === pool.length) {
      pool = randomBytes(POOL_BYTES);
      used = 0;
    }
    return pool[used++]! / 256;
  };
}

// Of itself it asks the system for every single character, which costs more than the rest.
const ulid = monotonicFactory(pooledRandom());

export type IdPrefix = 'con' | 'cs' | 'clr' | 'key' | 'evt' | 'att' | 'rev';

/** `con_01j…`: ordered by the time given (ms), 80 random bits, also ordered within one millisecond of a process. */
export const newId = (prefix: IdPrefix, now: number): string => `${prefix}_${ulid(now).toLowerCase()}`;

/** No id of this time or later is below it, and each of an earlier one is. */
export const firstId = (prefix: IdPrefix, at: number): string => `${prefix}_${encodeTime(at).toLowerCase()}`;

/** 256 random bits, base64url. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** SHA-256, hex: for secrets of 256 random bits, which no slow digest makes safer. */
export const digest = (secret: string): string => hash('sha256', secret, 'hex');
