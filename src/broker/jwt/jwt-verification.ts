// JWT verification, with a cache of verdicts: a token that was verified is not verified again while the verdict holds.
import { LRUCache } from 'lru-cache';
import { createAdmission } from '../../domain/cache-admission.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import { verdictValidUntil } from '../../domain/jwt.ts';
import { JWT_VERDICT_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, JwtExpectations, JwtVerdict, JwtVerifier, TrustedIssuer } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import { digest } from '../secrets/index.ts';

export interface VerifyRequest extends Omit<JwtExpectations, 'audiences'> {
  token: string;
  /** Undefined: any trusted issuer. */
  issuer?: string | undefined;
  /** One of these must be in `aud`. Undefined: an audience that the issuer is configured with. */
  audience?: string | readonly string[] | undefined;
}

export interface JwtVerification {
  /**
   * Verifies a JWT of a trusted issuer; audited. A token that does not pass, whatever it is, is a verdict with a reason, not
   * a refusal. Rejects with `StoreError` when the trusted issuers cannot be read.
   */
  verify(call: Call, request: VerifyRequest): Promise<JwtVerdict | Refusal>;
  /** The same, and the verdict as JSON. */
  verifyToJson(call: Call, request: VerifyRequest): Promise<string | Refusal>;
}

export interface JwtVerificationParts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  access: Access;
  clock: Clock;
}

const MAX_VERDICTS = 10_000;

/** An active one. */
interface CachedVerdict {
  /** Of its objects, thousands would be copied and followed at each garbage collection. */
  json: string;
  issuer: string;
  /** The issuer as it was trusted then. */
  trusted: TrustedIssuer;
  /** Milliseconds since the epoch, without clock tolerance. */
  until: number;
  /** Monotonic milliseconds. */
  staleAt: number;
}

/** Verifies no token: its issuer has no name. */
const NO_ISSUER: TrustedIssuer = { issuer: '', audiences: [], clientIds: [], isListed: false };

export function createJwtVerification({
  verifier,
  trustedIssuers,
  access,
  clock,
}: JwtVerificationParts): JwtVerification {
  /** By the digest of the whole request: the verdict is for one token under one set of expectations. */
  const verdicts = new LRUCache<string, CachedVerdict>(upTo(MAX_VERDICTS));
  /** Tokens that are presented once take the place of none that is presented again and again. */
  const admission = createAdmission(MAX_VERDICTS);

  const hasEnded = ({ until, staleAt }: CachedVerdict): boolean => until <= clock.now() || staleAt <= clock.monotonic();
  /** Not once the token has expired, or the trust in its issuer has changed. */
  const holds = async (verdict: CachedVerdict): Promise<boolean> =>
    !hasEnded(verdict) && (await trustedIssuers.find(verdict.issuer)) === verdict.trusted;

  /** Full of what has ended, it has room. */
  function hasRoom(): boolean {
    if (verdicts.size < MAX_VERDICTS) return true;
    const oldest = verdicts.rkeys().next().value!;
    return hasEnded(verdicts.peek(oldest)!) && verdicts.delete(oldest);
  }

  async function verify({ token, issuer, audience, ...more }: VerifyRequest, key: string): Promise<string> {
    const claimed = verifier.claimedIssuer(token);
    const expected = { ...more, audiences: audience === undefined ? undefined : [audience].flat() };
    // The verifier has the reason: not a JWT, or no issuer in it.
    if (claimed === undefined) return asJson(await verifier.verify(token, NO_ISSUER, expected));
    const trusted = await trustedIssuers.find(claimed);
    if (!trusted || claimed !== (issuer ?? claimed)) return asJson({ active: false, reason: 'untrusted_issuer' });
    const verdict = await verifier.verify(token, trusted, expected);
    const json = asJson(verdict);
    if (verdict.active && (verdicts.has(key) || hasRoom() || admission.admits(key))) {
      const until = verdictValidUntil(verdict.claims, expected) * 1_000;
      const staleAt = clock.monotonic() + JWT_VERDICT_TTL_MS;
      verdicts.set(key, { json, issuer: verdict.issuer, trusted, until, staleAt });
    }
    return json;
  }

  async function verifyToJson(call: Call, request: VerifyRequest): Promise<string | Refusal> {
    const denied = denyVerification(access, call);
    if (denied) return denied;
    access.noteRead(call, 'jwt.verify', { integration: '*', owner: '*' });
    const key = keyOf(request);
    const cached = verdicts.get(key);
    return cached && (await holds(cached)) ? cached.json : await verify(request, key);
  }

  return {
    verifyToJson,
    async verify(call, request) {
      const json = await verifyToJson(call, request);
      return typeof json === 'string' ? JSON.parse(json) : json;
    },
  };
}

/** Of the whole request. What comes after the last line break is JSON, which has none; the token need not be written as such. */
const keyOf = ({ token, ...expected }: VerifyRequest): string => digest(`${token}\n${JSON.stringify(expected)}`);

const asJson = (verdict: JwtVerdict): string => JSON.stringify(verdict);

/** A verification concerns no integration and no owner: any grant of the action allows it. */
export function denyVerification(access: Access, call: Call): Refusal | undefined {
  const { permissions } = call.principal.caller;
  if (permissions.some(({ actions }) => actions.includes('*') || actions.includes('jwt:verify'))) return undefined;
  return (
    access.denied(call, 'jwt:verify', '*', '*') ??
    refuse({ code: 'forbidden', missing: { action: 'jwt:verify', integration: '*', owner: '*' } })
  );
}
