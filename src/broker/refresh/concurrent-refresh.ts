// What somebody else left while we were refused or stood in line: a newer grant, a tombstone, or nothing yet.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../domain/connection.ts';
import { type ReauthReason, type Refusal, refuse } from '../../domain/errors.ts';
import type { Clock, ServedRow, Store, Vault } from '../../ports/index.ts';
import { type ReadTicket, type ServedToken, type TokenCache, toServedToken } from '../cache/index.ts';
import { decryptAccessToken } from '../secrets/index.ts';

/** How often a loser of the lease looks for the winner's generation, and for how long before it tries to claim again. */
const LOOK_EVERY_MS = 50;
const LOOK_FOR_MS = 1_000;

interface Parts {
  store: Pick<Store, 'servedRow'>;
  vault: Pick<Vault, 'decrypt'>;
  tokenCache: TokenCache;
  clock: Clock;
}

export const reauthorizationRequired = (connectionId: string, reason: ReauthReason): Refusal =>
  refuse({ code: 'reauthorization_required', connection_id: connectionId, reason });

/** What speaks against serving or refreshing it at all; undefined when nothing does. */
export function refusalOf(c: Connection): Refusal | undefined {
  if (c.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: c.id });
  return c.status === 'needs_reauth' ? reauthorizationRequired(c.id, c.reason ?? 'grant_revoked') : undefined;
}

export function createConcurrentRefreshes({ store, vault, tokenCache, clock }: Parts) {
  /** Undefined while nothing newer than the generation is there that still lives. */
  async function readNewer(id: string, olderThan: number): Promise<ServedToken | Refusal | undefined> {
    const ticket = tokenCache.ticket();
    return newer(await store.servedRow(id), id, olderThan, ticket);
  }

  function newer(row: ServedRow | undefined, id: string, olderThan: number, ticket: ReadTicket) {
    if (!row) return refuse({ code: 'not_found', what: 'connection', id });
    const refused = refusalOf(row.connection);
    if (refused) return refused;
    const accessToken = decryptAccessToken(vault, id, row.accessToken);
    if (row.connection.generation <= olderThan || accessToken === null) return undefined;
    const served = toServedToken(row.connection, accessToken, clock);
    tokenCache.put(served, ticket);
    // Theirs may be long ago, and its token over by now.
    return served.until > clock.monotonic() ? served : undefined;
  }

  /** Nothing newer, and yet not ours to refresh: a moment later it is decided. */
  function undecided({ integration }: Pick<Connection, 'integration'>): Refusal {
    const detail = 'another refresh of this connection is under way';
    return refuse({ code: 'provider_unavailable', integration, detail, retryAfter: 1 });
  }

  return {
    readNewer,

    /** Theirs is the truth: their grant, or why there is none. */
    async outcome(before: Connection): Promise<ServedToken | Refusal> {
      return (await readNewer(before.id, before.generation)) ?? undecided(before);
    },

    /**
     * Waits a moment for whoever holds the lease. `failed`: what the connection says now tells how; `undecided`: they are
     * slow, or have died, and the lease may be had by now.
     */
    async wait(before: Connection): Promise<ServedToken | Refusal | 'failed' | 'undecided'> {
      const until = clock.monotonic() + LOOK_FOR_MS;
      while (clock.monotonic() < until) {
        await pause(LOOK_EVERY_MS);
        const ticket = tokenCache.ticket();
        const row = await store.servedRow(before.id);
        const seen = newer(row, before.id, before.generation, ticket);
        if (seen) return seen;
        if (row && row.connection.failures > before.failures) return 'failed';
      }
      return 'undecided';
    },
  };
}
