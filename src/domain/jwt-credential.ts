// When a verified JWT may be used as a credential, by a workload or as the subject or actor of a token exchange: not if it is
// bound to a key (RFC 9449 7.1, RFC 8705 3), not for ever, and by a workload not if it is the ID token of a login.
import type { VerifiedJwt } from './jwt.ts';
import { CLOCK_TOLERANCE_S, CREDENTIAL_MAX_AGE_MS } from './time-limits.ts';

/** Why a verified JWT is no credential. Stable: callers branch on these. */
export type CredentialReason =
  /** It has `cnf`: to present it is to prove possession of the key, which is not possible here. */
  | 'sender_constrained'
  | 'id_token'
  /** It carries events (RFC 8417). */
  | 'type_mismatch'
  | 'too_old'
  | 'lives_too_long'
  /** A `max_age` is set, and it has no `iat`. */
  | 'missing_claim';

type Claims = VerifiedJwt['claims'];

const has = (claims: Claims, name: string): boolean => Object.hasOwn(claims, name);

/** Whatever `cnf` says: an unknown method of confirmation is one that is not met (RFC 7800 3.1). */
export const isSenderConstrained = (claims: Claims): boolean => has(claims, 'cnf');

/** Undefined: it may be used as a credential. */
export function credentialFault(claims: Claims): CredentialReason | undefined {
  if (isSenderConstrained(claims)) return 'sender_constrained';
  return has(claims, 'events') ? 'type_mismatch' : undefined;
}

const CREDENTIAL_MAX_AGE_S = CREDENTIAL_MAX_AGE_MS / 1_000;

/**
 * `maxAge`: the most seconds since `iat`, as the operator has set it; undefined: `CREDENTIAL_MAX_AGE_MS`. A token that was
 * issued for longer than both is refused from its first day. `now` in seconds since the epoch.
 */
export function ageFault({ exp, iat }: Claims, maxAge: number | undefined, now: number): CredentialReason | undefined {
  const ends = Number(exp);
  if (typeof iat !== 'number') {
    if (maxAge !== undefined) return 'missing_claim';
    return ends - now > CREDENTIAL_MAX_AGE_S + CLOCK_TOLERANCE_S ? 'lives_too_long' : undefined;
  }
  const most = maxAge ?? CREDENTIAL_MAX_AGE_S;
  if (ends - iat > Math.max(most, CREDENTIAL_MAX_AGE_S) + CLOCK_TOLERANCE_S) return 'lives_too_long';
  return now - iat > most + CLOCK_TOLERANCE_S ? 'too_old' : undefined;
}

/** Until when a credential may be used, in seconds since the epoch. */
export function credentialEndsAt({ exp, iat }: Claims, maxAge: number | undefined): number {
  return typeof iat === 'number' ? Math.min(Number(exp), iat + (maxAge ?? CREDENTIAL_MAX_AGE_S)) : Number(exp);
}

const lower = (value: unknown): string => (typeof value === 'string' ? value.toLowerCase() : '');

/** What providers write into `typ` or `token_use` of the claims: Keycloak and Cognito, for example. */
const KINDS_OF_ACCESS_TOKENS = ['bearer', 'access'];
const KINDS_OF_OTHER_TOKENS = ['id', 'refresh', 'offline', 'logout'];
/** Only ID tokens have them (OpenID Connect Core 2, 3.1.3.6, 3.3.2.11; FAPI 1 part 2, 5.1.1). */
const OF_ID_TOKENS = ['nonce', 'at_hash', 'c_hash', 's_hash'];
/** RFC 9068 2.2, 2.2.3; Okta's `cid` and `scp`; how the client authenticated, at Entra. */
const OF_ACCESS_TOKENS = ['scope', 'scp', 'client_id', 'cid', 'azpacr', 'appidacr', 'idtyp', 'gty'];
/** How a person logged in. */
const OF_LOGINS = ['auth_time', 'amr'];

/**
 * Whether it is the ID token of a login, which its client holds, and every service that the client shows it to. Tokens of
 * platforms (Kubernetes, CI systems, clouds, SPIFFE) are none, though some call theirs ID tokens. `clientIds`: the clients
 * of this deployment at the issuer; what is for one of them and says nothing of an access token was issued at a login here.
 */
export function isIdToken(
  { header, claims }: Pick<VerifiedJwt, 'header' | 'claims'>,
  clientIds: readonly string[],
): boolean {
  const kinds = [lower(claims.typ), lower(claims.token_use)];
  if (kinds.some((kind) => KINDS_OF_OTHER_TOKENS.includes(kind))) return true;
  if (lower(header.typ).endsWith('at+jwt') || kinds.some((kind) => KINDS_OF_ACCESS_TOKENS.includes(kind))) return false;
  if (OF_ID_TOKENS.some((name) => has(claims, name))) return true;
  if (OF_ACCESS_TOKENS.some((name) => has(claims, name))) return false;
  if (OF_LOGINS.some((name) => has(claims, name))) return true;
  const audiences = [claims.aud].flat();
  const { azp, sub } = claims;
  const isClient = (audience: unknown) => typeof audience === 'string' && clientIds.includes(audience);
  // Of several audiences, one alone says nothing: the admin of an integration chooses its client id, and could choose what a
  // platform puts beside the broker in the tokens of its workloads. An ID token for several says to whom it was issued.
  if (audiences.every(isClient) || (isClient(azp) && audiences.includes(azp as string))) return true;
  // Issued to the client that it is for, about someone else. A cloud's service account is its own authorized party.
  return typeof azp === 'string' && audiences.length === 1 && audiences[0] === azp && sub !== azp;
}
