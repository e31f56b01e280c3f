// JWT verification, with a cache of verdicts: a token that was verified is not verified again while the verdict holds.
import { LRUCache } from 'lru-cache';
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
   * a refusal. An active verdict may be the same object as before. Rejects with `StoreError` when the trusted issuers cannot
   * be read.
   */
  verify(call: Call, request: VerifyRequest): Promise<JwtVerdict | Refusal>;
}

export interface JwtVerificationParts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  access: Access;
  clock: Clock;
}

const MAX_VERDICTS = 10_000;

type ActiveVerdict = Extract<JwtVerdict, { active: true }>;

interface CachedVerdict {
  verdict: ActiveVerdict;
  /** The issuer as it was trusted then. */
  trusted: TrustedIssuer;
  /** Milliseconds since the epoch, without clock tolerance. */
  until: number;
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

  /** Undefined once the token has expired, or the trust in its issuer has changed. */
  async function cached(key: string): Promise<ActiveVerdict | undefined> {
    const found = verdicts.get(key);
    const holds =
      found && found.until > clock.now() && (await trustedIssuers.find(found.verdict.issuer)) === found.trusted;
    return holds ? found.verdict : undefined;
  }

  async function verify({ token, issuer, audience, ...more }: VerifyRequest, key: string): Promise<JwtVerdict> {
    const claimed = verifier.claimedIssuer(token);
    const expected = { ...more, audiences: audience === undefined ? undefined : [audience].flat() };
    // The verifier has the reason: not a JWT, or no issuer in it.
    if (claimed === undefined) return verifier.verify(token, NO_ISSUER, expected);
    const trusted = await trustedIssuers.find(claimed);
    if (!trusted || claimed !== (issuer ?? claimed)) return { active: false, reason: 'untrusted_issuer' };
    const verdict = await verifier.verify(token, trusted, expected);
    if (verdict.active) {
      const until = verdictValidUntil(verdict.claims, expected) * 1_000;
      verdicts.set(key, { verdict, trusted, until }, { ttl: JWT_VERDICT_TTL_MS });
    }
    return verdict;
  }

  return {
    async verify(call, request) {
      const denied = denyVerification(access, call);
      if (denied) return denied;
      access.noteRead(call, 'jwt.verify', { integration: '*', owner: '*' });
      const key = digest(JSON.stringify(request));
      return (await cached(key)) ?? verify(request, key);
    },
  };
}

/** A verification concerns no integration and no owner: any grant of the action allows it. */
export function denyVerification(access: Access, call: Call): Refusal | undefined {
  const { permissions } = call.principal.caller;
  if (permissions.some(({ actions }) => actions.includes('*') || actions.includes('jwt:verify'))) return undefined;
  return (
    access.denied(call, 'jwt:verify', '*', '*') ??
    refuse({ code: 'forbidden', missing: { action: 'jwt:verify', integration: '*', owner: '*' } })
  );
}
