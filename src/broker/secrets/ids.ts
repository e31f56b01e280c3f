// Ids, random secrets and digests.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { encodeTime, monotonicFactory, TIME_MAX, ulid as ulidOf } from 'ulid';

const POOL_BYTES = 4_096;

/** Random numbers in [0, 1), in steps of 1/256: bytes of the system's generator, drawn in bulk, each used once. */
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

// By default `ulid` asks the system for every character, which costs more than the rest.
const random = pooledRandom();
let ulid = monotonicFactory(random);
let lastAt = 0;

export type IdPrefix =
  | 'con'
  | 'cs'
  | 'ps'
  | 'ses'
  | 'clr'
  | 'key'
  | 'evt'
  | 'job'
  | 'att'
  | 'rev'
  | 'unr'
  | 'cap'
  | 'msg'
  | 'whe'
  | 'dlv'
  | 'whr'
  | 'sgk'
  | 'jwk'
  | 'cse'
  | 'reg';

/**
 * `con_01j…`: a ULID of `now` (ms since the epoch) with 80 random bits. Ids of one process are strictly increasing, until its
 * clock is set back: the time in an id is always that of its making, by which lists are searched.
 */
export function newId(prefix: IdPrefix, now: number): string {
  if (now < lastAt) ulid = monotonicFactory(random);
  lastAt = now;
  return `${prefix}_${ulid(now).toLowerCase()}`;
}

/** An id of a moment that has passed. It has no place among the others of its millisecond, and leaves theirs as they are. */
export const newIdAt = (prefix: IdPrefix, at: number): string => `${prefix}_${ulidOf(at, random).toLowerCase()}`;

/** The lower bound of ids made at `at` (ms since the epoch) or later; every earlier id is less than it. */
export const firstId = (prefix: IdPrefix, at: number): string =>
  `${prefix}_${encodeTime(Math.min(Math.max(0, at), TIME_MAX)).toLowerCase()}`;

/** 256 random bits, base64url. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** A secret that follows from others, at least one of which no one else has: a request that is sent twice makes it once. */
export const derivedSecret = (purpose: string, ...secrets: string[]): string =>
  hash('sha256', [purpose, ...secrets].join(' '), 'base64url');

/** SHA-256, hex. For secrets of 256 random bits, which a slow digest would not make safer. */
export const digest = (secret: string): string => hash('sha256', secret, 'hex');

/** In a time that does not tell how much of it is right. Digests, because what is given may be a text of any length. */
export const isSameSecret = (given: string, expected: string): boolean =>
  timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', expected, 'buffer'));
