// The caller middleware: from a key or a workload's token to a call, with a limit on failures for each address and one on
// requests for each caller that has one.
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { AuditBuffer, Call } from '../../broker/audit/index.ts';
import type { CallerCache } from '../../broker/cache/index.ts';
import { isJwt, type WorkloadIdentity } from '../../broker/callers/index.ts';
import type { Principal } from '../../domain/caller.ts';
import type { Fault } from '../../domain/errors.ts';
import { AUTHENTICATION_WINDOW_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { faultProblem } from '../errors/problem.ts';
import type { Limits } from './rate-limits.ts';

/** So many failed authentications an address has each minute; a good key passes all the same. */
const FAILURES_PER_MINUTE = 30;

export interface AuthenticationParts {
  callerCache: CallerCache;
  workloads: WorkloadIdentity;
  limits: Limits;
  auditBuffer: Pick<AuditBuffer, 'used'>;
  clock: Clock;
}

export type Admission = ReturnType<typeof createAdmission>;

/** The key or token of `Authorization: Bearer …` (RFC 6750 2.1); undefined: there is none. */
export const bearer = (authorization: string | undefined): string | undefined =>
  authorization?.match(/^Bearer +(\S+) *$/i)?.[1];

function createAuthentication({ callerCache, workloads, clock }: AuthenticationParts) {
  const failures = new RateLimiterMemory({ points: FAILURES_PER_MINUTE, duration: AUTHENTICATION_WINDOW_MS / 1_000 });

  /**
   * Whose key or token it is. `owner`: the id of the caller that says so too (RFC 6749 2.3.1); its key must be one of that
   * caller's.
   */
  return async function identify(
    presented: string | undefined,
    address: string | null,
    owner?: string,
  ): Promise<Principal | Fault> {
    const from = address ?? 'unknown';
    const known = presented === undefined ? undefined : callerCache.find(presented, clock.now());
    const isOwners = (principal: Principal) => owner === undefined || principal.caller.id === owner;
    if (known && isOwners(known)) return known;

    const failed = async (reason: string): Promise<Fault> => {
      const counted = await failures.consume(from).catch((limit: { msBeforeNext?: number }) => limit);
      if (!(counted instanceof Error) && 'consumedPoints' in counted && counted.consumedPoints <= FAILURES_PER_MINUTE)
        return { code: 'unauthenticated', reason };
      return { code: 'too_many_requests', retryAfter: (counted.msBeforeNext ?? AUTHENTICATION_WINDOW_MS) / 1_000 };
    };
    if (presented === undefined) return failed('missing');
    if (known) return failed('unknown');
    if (!isJwt(presented)) return failed(callerCache.whyNot(presented));
    // A signature costs more than a digest: an address that has failed too often must wait with tokens not seen before.
    const before = await failures.get(from);
    if (before && before.consumedPoints >= FAILURES_PER_MINUTE)
      return { code: 'too_many_requests', retryAfter: before.msBeforeNext / 1_000 };
    const identified = await workloads(presented);
    if (typeof identified === 'string') return failed(identified);
    return isOwners(identified) ? identified : failed('no_matching_workload');
  };
}

/**
 * Lets a request in: whose it is, whether that caller may ask once more, and that its key was used. The headers tell how
 * many requests are left, where there is a limit. `owner`: as above.
 */
export function createAdmission(parts: AuthenticationParts) {
  const { limits, auditBuffer, clock } = parts;
  const identify = createAuthentication(parts);
  return async (c: Context<Env>, presented: string | undefined, owner?: string): Promise<Call | Fault> => {
    const address = c.get('address');
    const principal = await identify(presented, address, owner);
    if ('code' in principal) return principal;
    const taken = await limits(principal);
    for (const [name, value] of Object.entries(taken?.headers ?? {})) c.header(name, value);
    if (taken?.exceeded) return { code: 'rate_limited', limit: taken.limit, retryAfter: taken.resetIn };
    auditBuffer.used(principal.credential.id, clock.now());
    return { principal, address, requestId: c.get('requestId') };
  };
}

/** Every request of the interface passes here. */
export const authenticate = (admit: Admission) =>
  createMiddleware<Env>(async (c, next) => {
    const call = await admit(c, bearer(c.req.header('authorization')));
    if ('code' in call) return faultProblem(c, call);
    c.set('call', call);
    return next();
  });
