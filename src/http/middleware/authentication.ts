// Authentication: from a key or a workload token to a call, with a limit on failures for each address and the rate limit of
// the caller.
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { AuditBuffer, Call } from '../../broker/audit/index.ts';
import type { CallerCache } from '../../broker/cache/index.ts';
import { isJwt, type WorkloadIdentity } from '../../broker/callers/index.ts';
import type { Principal } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { AUTHENTICATION_WINDOW_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { problem } from '../errors/respond.ts';
import type { Limits } from './rate-limits.ts';

/** Failed authentications that an address may have in a minute. A known key passes all the same. */
const FAILURES_PER_MINUTE = 30;

export interface AuthenticationParts {
  callerCache: CallerCache;
  workloads: WorkloadIdentity;
  limits: Limits;
  auditBuffer: Pick<AuditBuffer, 'used'>;
  clock: Clock;
}

/** The key or token of `Authorization: Bearer …` (RFC 6750 2.1). Undefined: none was sent. */
export const bearer = (authorization: string | undefined): string | undefined =>
  authorization?.match(/^Bearer +(\S+) *$/i)?.[1];

function createAuthentication({ callerCache, workloads, clock }: AuthenticationParts) {
  const failures = new RateLimiterMemory({ points: FAILURES_PER_MINUTE, duration: AUTHENTICATION_WINDOW_MS / 1_000 });

  return async function identify(
    presented: string | undefined,
    address: string | null,
    callerId?: string,
  ): Promise<Principal | Refusal> {
    const from = address ?? 'unknown';
    const known = presented === undefined ? undefined : callerCache.find(presented, clock.now());
    const isExpected = ({ caller }: Principal) => callerId === undefined || caller.id === callerId;
    if (known && isExpected(known)) return known;

    const tooMany = (msBeforeNext = AUTHENTICATION_WINDOW_MS) =>
      refuse({ code: 'too_many_requests', retryAfter: msBeforeNext / 1_000 });
    const failed = async (reason: string): Promise<Refusal> => {
      const counted = await failures.consume(from).catch((limit: { msBeforeNext?: number }) => limit);
      if (!(counted instanceof Error) && 'consumedPoints' in counted && counted.consumedPoints <= FAILURES_PER_MINUTE)
        return refuse({ code: 'unauthenticated', reason });
      return tooMany(counted.msBeforeNext);
    };
    if (presented === undefined) return failed('missing');
    if (known) return failed('unknown');
    if (!isJwt(presented)) return failed(callerCache.whyNot(presented));
    // A signature costs more than a digest: an address that has failed too often has to wait before a new token is verified.
    const before = await failures.get(from);
    if (before && before.consumedPoints >= FAILURES_PER_MINUTE) return tooMany(before.msBeforeNext);
    const identified = await workloads(presented);
    if (typeof identified === 'string') return failed(identified);
    return isExpected(identified) ? identified : failed('no_matching_workload');
  };
}

/**
 * Admits a request: identifies the caller by what it presented, counts the request against the caller's rate limit, and notes
 * that the key was used. `callerId`: the caller that the key must belong to (RFC 6749 2.3.1). Sets the rate-limit headers.
 */
export type Admission = (c: Context<Env>, presented: string | undefined, callerId?: string) => Promise<Call | Refusal>;

export function createAdmission(parts: AuthenticationParts): Admission {
  const { limits, auditBuffer, clock } = parts;
  const identify = createAuthentication(parts);
  return async (c, presented, callerId) => {
    const address = c.get('address');
    const principal = await identify(presented, address, callerId);
    if (principal instanceof Refusal) return principal;
    const status = await limits.count(principal);
    for (const [name, value] of Object.entries(status?.headers ?? {})) c.header(name, value);
    if (status?.exceeded) return refuse({ code: 'rate_limited', limit: status.limit, retryAfter: status.resetIn });
    auditBuffer.used(principal.credential.id, clock.now());
    return { principal, address, requestId: c.get('requestId') };
  };
}

/** Middleware of `/v1/`: sets the `call`, or responds with the refusal. */
export const authenticate = (admit: Admission) =>
  createMiddleware<Env>(async (c, next) => {
    const call = await admit(c, bearer(c.req.header('authorization')));
    if (call instanceof Refusal) return problem(c, call.fault);
    c.set('call', call);
    return next();
  });
