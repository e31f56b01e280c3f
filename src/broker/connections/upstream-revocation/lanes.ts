// The lanes of the revocation outbox: how many requests of one integration are under way at once in this process.
import type { Integration } from '../../../domain/integration.ts';
import type { ProviderFault } from '../../../ports/index.ts';

/** The circuit breakers of revocations, by integration and endpoint; as `CircuitBreakers` of the refresh room. */
export interface RevocationCircuits {
  capacity(integration: string): number;
  admit(key: {
    integration: Pick<Integration, 'id' | 'version' | 'createdAt'>;
    endpoint: string;
    connection: string;
  }): RevocationPermit | { retryIn: number };
  report(permit: RevocationPermit, report: RevocationReport): void;
  release(permit: RevocationPermit): void;
}

export interface RevocationPermit {
  probe: boolean;
}

export type RevocationReport = 'answered' | { cause: 'outage' | 'throttled' | 'client_fault'; fault: ProviderFault };

/** Undefined: the provider has revoked. */
export function revocationReport(fault: ProviderFault | undefined): RevocationReport {
  if (fault?.kind === 'misconfigured') return { cause: 'client_fault', fault };
  if (fault?.kind !== 'transient') return 'answered';
  return { cause: fault.retryAfter === undefined ? 'outage' : 'throttled', fault };
}

/** Room for one request. */
export interface Lane {
  /** Without effect the second time. */
  release(): void;
}

export interface Lanes {
  /** For a revocation that a caller waits for. Undefined: none is free, or the circuit is open. */
  take(integration: string): Lane | undefined;
  /** All that background work may use now. */
  takeBackground(integration: string): Lane[];
}

const LANES = 16;
/** The rest is left to callers that wait. */
const BACKGROUND_LANES = 8;

export function createLanes(circuits: Pick<RevocationCircuits, 'capacity'>): Lanes {
  const used = new Map<string, number>();

  function take(integration: string, most: number): Lane | undefined {
    const count = used.get(integration) ?? 0;
    if (count >= most || circuits.capacity(integration) === 0) return undefined;
    used.set(integration, count + 1);
    let isReleased = false;
    return {
      release() {
        if (isReleased) return;
        isReleased = true;
        const left = (used.get(integration) ?? 1) - 1;
        if (left > 0) used.set(integration, left);
        else used.delete(integration);
      },
    };
  }

  return {
    take: (integration) => take(integration, LANES),
    takeBackground(integration) {
      const lanes: Lane[] = [];
      const most = Math.min(BACKGROUND_LANES, circuits.capacity(integration));
      while (lanes.length < most) {
        const lane = take(integration, BACKGROUND_LANES);
        if (!lane) break;
        lanes.push(lane);
      }
      return lanes;
    },
  };
}
