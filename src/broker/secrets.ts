// Ids, secrets and digests: where the randomness of the broker comes from.
import { hash, randomBytes } from 'node:crypto';
import { monotonicFactory } from 'ulid';

const ulid = monotonicFactory();

export type IdPrefix = 'con' | 'cs' | 'clr' | 'key' | 'evt' | 'att' | 'rev';

/** `con_01j…`: ordered by the time given (ms), 80 random bits, also ordered within one millisecond of a process. */
export const newId = (prefix: IdPrefix, now: number): string => `${prefix}_${ulid(now).toLowerCase()}`;

/** 256 random bits, base64url. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** SHA-256, hex: for secrets of 256 random bits, which no slow digest makes safer. */
export const digest = (secret: string): string => hash('sha256', secret, 'hex');
