// Workload identity: a service authenticates with a JWT of its platform, which a caller is bound to by issuer and claims.
import { matches, type Principal, type Workload } from '../../domain/caller.ts';
import {
  ageFault,
  type CredentialReason,
  credentialEndsAt,
  credentialFault,
  isIdToken,
} from '../../domain/jwt-credential.ts';
import { JWT_VERDICT_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, JwtReason, JwtVerifier } from '../../ports/index.ts';
import type { CallerCache, WorkloadBinding } from '../cache/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';

/** Why a JWT authenticates no caller. */
export type WorkloadRefusal = JwtReason | CredentialReason | 'no_matching_workload' | 'ambiguous_workload';

export interface RefusedToken {
  refused: WorkloadRefusal;
  /** With `issuer_unavailable`: why its keys cannot be fetched, for operators. */
  why?: string | undefined;
}

export interface WorkloadIdentity {
  /**
   * The caller that a JWT authenticates, or why it authenticates none. Keys are fetched only from issuers that a caller is
   * bound to. Rejects with `StoreError`.
   */
  identify(token: string): Promise<Principal | RefusedToken>;
  /**
   * Whether it claims to be of an issuer that a caller is bound to, and names a key of that issuer: what a forger has to get
   * right before a signature is verified. Rejects with `StoreError`.
   */
  isPlausible(token: string): Promise<boolean>;
}

export interface WorkloadIdentityParts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  callerCache: Pick<CallerCache, 'boundTo' | 'remember'>;
  clock: Clock;
}

/** Whether it has the form of a compact JWS (RFC 7515 section 3.1). No caller key has that form. */
export const isJwt = (presented: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(presented);

export function createWorkloadIdentity(parts: WorkloadIdentityParts): WorkloadIdentity {
  const { verifier, trustedIssuers, callerCache, clock } = parts;

  async function isPlausible(token: string): Promise<boolean> {
    const issuer = verifier.claimedIssuer(token);
    if (issuer === undefined || callerCache.boundTo(issuer).bindings.length === 0) return false;
    const trusted = await trustedIssuers.find(issuer);
    return trusted !== undefined && verifier.namesKnownKey(token, trusted);
  }

  const refuse = (refused: WorkloadRefusal): RefusedToken => ({ refused });

  async function identify(token: string): Promise<Principal | RefusedToken> {
    const issuer = verifier.claimedIssuer(token);
    if (issuer === undefined) return refuse('malformed');
    const { bindings, ticket } = callerCache.boundTo(issuer);
    const trusted = bindings.length > 0 ? await trustedIssuers.find(issuer) : undefined;
    // Everyone who can sign in at the issuer of an integration gets tokens from it: it vouches for no workload.
    if (!trusted?.isListed) return refuse('untrusted_issuer');
    const audiences = [...new Set(bindings.map(({ workload }) => workload.audience))];
    const verdict = await verifier.verify(token, trusted, { audiences });
    if (!verdict.active) return { refused: verdict.reason, why: verdict.detail };

    const { claims } = verdict;
    const fault = credentialFault(claims);
    if (fault) return refuse(fault);
    if (isIdToken(verdict, trusted.clientIds)) return refuse('id_token');
    const matching = bindings.filter(({ workload }) => isOf(workload, claims));
    const [first] = matching;
    if (!first) return refuse('no_matching_workload');
    // Choosing one would be guessing what the service may do.
    if (matching.some(({ caller }) => caller.id !== first.caller.id)) return refuse('ambiguous_workload');
    const now = clock.now();
    const maxAgeOf = ({ workload }: WorkloadBinding) => workload.maxAge ?? trusted.maxAge;
    const binding = matching.find((one) => !ageFault(claims, maxAgeOf(one), now / 1_000));
    if (!binding) return refuse(ageFault(claims, maxAgeOf(first), now / 1_000) ?? 'no_matching_workload');
    const expiresAt = credentialEndsAt(claims, maxAgeOf(binding)) * 1_000;
    const subject = typeof claims.sub === 'string' ? claims.sub : null;
    return callerCache.remember(
      ticket,
      token,
      binding,
      { kind: 'workload', id: binding.workload.id, issuer, subject, expiresAt },
      Math.min(JWT_VERDICT_TTL_MS, expiresAt - now),
    );
  }

  return { identify, isPlausible };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);

/** Every claim of the binding is in the token and matches its pattern; of a list, one member has to match. */
function isOf({ audience, claims: wanted }: Workload, claims: Record<string, unknown>): boolean {
  const fits = (value: unknown, pattern: string) =>
    ['string', 'number', 'boolean'].includes(typeof value) && matches(pattern, String(value));
  return (
    listOf(claims.aud).includes(audience) &&
    Object.entries(wanted).every(
      ([name, pattern]) => Object.hasOwn(claims, name) && listOf(claims[name]).some((value) => fits(value, pattern)),
    )
  );
}
