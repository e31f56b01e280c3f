// What this process has kept lately, sealed. A database that a standby has taken over may lack it, and a
// provider does not say it twice: here it still is.
import { LRUCache } from 'lru-cache';
import type { Connection } from '../../domain/connection.ts';
import type { Clock, PendingCommit, Store } from '../../ports/index.ts';

/** Longer than a fail-over takes: what was kept right before the store went away must still be here when it is back. */
const REMEMBERED_MS = 10 * 60_000;
const REMEMBERED_AT_MOST = 10_000;
const AT_ONCE = 500;

export type RecentCommits = ReturnType<typeof createRecentCommits>;

interface Parts {
  store: Pick<Store, 'connectionVersions'>;
  clock: Pick<Clock, 'monotonic'>;
}

export function createRecentCommits({ store, clock }: Parts) {
  const answers = new LRUCache<string, PendingCommit>({
    max: REMEMBERED_AT_MOST,
    ttl: REMEMBERED_MS,
    perf: { now: () => clock.monotonic() },
  });

  return {
    remember: (answer: PendingCommit): void => void answers.set(answer.connectionId, answer),

    /** What was kept after this generation: the store that shows it has gone back. */
    after: ({ id, generation }: Pick<Connection, 'id' | 'generation'>): PendingCommit | undefined => {
      const answer = answers.get(id);
      return answer && answer.held.generation >= generation ? answer : undefined;
    },

    /** Connections of which the store lacks what was kept. Rejects with `StoreError`. */
    async missingFromStore(): Promise<string[]> {
      const ids = [...answers.keys()];
      const lost: string[] = [];
      for (let i = 0; i < ids.length; i += AT_ONCE)
        for (const row of await store.connectionVersions(ids.slice(i, i + AT_ONCE)))
          if (this.after(row)) lost.push(row.id);
      return lost;
    },
  };
}
