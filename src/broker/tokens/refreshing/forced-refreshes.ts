// How many refreshes a caller may force: the limit of its permissions, as a token bucket for each caller and permission, which
// all processes share.
import { type Action, permissionsFor, type RateLimit } from '../../../domain/caller.ts';
import type { Connection } from '../../../domain/connection.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { Store } from '../../../ports/index.ts';
import type { Call } from '../../audit/index.ts';

/**
 * Counts a forced refresh, whatever the caller has authenticated with. Undefined: it is within the limit of one of the
 * permissions that cover it, or one has none. Rejects with `StoreError`.
 */
export type ForcedRefreshes = (call: Call, connection: Connection, action: Action) => Promise<Refusal | undefined>;

export function createForcedRefreshes({ store }: { store: Pick<Store, 'takeFromBucket'> }): ForcedRefreshes {
  return async ({ principal: { caller } }, { integration, owner }, action) => {
    const covering = permissionsFor(caller.permissions, action, integration, owner);
    if (covering.some(({ permission }) => permission.max_refreshes === undefined)) return undefined;
    let soonest: { limit: RateLimit; inMs: number } | undefined;
    for (const { permission, index } of covering) {
      const limit = permission.max_refreshes!;
      // No integration has such a name.
      const bucket = `forced/${caller.id}/${index}`;
      const limits = { perSecond: limit.requests / limit.window, burst: limit.requests, reserve: 0 };
      const { taken, inMs } = await store.takeFromBucket(bucket, 1, limits);
      if (taken > 0) return undefined;
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
