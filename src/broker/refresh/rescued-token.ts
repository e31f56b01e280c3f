// The newest token is in the rescue file and not in the store: it is served while it lives, and nothing is spent meanwhile.
import { hasExpired } from '../../domain/connection.ts';
import { refuse } from '../../domain/errors.ts';
import { MIN_RETRY_AFTER_MS } from '../../domain/time-limits.ts';
import type { Clock, PendingCommit, Store, Vault } from '../../ports/index.ts';
import { toServedToken } from '../cache/index.ts';
import { decryptAccessToken } from '../secrets/index.ts';
import type { RefreshCommitter } from './commit.ts';
import type { ConcurrentRefreshes, RefreshResult } from './concurrent-refresh.ts';
import { refusalOf, unavailable } from './refusals.ts';

interface Parts {
  store: Pick<Store, 'servedRow'>;
  vault: Pick<Vault, 'decrypt'>;
  committer: Pick<RefreshCommitter, 'replayRescued'>;
  concurrentRefreshes: Pick<ConcurrentRefreshes, 'result'>;
  clock: Clock;
}

/** Tries the commit once more, then serves the token of the response, or what has superseded it. */
export async function serveRescuedToken(parts: Parts, rescued: PendingCommit): Promise<RefreshResult> {
  const { store, vault, committer, concurrentRefreshes, clock } = parts;
  await committer.replayRescued(rescued);
  const { connectionId: id, change, held, grant } = rescued;
  const row = await store.servedRow(id);
  if (!row) return refuse({ code: 'not_found', what: 'connection', id });
  const accessToken = decryptAccessToken(vault, row.connection, grant.accessToken);
  const refused = refusalOf(row.connection);
  if (refused || accessToken === null) return refused ?? concurrentRefreshes.result(row.connection);
  if (row.connection.generation > held.generation)
    return concurrentRefreshes.result({ ...row.connection, generation: held.generation });
  const connection = { ...row.connection, ...change, generation: held.generation + 1 };
  if (!hasExpired(connection, clock.now())) return toServedToken(connection, accessToken, clock);
  const detail = 'the store has not committed the last refresh yet';
  return unavailable(connection, 'store_unavailable', detail, MIN_RETRY_AFTER_MS);
}
