// Replays the rescue file: what was written there because the store failed is committed to the store as soon as possible.
import { setTimeout as pause } from 'node:timers/promises';
import { RESCUE_FILE_RETRY_DELAYS_MS, RESCUE_REPLAY_INTERVAL_MS } from '../../domain/time-limits.ts';
import type { Logger, PendingCommit, Rescue, Store } from '../../ports/index.ts';

export interface RescueReplay {
  /** Writes the response to the file, and replays it soon. Rejects with `StoreError` after a few tries. */
  add(pending: PendingCommit): Promise<void>;
  /** Commits the responses that earlier processes left in the file. */
  recover(): Promise<void>;
  /** Tries once to commit each entry. Entries that the store does not accept stay in the file, and are replayed soon. */
  replay(): Promise<void>;
  /** Commits the entry, if there is one of this generation, under a newer claim. False: there is none. */
  adopt(connectionId: string, held: PendingCommit['held'], inDoubt: boolean): Promise<boolean>;
  /** The entry of this connection that waits for its replay. */
  pendingOf(connectionId: string): PendingCommit | undefined;
  /** How many entries wait for their replay. */
  count(): number;
  /** One last replay. What is left in the file is found at the next start. */
  stop(): Promise<void>;
}

interface Parts {
  commit: (pending: PendingCommit) => ReturnType<Store['commitRefresh']>;
  store: Pick<Store, 'connection'>;
  rescue: Rescue;
  log: Logger;
}

export function createRescueReplay({ commit, store, rescue, log }: Parts): RescueReplay {
  /** Entries of the file that wait for their replay, by connection. */
  const waiting = new Map<string, PendingCommit>();
  /** Connections whose entry stays in the file until a newer claim adopts it. */
  const leftToAdopt = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  /** The connection has newer credentials, or is gone: the entry is of no use. */
  async function isObsolete({ connectionId, held }: PendingCommit): Promise<boolean> {
    const connection = await store.connection(connectionId);
    return !connection || connection.status === 'revoked' || connection.generation > held.generation;
  }

  /**
   * Commits the entry and removes it from the file. If another process has claimed the connection since and not committed
   * yet, the entry stays in the file: that claim, or the next one, adopts it.
   */
  async function settle(pending: PendingCommit): Promise<void> {
    const { attempt, connectionId } = pending;
    const outcome = await commit(pending);
    const fields = { attempt, connection: connectionId, outcome };
    if (outcome === 'superseded' && !(await isObsolete(pending))) {
      leftToAdopt.add(connectionId);
      log.info(fields, 'rescue file: entry left for the newer claim of its connection');
    } else {
      await rescue.remove(attempt);
      leftToAdopt.delete(connectionId);
      log.info(fields, 'rescue file: entry replayed and removed');
    }
    waiting.delete(connectionId);
  }

  async function replay(): Promise<void> {
    for (const pending of [...waiting.values()]) {
      try {
        await settle(pending);
      } catch (error) {
        const fields = { err: error, attempt: pending.attempt, connection: pending.connectionId };
        log.warn(fields, 'rescue file: replay failed, will retry');
        break;
      }
    }
    if (waiting.size > 0) replaySoon();
  }

  function replaySoon(): void {
    if (isStopped) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      void replay();
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

  return {
    async add(pending) {
      await write(pending);
      waiting.set(pending.connectionId, pending);
      replaySoon();
    },
    async recover() {
      for (const pending of await rescue.all()) waiting.set(pending.connectionId, pending);
      if (waiting.size > 0)
        log.warn({ responses: waiting.size }, 'rescue file: replaying the responses of an earlier run');
      await replay();
    },
    replay,
    async adopt(connectionId, held, inDoubt) {
      if (!inDoubt && !leftToAdopt.has(connectionId)) return false;
      const entry = (await rescue.all()).find(
        (one) => one.connectionId === connectionId && one.held.generation === held.generation,
      );
      if (!entry) return false;
      await settle({ ...entry, held });
      return true;
    },
    pendingOf: (connectionId) => waiting.get(connectionId),
    count: () => waiting.size,
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await replay();
    },
  };
}
