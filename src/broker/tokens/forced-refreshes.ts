// How many refreshes a caller may force: the limit of its permissions, as a fixed window for each caller and permission.
// Counts are of this process, and lost at a restart.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { type Action, permissionsFor, type RateLimit } from '../../domain/caller.ts';
import type { Connection } from '../../domain/connection.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';

const MAX_WINDOWS = 10_000;

/** Counts a forced refresh. Undefined: it is within the limit of one of the permissions that cover it, or one has none. */
export type ForcedRefreshes = (call: Call, connection: Connection, action: Action) => Refusal | undefined;

export function createForcedRefreshes({ clock }: { clock: Pick<Clock, 'monotonic'> }): ForcedRefreshes {
  const windows = new LRUCache<string, { startedAt: number; used: number }>(upTo(MAX_WINDOWS));

  return ({ principal: { caller } }, { integration, owner }, action) => {
    const now = clock.monotonic();
    let soonest: { limit: RateLimit; inMs: number } | undefined;
    for (const { permission, index } of permissionsFor(caller.permissions, action, integration, owner)) {
      const limit = permission.max_refreshes;
      if (limit === undefined) return undefined;
      const key = `${caller.id} ${index}`;
      const known = windows.get(key);
      const lengthMs = limit.window * 1_000;
      const current = known && now - known.startedAt < lengthMs ? known : { startedAt: now, used: 0 };
      windows.set(key, current);
      if (current.used < limit.requests) {
        current.used++;
        return undefined;
      }
      const inMs = current.startedAt + lengthMs - now;
      if (!soonest || inMs < soonest.inMs) soonest = { limit, inMs };
    }
    if (!soonest) return undefined;
    return refuse({
      code: 'rate_limited',
      limit: soonest.limit,
      retryAfter: Math.max(1, Math.ceil(soonest.inMs / 1_000)),
    });
  };
}
