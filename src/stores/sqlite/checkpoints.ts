// Checkpoints: what the write-ahead log has is written into the file of the database. A thread does it, which is started when
// there is more to write than the event loop has time for.
import type { Database } from 'better-sqlite3';
import { SQLITE_BUSY_TIMEOUT_MS, SQLITE_CHECKPOINT_INTERVAL_MS } from '../../domain/time-limits.ts';
import type { BackgroundThread, CheckpointMode } from './background-thread.ts';
import { truncateWal } from './secure-delete.ts';

/** Pages that are worth a checkpoint: 4 MB. */
const ENOUGH_PAGES = 1_000;
/**
 * With more, writers wait for a moment, so that the log begins again from its start: 16 MB. While commits never pause, it would
 * only grow.
 */
const TOO_MANY_PAGES = 4_000;
/** With more, a commit writes them itself: 64 MB. Where the thread cannot be had, with as many as are too many. */
const LAST_RESORT_PAGES = 16_000;
/** Few enough to be written between two requests. */
const FEW_PAGES = 50;

export interface Checkpoints {
  /** To be called after each commit. Costs a timer at most. */
  committed(): void;
  /** Writes what there is, and empties the log. False: another process reads or writes, or it failed. */
  truncate(): Promise<boolean>;
  /** Before the thread ends. */
  stop(): void;
}

/** `client` is the connection that writes; in memory, there is no log. */
export function createCheckpoints(client: Database, thread: BackgroundThread): Checkpoints {
  if (client.memory) return { committed: () => undefined, truncate: async () => true, stop: () => undefined };
  client.pragma(`wal_autocheckpoint = ${LAST_RESORT_PAGES}`);
  thread.onGone(() => client.pragma(`wal_autocheckpoint = ${TOO_MANY_PAGES}`));
  /** From the commit before a checkpoint until that has ended. */
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  /** Checkpoints that are under way or wait for the thread. */
  let yieldedTo = 0;

  /** The thread may have the lock for as long as the disk takes. Group commit asks for it again by a timer, instead of blocking the event loop. */
  async function whileWritersYield(mode: CheckpointMode): Promise<boolean> {
    yieldedTo++;
    client.pragma('busy_timeout = 0');
    try {
      return (await thread.run({ kind: 'checkpoint', mode })) === 'done';
    } finally {
      yieldedTo--;
      if (yieldedTo === 0 && !isStopped) client.pragma(`busy_timeout = ${SQLITE_BUSY_TIMEOUT_MS}`);
    }
  }

  async function checkpoint(): Promise<void> {
    if (isStopped || thread.isGone()) return;
    const { log, left } = sizeOf(client);
    if (left >= ENOUGH_PAGES) await whileWritersYield('PASSIVE');
    if (log >= TOO_MANY_PAGES) await whileWritersYield('RESTART');
  }

  return {
    committed() {
      timer ??= setTimeout(() => {
        // A log that is not written now is written after the next commits.
        checkpoint()
          .catch(() => undefined)
          .finally(() => {
            timer = undefined;
          });
      }, SQLITE_CHECKPOINT_INTERVAL_MS).unref();
    },
    async truncate() {
      if (thread.isGone() || (!thread.isRunning() && sizeOf(client).left <= FEW_PAGES)) return truncateWal(client);
      // Most of it first, without a lock that a writer would wait for.
      await whileWritersYield('PASSIVE');
      return whileWritersYield('TRUNCATE');
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** In pages: all of the log, and what of it is not in the file yet. */
function sizeOf(client: Database): { log: number; left: number } {
  const [{ log, checkpointed }] = client.pragma('wal_checkpoint(NOOP)') as [{ log: number; checkpointed: number }];
  return { log, left: log - checkpointed };
}
