// What may be said of a key or a token that did not authenticate: enough to recognise it by, and nothing secret.
import { isJwt } from '../../broker/callers/index.ts';
import { claimsOf } from '../../domain/jwt-claims.ts';
import { redactSecrets } from '../../domain/redaction.ts';

/** Of a caller key, as lists of keys show it. */
const PREFIX_LENGTH = 8;
/** Characters. A token may claim anything. */
const MAX_CLAIM = 120;

/** Null: nothing was presented, or something of which nothing may be said. */
export function presentedAs(value: string | undefined): string | null {
  if (value === undefined) return null;
  if (isJwt(value)) return claimedBy(value);
  return /^v[ks]_[0-9A-Za-z]{5}/.test(value) ? `key ${value.slice(0, PREFIX_LENGTH)}…` : null;
}

/** Issuer and subject as the token claims them, unverified. */
function claimedBy(token: string): string | null {
  const claims = claimsOf(token);
  return claims ? `token of issuer ${shown(claims.iss)}, subject ${shown(claims.sub)}` : null;
}

const shown = (claim: unknown): string =>
  typeof claim === 'string'
    ? JSON.stringify(redactSecrets(claim.slice(0, MAX_CLAIM).toWellFormed().replace(/\p{C}/gu, '?')))
    : 'unknown';
