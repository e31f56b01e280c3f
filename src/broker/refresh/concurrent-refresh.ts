// What somebody else left while we were refused or stood in line: a newer grant, a tombstone, or nothing yet.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../domain/connection.ts';
import { type ReauthReason, type Refusal, refuse } from '../../domain/errors.ts';
import type { Clock, ServedRow, Store, Vault } from '../../ports/index.ts';
import { openAccessToken } from '../secrets/token-encryption.ts';
import { type Served, type Serving, serve, type Ticket } from '../cache/token-cache.ts';

/** How often a loser of the lease looks for the winner's generation, and for how long before it tries to claim again. */
const LOOK_EVERY_MS = 50;
const LOOK_FOR_MS = 1_000;

interface Parts {
  store: Pick<Store, 'served'>;
  vault: Pick<Vault, 'open'>;
  serving: Serving;
  clock: Clock;
}

export const refuseToRefresh = (connectionId: string, reason: ReauthReason): Refusal =>
  refuse({ code: 'reauthorization_required', connection_id: connectionId, reason });

/** What speaks against serving or refreshing it at all; undefined when nothing does. */
export function refusalOf(c: Connection): Refusal | undefined {
  if (c.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: c.id });
  return c.status === 'needs_reauth' ? refuseToRefresh(c.id, c.reason ?? 'grant_revoked') : undefined;
}

export function createWinners({ store, vault, serving, clock }: Parts) {
  /** Undefined while nothing newer than the generation is there that still lives. */
  async function look(id: string, olderThan: number): Promise<Served | Refusal | undefined> {
    const ticket = serving.ticket();
    return newer(await store.served(id), id, olderThan, ticket);
  }

  function newer(row: ServedRow | undefined, id: string, olderThan: number, ticket: Ticket) {
    if (!row) return refuse({ code: 'not_found', what: 'connection', id });
    const refused = refusalOf(row.connection);
    if (refused) return refused;
    const accessToken = openAccessToken(vault, id, row.accessToken);
    if (row.connection.generation <= olderThan || accessToken === null) return undefined;
    const served = serve(row.connection, accessToken, clock);
    serving.put(served, ticket);
    // Theirs may be long ago, and its token over by now.
    return served.until > clock.monotonic() ? served : undefined;
  }

  /** Nothing newer, and yet not ours to refresh: a moment later it is decided. */
  function undecided({ integration }: Pick<Connection, 'integration'>): Refusal {
    const detail = 'another refresh of this connection is under way';
    return refuse({ code: 'provider_unavailable', integration, detail, retryAfter: 1 });
  }

  return {
    look,

    /** Theirs is the truth: their grant, or why there is none. */
    async now(before: Connection): Promise<Served | Refusal> {
      return (await look(before.id, before.generation)) ?? undecided(before);
    },

    /**
     * Waits a moment for whoever holds the lease. `failed`: what the connection says now tells how; `undecided`: they are
     * slow, or have died, and the lease may be had by now.
     */
    async wait(before: Connection): Promise<Served | Refusal | 'failed' | 'undecided'> {
      const until = clock.monotonic() + LOOK_FOR_MS;
      while (clock.monotonic() < until) {
        await pause(LOOK_EVERY_MS);
        const ticket = serving.ticket();
        const row = await store.served(before.id);
        const seen = newer(row, before.id, before.generation, ticket);
        if (seen) return seen;
        if (row && row.connection.failures > before.failures) return 'failed';
      }
      return 'undecided';
    },
  };
}
