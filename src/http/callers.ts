// The caller middleware: from a key or a workload's token to a call, with a limit on failures for each address and one on
// requests for each caller that has one.
import { createMiddleware } from 'hono/factory';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Directory } from '../broker/directory.ts';
import type { Journal } from '../broker/journal.ts';
import { isJwt, type Workloads } from '../broker/workloads.ts';
import type { Principal } from '../domain/caller.ts';
import type { Fault } from '../domain/errors.ts';
import type { Clock } from '../ports.ts';
import type { Env } from './env.ts';
import type { Limits } from './limits.ts';
import { faultProblem } from './problem.ts';

/** So many failed authentications an address has each minute; a good key passes all the same. */
const FAILURES_PER_MINUTE = 30;

export interface AuthenticationParts {
  directory: Directory;
  workloads: Workloads;
  limits: Limits;
  journal: Pick<Journal, 'used'>;
  clock: Clock;
}

export type Authenticate = ReturnType<typeof createAuthentication>;

/** The key or token of `Authorization: Bearer …` (RFC 6750 2.1); undefined: there is none. */
export const bearer = (authorization: string | undefined): string | undefined =>
  authorization?.match(/^Bearer +(\S+) *$/i)?.[1];

export function createAuthentication({ directory, workloads, clock }: AuthenticationParts) {
  const failures = new RateLimiterMemory({ points: FAILURES_PER_MINUTE, duration: 60 });

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
    const known = presented === undefined ? undefined : directory.find(presented, clock.now());
    const isOwners = (principal: Principal) => owner === undefined || principal.caller.id === owner;
    if (known && isOwners(known)) return known;

    const failed = async (reason: string): Promise<Fault> => {
      const counted = await failures.consume(from).catch((limit: { msBeforeNext?: number }) => limit);
      if (!(counted instanceof Error) && 'consumedPoints' in counted && counted.consumedPoints <= FAILURES_PER_MINUTE)
        return { code: 'unauthenticated', reason };
      return { code: 'too_many_requests', retryAfter: (counted.msBeforeNext ?? 60_000) / 1_000 };
    };
    if (presented === undefined) return failed('missing');
    if (known) return failed('unknown');
    if (!isJwt(presented)) return failed(directory.whyNot(presented));
    // A signature costs more than a digest: an address that has failed too often must wait with tokens not seen before.
    const before = await failures.get(from);
    if (before && before.consumedPoints >= FAILURES_PER_MINUTE)
      return { code: 'too_many_requests', retryAfter: before.msBeforeNext / 1_000 };
    const identified = await workloads(presented);
    if (typeof identified === 'string') return failed(identified);
    return isOwners(identified) ? identified : failed('no_matching_workload');
  };
}

/** Every request of the interface passes here. */
export function authenticate({ identify, limits, journal, clock }: AuthenticationParts & { identify: Authenticate }) {
  return createMiddleware<Env>(async (c, next) => {
    const principal = await identify(bearer(c.req.header('authorization')), c.get('address'));
    if ('code' in principal) return faultProblem(c, principal);
    const taken = await limits(principal);
    for (const [name, value] of Object.entries(taken?.headers ?? {})) c.header(name, value);
    if (taken?.exceeded)
      return faultProblem(c, { code: 'rate_limited', limit: taken.limit, retryAfter: taken.resetIn });
    journal.used(principal.credential.id, clock.now());
    c.set('call', { principal, address: c.get('address'), requestId: c.get('requestId') });
    return next();
  });
}
