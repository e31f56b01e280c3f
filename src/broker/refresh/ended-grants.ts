// Connections that nothing renews end with their access token. No refresh of them is ever due, so they are looked for: then it is
// known without anyone reading the token.
import { hasExpired } from '../../domain/connection.ts';
import { createPeriodicTask } from '../../domain/periodic-task.ts';
import { ENDED_GRANTS_INTERVAL_MS } from '../../domain/time-limits.ts';
import type { Clock, EndingConnection, EventStore, Logger, Store } from '../../ports/index.ts';
import type { Refresher } from './refresher.ts';

export interface EndedGrants {
  /** Looks for no more; resolves when the look under way has ended. */
  stop(): Promise<void>;
}

interface Parts {
  store: Pick<Store, 'connection'> & Pick<EventStore, 'endingConnections'>;
  refresher: Pick<Refresher, 'refreshAhead'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

const BATCH = 100;

/** Every process does it: a connection is claimed by one of them. */
export function startEndedGrants({ store, refresher, clock, log }: Parts): EndedGrants {
  const looking = createPeriodicTask(look, (error) =>
    log.error({ err: error }, 'ended grants: a look failed, will retry'),
  );

  async function end({ id }: EndingConnection, now: number): Promise<void> {
    const connection = await store.connection(id);
    if (looking.isStopped() || connection?.status !== 'active') return;
    if (connection.nextRefreshAt === null && hasExpired(connection, now)) await refresher.refreshAhead(connection);
  }

  async function look(): Promise<void> {
    const now = clock.now();
    let after: EndingConnection | undefined;
    do {
      const ended = await store.endingConnections(now, after, BATCH);
      await Promise.all(ended.map((one) => end(one, now)));
      after = ended.length === BATCH ? ended.at(-1) : undefined;
    } while (after && !looking.isStopped());
  }

  looking.start(ENDED_GRANTS_INTERVAL_MS);
  return looking;
}
