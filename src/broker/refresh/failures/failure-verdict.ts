// Whose fault a failed refresh is: the endpoint's, the client's, or this connection's. What the provider said is weighed
// against what it says to others.
import type { ReauthReason } from '../../../domain/errors.ts';
import type { ProviderFault } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import type { CircuitKey, RefreshReport } from './circuits/circuit-breaker.ts';
import type { DeadGrantBreaker } from './dead-grant-breaker.ts';
import type { FailureEvidence } from './failure-evidence.ts';

/** A dead grant that is tried once more: as it was before. */
export interface RetriedGrant {
  reason: ReauthReason;
  updatedAt: number;
}

export interface Verdict {
  /** As it counts for the connection. */
  fault: ProviderFault;
  /** As it counts for the circuit. */
  report: RefreshReport;
  /** The provider called the grant dead, and that is not believed yet. */
  isDoubted: boolean;
}

export interface FailureJudge {
  /**
   * `isExpected`: a refusal is no surprise, since the grant was dead before, or the refresh token may have been spent. Never
   * rejects.
   */
  judge(key: CircuitKey, resolved: ResolvedIntegration, fault: ProviderFault, isExpected: boolean): Promise<Verdict>;
}

const THROTTLED = new Set([
  'http_429',
  'slow_down',
  'rate_limited',
  'ratelimited',
  'rate_limit_exceeded',
  'too_many_requests',
]);

interface Parts {
  evidence: Pick<FailureEvidence, 'isOwnFault'>;
  deadGrants: Pick<DeadGrantBreaker, 'doubts'>;
}

export function createFailureJudge({ evidence, deadGrants }: Parts): FailureJudge {
  return {
    async judge(key, resolved, fault, isExpected) {
      switch (fault.kind) {
        case 'transient': {
          const cause = fault.retryAfter !== undefined || THROTTLED.has(fault.code) ? 'throttled' : 'outage';
          return { fault, report: { cause, fault }, isDoubted: false };
        }
        case 'misconfigured': {
          if (!evidence.isOwnFault(key, fault))
            return { fault, report: { cause: 'client_fault', fault }, isDoubted: false };
          const detail = `${fault.detail}; other connections are refreshed, so it is the fault of this one`;
          return { fault: { ...fault, kind: 'grant_dead', detail }, report: 'refused', isDoubted: false };
        }
        case 'grant_dead': {
          if (!(await deadGrants.doubts(key, resolved, isExpected)))
            return { fault, report: 'refused', isDoubted: false };
          const detail = `${fault.detail}; unlikely many refresh tokens are refused, so it will be tried again`;
          const doubted: ProviderFault = { ...fault, kind: 'transient', detail };
          return { fault: doubted, report: { cause: 'dead_grants', fault: doubted }, isDoubted: true };
        }
        default:
          return { fault, report: 'answered', isDoubted: false };
      }
    },
  };
}
