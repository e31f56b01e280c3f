// Recent commits: the responses that this process has committed, encrypted. If a standby takes the database over
// without the last commits, they are lost there, and the provider does not repeat them.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Connection } from '../../domain/connection.ts';
import { RECENT_COMMIT_TTL_MS } from '../../domain/time-limits.ts';
import type { Clock, PendingCommit, Store } from '../../ports/index.ts';
import { isSuccessorOf } from './lineage.ts';

export interface RecentCommits {
  remember(commit: PendingCommit): void;
  /** What was committed after these credentials: a store that has only these has lost it. */
  after(connection: Stored): PendingCommit | undefined;
  /** Ids of the connections whose recent commit the store has lost. Rejects with `StoreError`. */
  missingFromStore(): Promise<string[]>;
}

type Stored = Pick<Connection, 'id' | 'generation' | 'issuedAt'>;

const MAX_REMEMBERED = 10_000;
/** Connections that are compared by one query. */
const BATCH = 500;

interface Parts {
  store: Pick<Store, 'connectionVersions'>;
  clock: Pick<Clock, 'monotonic'>;
}

export function createRecentCommits({ store, clock }: Parts): RecentCommits {
  const commits = new LRUCache<string, PendingCommit>({
    ...upTo(MAX_REMEMBERED),
    ttl: RECENT_COMMIT_TTL_MS,
    perf: { now: () => clock.monotonic() },
  });

  function after(stored: Stored): PendingCommit | undefined {
    const commit = commits.get(stored.id);
    return commit && isSuccessorOf(commit, stored) ? commit : undefined;
  }

  return {
    remember(commit) {
      commits.set(commit.connectionId, commit);
    },
    after,
    async missingFromStore() {
      const ids = [...commits.keys()];
      const missing: string[] = [];
      for (let i = 0; i < ids.length; i += BATCH)
        for (const row of await store.connectionVersions(ids.slice(i, i + BATCH))) if (after(row)) missing.push(row.id);
      return missing;
    },
  };
}
