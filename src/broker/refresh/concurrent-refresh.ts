// The result of a concurrent refresh, by this or another process: a newer generation, a refusal, or nothing yet.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../domain/connection.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import { LEASE_RETRY_MS, MIN_RETRY_AFTER_MS, NEW_GENERATION_POLL_MS } from '../../domain/time-limits.ts';
import type { Clock, ServedRow, Store, Vault } from '../../ports/index.ts';
import { type ReadTicket, type ServedToken, type TokenCache, toServedToken } from '../cache/index.ts';
import { decryptAccessToken } from '../secrets/index.ts';
import { refusalOf, unavailable } from './refusals.ts';

/** What the readers of a refresh get. */
export type RefreshResult = ServedToken | Refusal;

/** Each method caches the token that it reads, and rejects with `StoreError` or `VaultError`. */
export interface ConcurrentRefreshes {
  /** The token of a generation newer than `olderThan`; undefined if there is none, or its token has expired. */
  readNewer(id: string, olderThan: number): Promise<RefreshResult | undefined>;
  /** The result of the refresh that superseded this one: its token, or why there is none. */
  result(before: Connection): Promise<RefreshResult>;
  /** The stored token, which this refresh leaves as it is. */
  current(connection: Connection): Promise<RefreshResult>;
  /**
   * Waits up to `LEASE_RETRY_MS` for the process that holds the lease. `failed`: its refresh failed, the connection says how;
   * `undecided`: it is slow or has died, and the lease may be claimed again.
   */
  wait(before: Connection): Promise<RefreshResult | 'failed' | 'undecided'>;
}

interface Parts {
  store: Pick<Store, 'servedRow'>;
  vault: Pick<Vault, 'decrypt'>;
  tokenCache: TokenCache;
  clock: Clock;
}

export function createConcurrentRefreshes({ store, vault, tokenCache, clock }: Parts): ConcurrentRefreshes {
  async function readNewer(id: string, olderThan: number): Promise<RefreshResult | undefined> {
    const ticket = tokenCache.ticket();
    return newer(await store.servedRow(id), id, olderThan, ticket);
  }

  function newer(
    row: ServedRow | undefined,
    id: string,
    olderThan: number,
    ticket: ReadTicket,
  ): RefreshResult | undefined {
    if (!row) return refuse({ code: 'not_found', what: 'connection', id });
    const refused = refusalOf(row.connection);
    if (refused) return refused;
    const accessToken = decryptAccessToken(vault, row.connection, row.accessToken);
    if (row.connection.generation <= olderThan || accessToken === null) return undefined;
    const served = toServedToken(row.connection, accessToken, clock);
    tokenCache.putRead(served, ticket);
    // It may have been stored long ago.
    return served.until > clock.monotonic() ? served : undefined;
  }

  const newerOrUndecided = async (before: Pick<Connection, 'id' | 'integration'>, olderThan: number) =>
    (await readNewer(before.id, olderThan)) ??
    unavailable(before, 'refresh_in_progress', 'another refresh of this connection is under way', MIN_RETRY_AFTER_MS);

  return {
    readNewer,
    result: (before) => newerOrUndecided(before, before.generation),
    current: (connection) => newerOrUndecided(connection, connection.generation - 1),

    async wait(before) {
      const until = clock.monotonic() + LEASE_RETRY_MS;
      while (clock.monotonic() < until) {
        await pause(NEW_GENERATION_POLL_MS);
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
