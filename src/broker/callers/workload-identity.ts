// Callers without a shared secret: the platform gives a service a JWT, and a caller is bound to what that says.
import { matches, type Principal, type Workload } from '../../domain/caller.ts';
import { JWT_VERDICT_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, JwtReason, JwtVerifier } from '../../ports/index.ts';
import type { CallerCache } from '../cache/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import { digest } from '../secrets/index.ts';

/** Why a JWT stands for no caller. */
export type WorkloadRefusal = JwtReason | 'no_matching_workload' | 'ambiguous_workload';

interface Parts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  callerCache: Pick<CallerCache, 'boundTo' | 'remember'>;
  clock: Clock;
}

export type WorkloadIdentity = ReturnType<typeof createWorkloadIdentity>;

/** Whether it has the form of a compact JWS (RFC 7515 3.1), which no caller key has. */
export const isJwt = (presented: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(presented);

export function createWorkloadIdentity({ verifier, trustedIssuers, callerCache, clock }: Parts) {
  /** Whose token it is; or why it is nobody's. An issuer that no caller is bound to is never asked for its keys. */
  return async function identify(token: string): Promise<Principal | WorkloadRefusal> {
    const issuer = verifier.claimedIssuer(token);
    if (issuer === undefined) return 'malformed';
    const { bindings, ticket } = callerCache.boundTo(issuer);
    const trusted = bindings.length > 0 ? await trustedIssuers.find(issuer) : undefined;
    if (!trusted) return 'untrusted_issuer';
    const audiences = [...new Set(bindings.map(({ workload }) => workload.audience))];
    const verdict = await verifier.verify(token, trusted, { audiences });
    if (!verdict.active) return verdict.reason;

    const { claims } = verdict;
    const fitting = bindings.filter(({ workload }) => isOf(workload, claims));
    const [binding] = fitting;
    if (!binding) return 'no_matching_workload';
    // To choose one would be to guess what the service may do.
    if (fitting.some(({ caller }) => caller.id !== binding.caller.id)) return 'ambiguous_workload';
    const expiresAt = Number(claims.exp) * 1_000;
    const subject = typeof claims.sub === 'string' ? claims.sub : null;
    return callerCache.remember(
      ticket,
      token,
      binding,
      { kind: 'workload', id: binding.workload.id, issuer, subject, expiresAt },
      Math.min(JWT_VERDICT_TTL_MS, expiresAt - clock.now()),
    );
  };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);

/** Every claim that is named is there, and as it is named; of a list, one member is. */
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

/** With an id that the same binding always has, so that the audit log can be read after a caller was written anew. */
export function workloadOf({ issuer, audience, claims }: Omit<Workload, 'id'>): Workload {
  const sorted = Object.fromEntries(Object.entries(claims).sort(([a], [b]) => (a < b ? -1 : 1)));
  const id = `wl_${digest(JSON.stringify([issuer, audience, sorted])).slice(0, 26)}`;
  return { id, issuer, audience, claims: sorted };
}
