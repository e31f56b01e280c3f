// Retries of failed refreshes after a change of their integration: it may have fixed their cause, so that connections which
// wait for their next attempt are due at once. The rate limiter paces them.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { Refusal } from '../../../domain/errors.ts';
import { BACKGROUND_BACKOFF_MAX_MS } from '../../../domain/time-limits.ts';
import type { Clock, ExpiredFailures, Logger, Store } from '../../../ports/index.ts';
import type { Targets } from '../../integrations/index.ts';

export interface FailedRetries {
  /** What failed until now is due. Every process does it: only it knows when its last failure of the earlier version was. */
  integrationChanged(id: string): Promise<void>;
  /** For changes that an earlier run did not live to follow: what failed before an integration was changed is due. */
  start(): Promise<void>;
}

const PAGE = 500;
const MAX_INTEGRATIONS = 10_000;

interface Parts {
  store: Pick<Store, 'integrations' | 'retryFailed'>;
  targets: Pick<Targets, 'find'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

/** No method rejects: without it, each connection is retried at its own time. */
export function createFailedRetries({ store, targets, clock, log }: Parts): FailedRetries {
  /** The version of each integration after whose change this was done. */
  const doneAfter = new LRUCache<string, string>(upTo(MAX_INTEGRATIONS));

  async function retry(expired: ExpiredFailures[]): Promise<void> {
    let connections = 0;
    for (let after: string | undefined | null; after !== null; ) {
      const { retried, next } = await store.retryFailed(expired, clock.now(), { limit: PAGE, after });
      connections += retried;
      after = next;
    }
    const integrations = expired.map(({ integration }) => integration);
    if (connections > 0)
      log.info({ integrations, connections }, 'failed refreshes: due again, since their integration was changed');
  }

  async function followed(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      log.error({ err: error }, 'failed refreshes: the store failed, each is retried at its own time');
    }
  }

  return {
    integrationChanged: (id) =>
      followed(async () => {
        const failedBy = clock.now();
        const found = await targets.find(id);
        if (found instanceof Refusal || found.integration.version === 1) return;
        const { createdAt, version } = found.integration;
        const change = `${createdAt}.${version}`;
        if (doneAfter.get(id) === change) return;
        doneAfter.set(id, change);
        await retry([{ integration: id, failedBy }]);
      }),

    start: () =>
      followed(async () => {
        // What has waited for longer is due in any case.
        const since = clock.now() - BACKGROUND_BACKOFF_MAX_MS;
        for (let after: string | undefined | null; after !== null; ) {
          const { data, next } = await store.integrations({ limit: PAGE, after });
          const changed = data.filter(({ version, updatedAt }) => version > 1 && updatedAt >= since);
          if (changed.length > 0)
            await retry(changed.map(({ id, updatedAt }) => ({ integration: id, failedBy: updatedAt })));
          after = next;
        }
      }),
  };
}
