// Replays the rescue file: what was written there because the store failed is committed to the store as soon as possible.
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '../../domain/connection.ts';
import { createLogThrottle } from '../../domain/log-throttle.ts';
import {
  RESCUE_FILE_RETRY_DELAYS_MS,
  RESCUE_REPLAY_INTERVAL_MS,
  STORE_ERROR_LOG_INTERVAL_MS,
} from '../../domain/time-limits.ts';
import type { Clock, Logger, PendingCommit, Rescue, Store } from '../../ports/index.ts';
import { isSuccessorOf } from './lineage.ts';

/** As of `Store.commitRefresh`; `absent`: the store does not know the connection, so the response is of another database. */
export type StoreOutcome = Awaited<ReturnType<Store['commitRefresh']>> | 'absent';

export interface RescueReplay {
  /** Writes the response to the file, and replays it soon. Rejects with `StoreError` after a few tries. */
  add(pending: PendingCommit): Promise<void>;
  /** Commits the responses that earlier processes left in the file. False: some wait still. After `stop`, only says so. */
  recover(): Promise<boolean>;
  /** Tries once to commit this entry. If the store does not accept it, it stays in the file, and is replayed soon. */
  replay(pending: PendingCommit): Promise<void>;
  /** Commits the entry, if there is a successor of these credentials, under a newer claim. False: there is none. */
  adopt(
    connection: Pick<Connection, 'id' | 'generation' | 'issuedAt'>,
    fence: number,
    inDoubt: boolean,
  ): false | Promise<boolean>;
  /** The entry of this connection that waits for its replay. */
  pendingOf(connectionId: string): PendingCommit | undefined;
  /** How many entries wait for their replay, or can never be replayed into this database. */
  count(): number;
  /** One last replay. What is left in the file is found at the next start. */
  stop(): Promise<void>;
}

interface Parts {
  commit: (pending: PendingCommit) => Promise<StoreOutcome>;
  store: Pick<Store, 'connection'>;
  rescue: Rescue;
  clock: Pick<Clock, 'monotonic'>;
  log: Logger;
}

export function createRescueReplay({ commit, store, rescue, clock, log }: Parts): RescueReplay {
  /** Entries of the file that wait for their replay, by connection. */
  const waiting = new Map<string, PendingCommit>();
  /** Connections whose entry stays in the file until a newer claim adopts it. */
  const leftToAdopt = new Set<string>();
  /** Attempts whose entry stays in the file, since nothing can be done with it on this database. */
  const stuck = new Set<string>();
  const throttle = createLogThrottle(clock.monotonic, STORE_ERROR_LOG_INTERVAL_MS);
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  /** The connection has newer credentials, or is gone: the entry is of no use. */
  async function isObsolete(pending: PendingCommit): Promise<boolean> {
    const connection = await store.connection(pending.connectionId);
    return !connection || connection.status === 'revoked' || !isSuccessorOf(pending, connection);
  }

  /**
   * Commits the entry and removes it from the file. If the store has lost the generation that it follows, the entry stays in
   * the file until that one is back: the next claim adopts it. If the database does not know the connection,
   * it is not the one that the entry belongs to, whose owner would lose the grant: the entry stays.
   */
  async function settle(pending: PendingCommit): Promise<void> {
    const { attempt, connectionId, held } = pending;
    // Not routine, of which this process would not hear: the token before may have been read into the cache meanwhile.
    const outcome = await commit({ ...pending, held: { ...held, isRoutine: false } });
    const fields = { attempt, connection: connectionId, outcome };
    if (outcome === 'absent') {
      stuck.add(attempt);
      log.error(
        fields,
        'rescue file: entry kept, this database does not know its connection: start the broker with this file on the database that does',
      );
    } else if (outcome === 'superseded' && !(await isObsolete(pending))) {
      leftToAdopt.add(connectionId);
      log.info(
        fields,
        'rescue file: entry left for the next claim, the store has an older generation of its connection',
      );
    } else {
      await rescue.remove(attempt);
      leftToAdopt.delete(connectionId);
      log.info(fields, 'rescue file: entry replayed and removed');
    }
    // Another response of the connection may have been added since.
    if (waiting.get(connectionId)?.attempt === attempt) waiting.delete(connectionId);
  }

  /** Readers wait for it: one entry that fails, or takes long, does not keep the others from the store. */
  async function replay(pending: PendingCommit): Promise<void> {
    const { attempt, connectionId: connection } = pending;
    try {
      await settle(pending);
    } catch (error) {
      const suppressed = throttle();
      if (suppressed !== undefined)
        log.warn({ err: error, attempt, connection, suppressed }, 'rescue file: replay failed, will retry');
    }
  }

  async function replayAll(): Promise<void> {
    for (const { connectionId } of [...waiting.values()]) {
      const pending = waiting.get(connectionId);
      if (pending) await replay(pending);
    }
    if (waiting.size > 0) replaySoon();
  }

  function replaySoon(): void {
    if (isStopped) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      void replayAll();
    }, RESCUE_REPLAY_INTERVAL_MS);
  }

  async function write(pending: PendingCommit): Promise<void> {
    for (const ms of RESCUE_FILE_RETRY_DELAYS_MS) {
      try {
        return await rescue.add(pending);
      } catch {
        await pause(ms);
      }
    }
    await rescue.add(pending);
  }

  async function adoptEntry(
    connection: Pick<Connection, 'id' | 'generation' | 'issuedAt'>,
    fence: number,
  ): Promise<boolean> {
    const { id, generation, issuedAt } = connection;
    const { responses } = await rescue.all();
    const entry = responses.findLast((one) => one.connectionId === id && isSuccessorOf(one, connection));
    if (!entry) return false;
    await settle({ ...entry, held: { fence, generation }, replaces: { issuedAt } });
    return true;
  }

  return {
    async add(pending) {
      await write(pending);
      waiting.set(pending.connectionId, pending);
      replaySoon();
    },
    async recover() {
      if (isStopped) return waiting.size === 0;
      const { responses, unreadable } = await rescue.all();
      for (const { attempt } of unreadable) {
        if (stuck.has(attempt)) continue;
        stuck.add(attempt);
        log.error({ attempt }, 'rescue file: entry is damaged, it stays in the file and is not replayed');
      }
      const found = responses.filter(
        ({ attempt, connectionId }) =>
          !stuck.has(attempt) && !leftToAdopt.has(connectionId) && waiting.get(connectionId)?.attempt !== attempt,
      );
      for (const pending of found) waiting.set(pending.connectionId, pending);
      if (found.length > 0)
        log.warn({ responses: found.length }, 'rescue file: replaying the responses of an earlier run');
      await replayAll();
      return waiting.size === 0;
    },
    replay,
    adopt: (connection, fence, inDoubt) => (inDoubt || leftToAdopt.has(connection.id)) && adoptEntry(connection, fence),
    pendingOf: (connectionId) => waiting.get(connectionId),
    count: () => waiting.size + stuck.size,
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await replayAll();
    },
  };
}
