// The caller middleware: from a key to a call, with a limit on failures per address.
import { createMiddleware } from 'hono/factory';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Directory } from '../broker/directory.ts';
import type { Journal } from '../broker/journal.ts';
import type { Clock } from '../ports.ts';
import type { Env } from './env.ts';
import { faultProblem } from './problem.ts';
import { PROBLEMS } from './problems.ts';

/** So many failed authentications an address has each minute; a good key passes all the same. */
const FAILURES_PER_MINUTE = 30;

export function authenticate({ directory, journal, clock }: { directory: Directory; journal: Journal; clock: Clock }) {
  const failures = new RateLimiterMemory({ points: FAILURES_PER_MINUTE, duration: 60 });

  return createMiddleware<Env>(async (c, next) => {
    const header = c.req.header('authorization');
    const key = header?.match(/^Bearer +(\S+) *$/i)?.[1];
    const principal = key === undefined ? undefined : directory.find(key, clock.now());
    if (!principal) {
      const address = c.get('address') ?? 'unknown';
      try {
        await failures.consume(address);
      } catch (limit) {
        const wait = (limit as { msBeforeNext?: number }).msBeforeNext ?? 60_000;
        return faultProblem(c, { code: 'too_many_requests', retryAfter: wait / 1_000 });
      }
      const detail =
        key === undefined
          ? PROBLEMS.unauthenticated.example.detail
          : 'This caller key is not known, was deleted, or has expired.';
      return faultProblem(c, { code: 'unauthenticated', detail });
    }
    journal.used(principal.keyId, clock.now());
    c.set('call', { principal, address: c.get('address'), requestId: c.get('requestId') });
    return next();
  });
}
