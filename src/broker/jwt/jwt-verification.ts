// JWT verification for internal services. What was verified once need not be verified again while it holds.
import { LRUCache } from 'lru-cache';
import { type Refusal, refuse } from '../../domain/errors.ts';
import { holdsUntil } from '../../domain/jwt.ts';
import { JWT_VERDICT_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, JwtExpectations, JwtVerdict, JwtVerifier, TrustedIssuer } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import { digest } from '../secrets/index.ts';

const REMEMBER_AT_MOST = 10_000;

export type JwtVerification = ReturnType<typeof createJwtVerification>;

export interface VerifyRequest extends Omit<JwtExpectations, 'audiences'> {
  token: string;
  issuer?: string | undefined;
  audience?: string | readonly string[] | undefined;
}

type Active = Extract<JwtVerdict, { active: true }>;

interface Remembered {
  verdict: Active;
  trusted: TrustedIssuer;
  /** ms since the epoch; no tolerance for what is only remembered. */
  until: number;
}

interface Parts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  access: Access;
  clock: Clock;
}

const NOBODY: TrustedIssuer = { issuer: '', audiences: [] };

export function createJwtVerification({ verifier, trustedIssuers, access, clock }: Parts) {
  const known = new LRUCache<string, Remembered>({ max: REMEMBER_AT_MOST });

  /** By digest: the tokens themselves are not kept. Forgotten when they expire or age, and when trust has changed. */
  async function remembered(key: string): Promise<Active | undefined> {
    const found = known.get(key);
    const holds =
      found && found.until > clock.now() && (await trustedIssuers.find(found.verdict.issuer)) === found.trusted;
    return holds ? found.verdict : undefined;
  }

  async function judge({ token, issuer, audience, ...more }: VerifyRequest, key: string): Promise<JwtVerdict> {
    const claimed = verifier.claimedIssuer(token);
    const expected = { ...more, audiences: audience === undefined ? undefined : [audience].flat() };
    // The verifier tells what is no JWT from one that names no issuer; it trusts neither.
    if (claimed === undefined) return verifier.verify(token, NOBODY, expected);
    const trusted = await trustedIssuers.find(claimed);
    if (!trusted || claimed !== (issuer ?? claimed)) return { active: false, reason: 'untrusted_issuer' };
    const verdict = await verifier.verify(token, trusted, expected);
    if (verdict.active) {
      const until = holdsUntil(verdict.claims, expected) * 1_000;
      known.set(key, { verdict, trusted, until }, { ttl: JWT_VERDICT_TTL_MS });
    }
    return verdict;
  }

  return async function verify(call: Call, wanted: VerifyRequest): Promise<JwtVerdict | Refusal> {
    const refusal = verifyRefused(access, call);
    if (refusal) return refusal;
    access.noteRead(call, 'jwt.verify', { integration: '*', owner: '*' });
    // Of all that was asked: a verdict is remembered for one token under one set of expectations.
    const key = digest(JSON.stringify(wanted));
    return (await remembered(key)) ?? judge(wanted, key);
  };
}

/** It concerns no integration and no owner: any grant of the action will do. */
export const mayVerify = ({ principal }: Call): boolean =>
  principal.caller.permissions.some((g) => g.actions.includes('*') || g.actions.includes('jwt:verify'));

export const verifyRefused = (access: Access, call: Call): Refusal | undefined =>
  mayVerify(call)
    ? undefined
    : (access.denied(call, 'jwt:verify', '*', '*') ??
      refuse({ code: 'forbidden', missing: { action: 'jwt:verify', integration: '*', owner: '*' } }));
