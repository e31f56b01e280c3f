// Keys that the deployment signs with, and the states that a key for JWTs goes through: published, signing, retired. Then it is
// deleted.
import type { Ciphertext } from './connection.ts';
import { SIGNING_KEY_LEAD_MS, SIGNING_KEY_LISTED_MS } from './time-limits.ts';

/** RFC 7518 3.1, RFC 9864 2.2; `EdDSA` is the older name of `Ed25519` (RFC 8037 3.1), for verifiers that know only that. */
export const SIGNING_ALGORITHMS = ['ES256', 'RS256', 'Ed25519', 'EdDSA'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

export interface SigningKey {
  /** The `kid`. */
  id: string;
  /** What it signs: deliveries of events, or JWTs. */
  purpose: 'webhook' | 'jwt';
  /** PKCS #8, PEM. */
  privateKey: Ciphertext;
  /** A JWK (RFC 7517), with `kid` and `alg`. What is published is derived from the private key. */
  publicKey: Record<string, unknown>;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** When a key for JWTs began to sign; null: it does not yet. A key for deliveries signs from the beginning, whatever this is. */
  signingSince: number | null;
  /** Null: no other has taken its place. */
  retiredAt: number | null;
}

/** Of a key for JWTs. `published`: verifiers get to know it before it signs. */
export type SigningKeyState = 'published' | 'signing' | 'retired';

export const stateOf = ({ signingSince, retiredAt }: SigningKey): SigningKeyState => {
  if (retiredAt !== null) return 'retired';
  return signingSince === null ? 'published' : 'signing';
};

export const signingIn = (keys: readonly SigningKey[]): SigningKey | undefined =>
  keys.find((key) => stateOf(key) === 'signing');
export const nextIn = (keys: readonly SigningKey[]): SigningKey | undefined =>
  keys.find((key) => stateOf(key) === 'published');

/** From when on a published key may sign, in ms since the epoch. */
export const mayReplaceAt = ({ createdAt }: SigningKey): number => createdAt + SIGNING_KEY_LEAD_MS;

/** The keys with a new one, which signs at once if there is none that does. */
export const withKey = (keys: readonly SigningKey[], added: SigningKey): SigningKey[] => [
  signingIn(keys) ? added : { ...added, signingSince: added.createdAt },
  ...keys,
];

/** The published key signs, and retires the one before. A key is never retired before it began to sign, whatever the clock says. */
export function withNextSigning(keys: readonly SigningKey[], now: number): SigningKey[] {
  const next = nextIn(keys);
  if (!next) return [...keys];
  return keys.map((key) => {
    if (key.id === next.id) return { ...key, signingSince: now };
    return stateOf(key) === 'signing' ? { ...key, retiredAt: Math.max(now, key.signingSince ?? now) } : key;
  });
}

/** Without those that were retired so long ago that no one asks about them. */
export const withoutForgotten = (keys: readonly SigningKey[], now: number): SigningKey[] =>
  keys.filter(({ retiredAt }) => retiredAt === null || retiredAt + SIGNING_KEY_LISTED_MS > now);
