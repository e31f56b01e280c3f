// What is in the write-ahead log and not known to be on the disk: one fsync brings all of it there, which another thread waits for.
import type { Database } from 'better-sqlite3';
import { StoreError } from '../../ports/index.ts';
import type { Watchdog } from './watchdog.ts';

/** Who waits until a commit is on the disk. */
export type Writer = Pick<PromiseWithResolvers<void>, 'resolve' | 'reject'>;

export interface UnsyncedCommits {
  /** Those of a commit that is in the log. */
  add(writers: readonly Writer[]): void;
  /** Nothing is in the log since the last sync began. */
  isEmpty(): boolean;
  /** Brings to the disk what is in the log. One at a time: the one under way, if there is. Never rejects. */
  sync(): Promise<void>;
  /**
   * Before each commit. An fsync reports a failure once: the next one says nothing of what was lost. So after one, all that is in the
   * log is written into the file of the database, and that is brought to the disk, before anything is committed again. Throws
   * `StoreError` if that fails.
   */
  emptyLogInDoubt(): void;
}

interface Parts {
  client: Database;
  /** Of the sync that is under way. */
  watchdog: Watchdog;
  /** Brings what is in the log to the disk. */
  sync(): Promise<void>;
  onDurable(writers: readonly Writer[]): void;
  onFailed(writers: readonly Writer[], cause: unknown): void;
  /** After either of both. */
  onEnd(): void;
}

export function createUnsyncedCommits(parts: Parts): UnsyncedCommits {
  const { client, watchdog, sync, onDurable, onFailed, onEnd } = parts;
  let unsynced: Writer[] = [];
  let syncing: Promise<void> | undefined;
  /** The disk has failed below the log: what is in it may not be there after a power cut, and nothing that comes after it. */
  let isLogInDoubt = false;

  function take(): Writer[] {
    const taken = unsynced;
    unsynced = [];
    return taken;
  }

  async function bringToDisk(writers: Writer[]): Promise<void> {
    watchdog.begin();
    try {
      if (isLogInDoubt) throw new StoreError('the disk has failed');
      await sync();
      onDurable(writers);
    } catch (cause) {
      isLogInDoubt = true;
      onFailed([...writers, ...take()], cause);
    } finally {
      watchdog.end();
    }
  }

  return {
    add(writers) {
      unsynced.push(...writers);
    },
    isEmpty: () => unsynced.length === 0,
    sync() {
      syncing ??= bringToDisk(take()).finally(() => {
        syncing = undefined;
        onEnd();
      });
      return syncing;
    },
    emptyLogInDoubt() {
      if (!isLogInDoubt) return;
      const [result] = client.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
      if (result?.busy !== 0) throw new StoreError('the disk has failed, and the log could not be emptied since');
      isLogInDoubt = false;
    },
  };
}
