// Operations that share a transaction: one that throws is undone alone.
import type { Database } from 'better-sqlite3';
import { GROUP_COMMIT_BUDGET_MS, SQLITE_BUSY_GIVE_UP_MS } from '../../domain/time-limits.ts';

/** So many are always worth a commit, however long they take. */
const MIN_BATCH = 4;

export interface Operation {
  /** Returns what settles its promise once it is durable. */
  run: () => () => void;
  reject: (cause: unknown) => void;
}

export interface BatchTransaction {
  /**
   * Begins, and runs the first operations of a batch: as many as there is time for. Returns what settles those; none if another
   * process has locked the database. Throws if it has for too long, and what SQLite throws.
   */
  run(batch: readonly Operation[]): (() => void)[];
  commit(): void;
  /** If it has begun. */
  rollback(): void;
  /** Another process had locked the database, the last time. */
  isLocked(): boolean;
}

/** Whether SQLite says that another process has locked the database. */
export const isLocked = (cause: unknown): boolean =>
  (cause as { code?: string } | undefined)?.code?.startsWith('SQLITE_BUSY') === true;

/** `now`: milliseconds of a clock that only goes forward. */
export function createBatchTransaction(client: Database, now: () => number): BatchTransaction {
  const sql = {
    begin: client.prepare('BEGIN IMMEDIATE'),
    commit: client.prepare('COMMIT'),
    rollback: client.prepare('ROLLBACK'),
    savepoint: client.prepare('SAVEPOINT operation'),
    rollbackToSavepoint: client.prepare('ROLLBACK TO operation'),
    release: client.prepare('RELEASE operation'),
  };
  let lockedSince: number | undefined;

  function hasBegun(): boolean {
    const since = lockedSince ?? now();
    lockedSince = undefined;
    try {
      sql.begin.run();
      return true;
    } catch (cause) {
      if (!isLocked(cause) || now() - since >= SQLITE_BUSY_GIVE_UP_MS) throw cause;
      lockedSince = since;
      return false;
    }
  }

  /** None if one of them threw. A savepoint for each would have SQLite copy the pages that they change: a fifth of the work. */
  function runTogether(batch: readonly Operation[]): (() => void)[] {
    const since = now();
    const settlers: (() => void)[] = [];
    try {
      for (const { run } of batch) {
        settlers.push(run());
        if (settlers.length >= MIN_BATCH && now() - since > GROUP_COMMIT_BUDGET_MS) break;
      }
      return settlers;
    } catch (cause) {
      // After some errors (disk full, I/O) SQLite has rolled back all of it.
      if (!client.inTransaction) throw cause;
      return [];
    }
  }

  /** Takes twice as many statements, so only when one of them is known to throw. */
  function runAlone({ run, reject }: Operation): () => void {
    sql.savepoint.run();
    try {
      const settle = run();
      sql.release.run();
      return settle;
    } catch (cause) {
      if (!client.inTransaction) throw cause;
      sql.rollbackToSavepoint.run();
      sql.release.run();
      return () => reject(cause);
    }
  }

  return {
    run(batch) {
      const settlers = hasBegun() ? runTogether(batch) : [];
      if (settlers.length > 0 || lockedSince !== undefined) return settlers;
      sql.rollback.run();
      return hasBegun() ? batch.map(runAlone) : [];
    },
    commit: () => void sql.commit.run(),
    rollback() {
      if (client.inTransaction) sql.rollback.run();
    },
    isLocked: () => lockedSince !== undefined,
  };
}
