// Commits of another thread, on a connection of its own: one at a time, in turn with those of the event loop.
import { setTimeout as pause } from 'node:timers/promises';
import { withDeadline } from '../../domain/deadline.ts';
import { SQLITE_BUSY_RETRY_MS } from '../../domain/time-limits.ts';
import { StoreClosedError, StoreError } from '../../ports/index.ts';
import type { BackgroundOutcome } from './background-thread.ts';
import { storeError } from './store-error.ts';
import type { Writer } from './unsynced-commits.ts';
import type { Watchdog } from './watchdog.ts';

/** Undefined: the thread has ended. */
export type ThreadCommit = () => Promise<BackgroundOutcome | undefined>;

interface ThreadWrite extends PromiseWithResolvers<void> {
  commit: ThreadCommit;
}

export interface ThreadCommits {
  /** See `GroupCommit.writeElsewhere`. */
  write(commit: ThreadCommit): Promise<void>;
  /** The event loop has nothing to commit: the turn of the first that waits, unless another one has it. */
  next(): void;
  /** Refuses all that are not known to be on the disk. One that is under way goes on. */
  refuse(cause: StoreError): void;
  /** Refuses what waits. Fulfilled when the one under way has ended, or hangs; undefined: none is. */
  close(): Promise<void> | undefined;
}

export interface ThreadCommitsParts {
  /** Of the commit that is under way: the event loop would block on its lock. */
  watchdog: Watchdog;
  /** How long another process may lock the database, and `close` waits. */
  giveUpMs: number;
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  /** Throws if nothing may be committed now. */
  onBegin(): void;
  /** It is in the log: to be resolved when that is on the disk. */
  onCommit(writer: Writer): void;
  /** It is no longer under way. */
  onEnd(): void;
}

export function createThreadCommits(parts: ThreadCommitsParts): ThreadCommits {
  const { watchdog, giveUpMs, now, onBegin, onCommit, onEnd } = parts;
  /** Neither fulfilled nor refused. */
  const open = new Set<ThreadWrite>();
  let waiting: ThreadWrite[] = [];
  let turn: Promise<void> | undefined;

  function refuse(writes: Iterable<ThreadWrite>, cause: StoreError): void {
    for (const write of writes) {
      open.delete(write);
      write.reject(cause);
    }
    waiting = waiting.filter((write) => open.has(write));
  }

  async function outcomeOf({ commit }: ThreadWrite): Promise<'done' | 'busy' | StoreError> {
    try {
      watchdog.begin();
      onBegin();
      const outcome = await commit();
      if (typeof outcome === 'string') return outcome;
      return new StoreError(outcome?.failed ?? 'the thread of the store has ended');
    } catch (cause) {
      return storeError(cause);
    } finally {
      watchdog.end();
    }
  }

  async function take(write: ThreadWrite): Promise<void> {
    let outcome = await outcomeOf(write);
    const since = now();
    while (outcome === 'busy' && open.has(write)) {
      onEnd();
      await pause(SQLITE_BUSY_RETRY_MS);
      // What waits behind it would wait as long for the same lock.
      if (now() - since >= giveUpMs) refuse([write, ...waiting], new StoreError('database is locked'));
      else if (open.has(write)) outcome = await outcomeOf(write);
    }
    if (outcome === 'done') onCommit({ resolve: write.resolve, reject: (cause) => write.reject(storeError(cause)) });
    else if (outcome !== 'busy') write.reject(outcome);
    turn = undefined;
    onEnd();
  }

  return {
    write(commit) {
      const write: ThreadWrite = { commit, ...Promise.withResolvers<void>() };
      open.add(write);
      waiting.push(write);
      return write.promise.finally(() => open.delete(write));
    },
    next() {
      const first = turn ? undefined : waiting.shift();
      if (first) turn = take(first);
    },
    refuse: (cause) => refuse(open, cause),
    close() {
      refuse(waiting, new StoreClosedError());
      return watchdog.isUnderWay() ? withDeadline(giveUpMs, turn!, () => undefined) : undefined;
    },
  };
}
