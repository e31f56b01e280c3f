// How often clients are registered (RFC 7591): a resource that an owner names may name another authorization server at each
// request, or one that knows none of its clients for long.
import { REGISTRATION_WINDOW_MS } from '../../../domain/time-limits.ts';
import type { Clock } from '../../../ports/index.ts';
import { createRecentCounts } from '../recent-counts.ts';

/** Within `REGISTRATION_WINDOW_MS`, in this process. */
const MOST = {
  /** First clients and those in place of others, each with its entry in the audit log. */
  integration: 200,
  owner: 10,
  issuer: 10,
} as const;
/** Of an integration, over all processes: kept at a time, and new within `REGISTRATION_WINDOW_MS`. */
export const REGISTRATIONS_OF_INTEGRATION = { most: 1_000, mostNew: 100 } as const;

export interface Registering {
  integration: string;
  issuer: string;
  /** Who connects. Undefined: a refresh, or a connection that is there. */
  owner: string | undefined;
}

export interface RegistrationLimits {
  /** Which limit is reached, and for how long (ms); undefined: none. */
  reached(one: Registering): { scope: keyof typeof MOST; waitMs: number } | undefined;
  /** It is sent now. */
  count(one: Registering): void;
}

export function createRegistrationLimits(clock: Pick<Clock, 'monotonic'>): RegistrationLimits {
  const counts = createRecentCounts(clock, REGISTRATION_WINDOW_MS);

  const keysOf = ({ integration, issuer, owner }: Registering): [keyof typeof MOST, string][] => [
    ['integration', JSON.stringify([integration])],
    ['issuer', JSON.stringify([integration, 'issuer', issuer])],
    ...(owner === undefined ? [] : [['owner', JSON.stringify([integration, 'owner', owner])] as ['owner', string]]),
  ];

  return {
    reached(one) {
      for (const [scope, key] of keysOf(one)) {
        const waitMs = counts.waitOf(key, MOST[scope]);
        if (waitMs !== undefined) return { scope, waitMs };
      }
      return undefined;
    },
    count(one) {
      for (const [, key] of keysOf(one)) counts.count(key);
    },
  };
}
