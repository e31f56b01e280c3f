// A thread with a connection of its own, for what the event loop would wait for: one writes the write-ahead log into the file of
// the database (`checkpoints.ts`), one what the audit buffer has into the audit log (`audit.ts`). A quiet broker has none: the
// first checkpoint starts them.
import { Worker } from 'node:worker_threads';
import type { AuditEntry } from '../../domain/audit.ts';

export type CheckpointMode = 'PASSIVE' | 'RESTART' | 'TRUNCATE';
export type BackgroundTask =
  | { kind: 'checkpoint'; mode: CheckpointMode }
  | { kind: 'append'; entries: readonly AuditEntry[] };
/** `busy`: someone else holds a lock, so nothing was done. */
export type BackgroundOutcome = 'done' | 'busy' | { failed: string };

export interface BackgroundThread {
  isRunning(): boolean;
  /** It has ended, or could not begin: there will be none. */
  isGone(): boolean;
  /** Calls `listener` when that happens, unless it was stopped. */
  onGone(listener: () => void): void;
  /** One task at a time, in order; starts the thread if it is not running. Undefined: it is gone, or went meanwhile. */
  run(task: BackgroundTask): Promise<BackgroundOutcome | undefined>;
  /** Fulfilled when the thread has ended. Before the connection that writes is closed, which removes the log. */
  stop(): Promise<void>;
}

/** `path` is the file of the database. */
export function createBackgroundThread(path: string, start: (path: string) => Worker = startWorker): BackgroundThread {
  let worker: Worker | undefined;
  let isStopped = false;
  let isGone = false;
  let onGone: () => void = () => undefined;
  let last: Promise<unknown> = Promise.resolve();

  function giveUp(): void {
    worker = undefined;
    if (isStopped) return;
    isGone = true;
    onGone();
  }

  function running(): Worker | undefined {
    if (worker || isStopped || isGone) return worker;
    try {
      worker = start(path);
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

  return {
    isRunning: () => worker !== undefined && !isStopped,
    isGone: () => isGone,
    onGone(listener) {
      onGone = listener;
    },
    run(task) {
      const outcome = last.then(() => {
        const thread = isStopped ? undefined : running();
        return thread && outcomeOf(thread, task);
      });
      last = outcome.catch(() => undefined);
      return outcome;
    },
    async stop() {
      isStopped = true;
      // Until now, nothing was to wait for it.
      worker?.ref();
      await last;
      if (!worker) return;
      const { promise: gone, resolve } = Promise.withResolvers<void>();
      // An error that ends it is no reason to fail here, as `once` would.
      worker.once('exit', () => resolve());
      worker.postMessage('close');
      await gone;
    },
  };
}

function outcomeOf(worker: Worker, task: BackgroundTask): Promise<BackgroundOutcome | undefined> {
  return new Promise((resolve) => {
    const settle = (outcome: unknown) => {
      worker.off('message', settle).off('exit', ended);
      resolve(outcome as BackgroundOutcome);
    };
    const ended = () => settle(undefined);
    worker.on('message', settle).on('exit', ended);
    worker.postMessage(task);
  });
}

function startWorker(path: string): Worker {
  // Beside this file, also in a bundle.
  const name = import.meta.url.endsWith('.ts') ? './background-worker.ts' : './background-worker.js';
  const worker = new Worker(new URL(name, import.meta.url), {
    workerData: { path },
    resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 },
  });
  worker.unref();
  return worker;
}
