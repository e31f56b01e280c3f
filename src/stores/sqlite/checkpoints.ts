// Checkpoints: what the write-ahead log has is written into the file of the database. A thread does it, which is started when
// there is more to write than the event loop has time for.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Database } from 'better-sqlite3';
import { SQLITE_BUSY_TIMEOUT_MS, SQLITE_CHECKPOINT_INTERVAL_MS } from '../../domain/time-limits.ts';
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

export type CheckpointMode = 'PASSIVE' | 'RESTART' | 'TRUNCATE';
export interface CheckpointReply {
  /** False: someone else reads or writes, or it failed: it is tried again. */
  isDone: boolean;
}

export interface Checkpoints {
  /** To be called after each commit. Costs a timer at most. */
  committed(): void;
  /** Writes what there is, and empties the log. False: another process reads or writes, or it failed. */
  truncate(): Promise<boolean>;
  /** Fulfilled when the thread has ended. Before the connection is closed, which removes the log. */
  stop(): Promise<void>;
}

/** `client` is the connection that writes; in memory, there is no log. */
export function createCheckpoints(client: Database, start: (path: string) => Worker = startWorker): Checkpoints {
  if (client.memory) return { committed: () => undefined, truncate: async () => true, stop: async () => undefined };
  client.pragma(`wal_autocheckpoint = ${LAST_RESORT_PAGES}`);
  let worker: Worker | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  let isUnavailable = false;
  /** One at a time: the thread answers in order. */
  let last: Promise<unknown> = Promise.resolve();

  function giveUp(): void {
    worker = undefined;
    if (isStopped) return;
    isUnavailable = true;
    client.pragma(`wal_autocheckpoint = ${TOO_MANY_PAGES}`);
  }

  /** Undefined: there is none, and will be none. */
  function running(): Worker | undefined {
    if (worker) return worker;
    try {
      worker = start(client.name);
    } catch {
      // The operating system gives this process no more threads.
      giveUp();
      return undefined;
    }
    // Who waits for a reply hears of its end.
    worker.on('error', () => undefined);
    worker.once('exit', giveUp);
    return worker;
  }

  /** Undefined: the thread has ended, or could not begin. */
  function ask(mode: CheckpointMode): Promise<CheckpointReply | undefined> {
    const reply = last.then(() => {
      const thread = isStopped || isUnavailable ? undefined : running();
      return thread && replyOf(thread, mode);
    });
    last = reply;
    return reply;
  }

  /** Group commit asks for the lock again by a timer, instead of blocking the event loop. */
  async function whileWritersYield(mode: 'RESTART' | 'TRUNCATE'): Promise<boolean> {
    client.pragma('busy_timeout = 0');
    try {
      return (await ask(mode))?.isDone ?? false;
    } finally {
      if (!isStopped) client.pragma(`busy_timeout = ${SQLITE_BUSY_TIMEOUT_MS}`);
    }
  }

  async function checkpoint(): Promise<void> {
    if (isStopped || isUnavailable) return;
    const { log, left } = sizeOf(client);
    if (left >= ENOUGH_PAGES) await ask('PASSIVE');
    if (log >= TOO_MANY_PAGES) await whileWritersYield('RESTART');
  }

  return {
    committed() {
      timer ??= setTimeout(() => {
        timer = undefined;
        // A log that is not written now is written after the next commits.
        checkpoint().catch(() => undefined);
      }, SQLITE_CHECKPOINT_INTERVAL_MS).unref();
    },
    async truncate() {
      if (isUnavailable || (!worker && sizeOf(client).left <= FEW_PAGES)) return truncateWal(client);
      // Most of it first, without a lock that a writer would wait for.
      await ask('PASSIVE');
      return whileWritersYield('TRUNCATE');
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      // Until now, nothing was to wait for it.
      worker?.ref();
      await last;
      if (!worker) return;
      const gone = once(worker, 'exit');
      worker.postMessage('close');
      await gone;
    },
  };
}

function replyOf(worker: Worker, mode: CheckpointMode): Promise<CheckpointReply | undefined> {
  return new Promise((resolve) => {
    const settle = (reply: unknown) => {
      worker.off('message', settle).off('exit', ended);
      resolve(reply as CheckpointReply);
    };
    const ended = () => settle(undefined);
    worker.on('message', settle).on('exit', ended);
    worker.postMessage(mode);
  });
}

/** In pages: all of the log, and what of it is not in the file yet. */
function sizeOf(client: Database): { log: number; left: number } {
  const [{ log, checkpointed }] = client.pragma('wal_checkpoint(NOOP)') as [{ log: number; checkpointed: number }];
  return { log, left: log - checkpointed };
}

function startWorker(path: string): Worker {
  // Beside this file, also in a bundle.
  const name = import.meta.url.endsWith('.ts') ? './checkpoint-worker.ts' : './checkpoint-worker.js';
  const worker = new Worker(new URL(name, import.meta.url), {
    workerData: { path },
    resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 },
  });
  worker.unref();
  return worker;
}
