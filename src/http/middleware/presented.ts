// What may be said of a key or a token that did not authenticate: enough to recognise it by, and nothing secret.
import { isJwt } from '../../broker/callers/index.ts';
import { redactSecrets } from '../../domain/redaction.ts';

/** Of a caller key, as lists of keys show it. */
const PREFIX_LENGTH = 8;
/** Characters. A token may claim anything. */
const MAX_CLAIM = 120;

/** Null: nothing was presented, or something of which nothing may be said. */
export function presentedAs(value: string | undefined): string | null {
  if (value === undefined) return null;
  if (isJwt(value)) return claimsOf(value);
  return /^v[ks]_[0-9A-Za-z]{5}/.test(value) ? `key ${value.slice(0, PREFIX_LENGTH)}…` : null;
}

/** Issuer and subject as the token claims them, unverified. */
function claimsOf(token: string): string | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    if (typeof claims !== 'object' || claims === null) return null;
    const { iss, sub } = claims as Record<string, unknown>;
    return `token of issuer ${shown(iss)}, subject ${shown(sub)}`;
  } catch {
    return null;
  }
}

const shown = (claim: unknown): string =>
  typeof claim === 'string'
    ? JSON.stringify(redactSecrets(claim.slice(0, MAX_CLAIM).toWellFormed().replace(/\p{C}/gu, '?')))
    : 'unknown';
