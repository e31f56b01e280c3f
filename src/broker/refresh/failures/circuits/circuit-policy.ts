// When circuits open, and for how long: of token endpoints by default.
import { circuitBackoff } from '../../../../domain/backoff.ts';
import type { FailureRateLimits } from './failure-rate.ts';

export interface CircuitPolicy {
  /** This many failures in a row, of several connections, are an outage. */
  failures: number;
  /** This many different connections must fail: fewer may have a fault, or a rate limit, of their own. */
  connections: number;
  /** So many of the failures in a row count of each; undefined: all. */
  failuresEach?: number | undefined;
  /** As well as failures in a row: those among all requests of the last seconds. */
  rate?: FailureRateLimits | undefined;
  /** Milliseconds until the next probe, the n-th time in a row that it has opened. `random` is in [0, 1). */
  pause(openings: number, random: number): number;
}

export const TOKEN_ENDPOINTS: CircuitPolicy = { failures: 5, connections: 3, pause: circuitBackoff };
