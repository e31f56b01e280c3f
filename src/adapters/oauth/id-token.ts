// Validates the ID token of a refresh (OpenID Connect Core 12.2). An invalid one is dropped, since it must not cost the
// grant; one of another identity is reported.
import { hash } from 'node:crypto';
import type { Identity } from '../../domain/connection.ts';
import { withDeadline } from '../../domain/deadline.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import { CLOCK_TOLERANCE_S, ID_TOKEN_KEYS_WAIT_MS } from '../../domain/time-limits.ts';

/** Whether a key of the issuer signed it; `unavailable`: the issuer's keys could not be fetched. Claims are not checked. */
export type VerifyIdTokenSignature = (
  idToken: string,
  issuer: string,
  jwksUri: string,
) => Promise<'valid' | 'invalid' | 'unavailable'>;

export type RefreshedIdToken =
  | { verdict: 'valid'; idToken: string; identity: Identity }
  | { verdict: 'dropped' }
  | { verdict: 'other_identity' };

export async function validateRefreshedIdToken(
  idToken: unknown,
  known: Identity | null,
  expected: { issuer: string; clientId: string; jwksUri: string | undefined; now: number },
  verify: VerifyIdTokenSignature,
): Promise<RefreshedIdToken> {
  const claims = typeof idToken === 'string' ? claimsOf(idToken) : undefined;
  if (typeof idToken !== 'string' || claims === undefined) return { verdict: 'dropped' };
  const { iss, sub, aud, azp, exp } = claims;
  if (known && ((isText(iss) && iss !== known.issuer) || (isText(sub) && sub !== known.subject)))
    return { verdict: 'other_identity' };
  const valid =
    iss === expected.issuer &&
    isText(sub) &&
    [aud].flat().includes(expected.clientId) &&
    (azp === undefined || azp === expected.clientId) &&
    typeof exp === 'number' &&
    exp > expected.now / 1000 - CLOCK_TOLERANCE_S;
  if (!valid || expected.jwksUri === undefined) return { verdict: 'dropped' };
  const signature = await withTimeout(verify(idToken, expected.issuer, expected.jwksUri));
  return signature === 'valid'
    ? { verdict: 'valid', idToken, identity: { issuer: iss as string, subject: sub } }
    : { verdict: 'dropped' };
}

/** OpenID Connect Core 3.1.3.6: whether its `at_hash` is that of the access token. By its length, it shows with which hash. */
export function isIssuedWith(idToken: string, accessToken: string): boolean {
  const said = claimsOf(idToken)?.at_hash;
  return ['sha256', 'sha384', 'sha512'].some((name) => {
    const digest = hash(name, accessToken, 'buffer');
    return said === digest.subarray(0, digest.length / 2).toString('base64url');
  });
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** The claim of an ID token that tells people which account it is (OpenID Connect Core 5.1). */
export const readableName = (claims: Record<string, unknown> | undefined): string | undefined =>
  [claims?.email, claims?.preferred_username, claims?.name].find(isText);

const withTimeout = <T>(verdict: Promise<T>): Promise<T | 'unavailable'> =>
  withDeadline(ID_TOKEN_KEYS_WAIT_MS, verdict, () => 'unavailable' as const);
