// Commits of another thread, on a connection of its own: one at a time, in turn with those of the event loop.
import { setTimeout as pause } from 'node:timers/promises';
import { startDeadline, withDeadline } from '../../domain/deadline.ts';
import { SQLITE_BUSY_RETRY_MS } from '../../domain/time-limits.ts';
import { StoreClosedError, StoreError } from '../../ports/index.ts';
import type { BackgroundOutcome } from './background-thread.ts';
import { storeError } from './store-error.ts';
import type { Writer } from './unsynced-commits.ts';

interface ThreadWrite extends PromiseWithResolvers<void> {
  commit: ThreadCommit;
  /** Another process had locked the database, the last time. */
  isLocked: boolean;
  isRefused: boolean;
}

/** Undefined: the thread has ended. */
export type ThreadCommit = () => Promise<BackgroundOutcome | undefined>;

export interface ThreadCommits {
  /** See `GroupCommit.writeElsewhere`. */
  write(commit: ThreadCommit): Promise<void>;
  /** The event loop has nothing to commit: the turn of the first that waits, unless another one has it. */
  next(): void;
  /** The event loop would block on its lock. */
  isUnderWay(): boolean;
  /** Refuses what waits. Fulfilled when the one under way has ended, or hangs; undefined: none is. */
  close(): Promise<void> | undefined;
}

export interface ThreadCommitsParts {
  /** From `write` on until it is on the disk. */
  giveUpMs: number;
  /** Throws if nothing may be committed now. */
  onBegin(): void;
  /** It is in the log: to be resolved when that is on the disk. */
  onCommit(writer: Writer): void;
  /** It is no longer under way. */
  onEnd(): void;
}

export function createThreadCommits({ giveUpMs, onBegin, onCommit, onEnd }: ThreadCommitsParts): ThreadCommits {
  let waiting: ThreadWrite[] = [];
  let turn: Promise<void> | undefined;
  let isUnderWay = false;

  async function outcomeOf(commit: ThreadCommit): Promise<'done' | 'busy' | StoreError> {
    try {
      isUnderWay = true;
      onBegin();
      const outcome = await commit();
      if (typeof outcome === 'string') return outcome;
      return new StoreError(outcome?.failed ?? 'the thread of the store has ended');
    } catch (cause) {
      return storeError(cause);
    } finally {
      isUnderWay = false;
    }
  }

  async function take(write: ThreadWrite): Promise<void> {
    do {
      if (write.isLocked) await pause(SQLITE_BUSY_RETRY_MS);
      if (write.isRefused) break;
      const outcome = await outcomeOf(write.commit);
      write.isLocked = outcome === 'busy';
      if (outcome === 'done') onCommit({ resolve: write.resolve, reject: (cause) => write.reject(storeError(cause)) });
      else if (outcome !== 'busy') write.reject(outcome);
      else onEnd();
    } while (write.isLocked);
    turn = undefined;
    onEnd();
  }

  return {
    write(commit) {
      const write: ThreadWrite = { commit, isLocked: false, isRefused: false, ...Promise.withResolvers<void>() };
      waiting.push(write);
      const cancel = startDeadline(giveUpMs, () => {
        waiting = waiting.filter((one) => one !== write);
        write.isRefused = true;
        write.reject(new StoreError(write.isLocked ? 'database is locked' : 'the disk does not answer'));
      });
      return write.promise.finally(cancel);
    },
    next() {
      const first = turn ? undefined : waiting.shift();
      if (first) turn = take(first);
    },
    isUnderWay: () => isUnderWay,
    close() {
      for (const { reject } of waiting.splice(0)) reject(new StoreClosedError());
      return isUnderWay ? withDeadline(giveUpMs, turn!, () => undefined) : undefined;
    },
  };
}
