// Group commit: the operations that are waiting share one transaction, and so one fsync.
import type { Database, Statement } from 'better-sqlite3';
import { GROUP_COMMIT_BUDGET_MS, SQLITE_BUSY_GIVE_UP_MS, SQLITE_BUSY_RETRY_MS } from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';

/** Operations in one commit at most: more would block the event loop and other processes for too long. */
const MAX_BATCH = 64;
/** So many are always worth an fsync, however long they take. */
const MIN_BATCH = 16;
/** Promises that are settled in one turn of the event loop: their writers continue at once, and readers must get on too. */
const SETTLED_PER_TURN = 8;

interface WriteOptions {
  isSynced?: boolean;
  durable?: () => void;
}

interface PendingWrite {
  /** Runs the operation, and returns what settles its promise once it is durable. */
  run: () => () => void;
  /** The commit waits for the disk. */
  isSynced: boolean;
  reject: (error: StoreError) => void;
}

export class GroupCommit {
  #client: Database;
  #now: () => number;
  #onCommit: () => void;
  #pending: PendingWrite[] = [];
  /** Settles the promises of what is durable. */
  #durable: (() => void)[] = [];
  #busySince: number | undefined;
  #closed = false;
  /** Commits wait for the disk. Setting it costs as much as writing two rows, and most commits are like the one before. */
  #syncs = true;
  #sql: Record<'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollbackToSavepoint' | 'release', Statement>;

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(client: Database, now: () => number = () => performance.now(), onCommit: () => void = () => undefined) {
    this.#client = client;
    this.#now = now;
    this.#onCommit = onCommit;
    this.#sql = {
      begin: client.prepare('BEGIN IMMEDIATE'),
      commit: client.prepare('COMMIT'),
      rollback: client.prepare('ROLLBACK'),
      savepoint: client.prepare('SAVEPOINT operation'),
      rollbackToSavepoint: client.prepare('ROLLBACK TO operation'),
      release: client.prepare('RELEASE operation'),
    };
  }

  /**
   * Runs a synchronous function of one or more statements, atomically, in one commit with those of the same turn of the
   * event loop; the promise is fulfilled when the commit is on the disk. An operation that throws is rolled back alone; the
   * others of its batch are then run again, so it may have no effect but its statements. Rejects with `StoreError`.
   *
   * `isSynced` false: the promise is fulfilled when the commit is in the log, in the order of all others, and the caller sees to
   * it that the log gets to the disk. Until then a power cut may undo it; nothing else does. `durable` is called before the
   * promise is fulfilled.
   */
  write<T>(operation: () => T, { isSynced = true, durable }: WriteOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreError('the store is closed'));
      const run = () => {
        const value = operation();
        return () => {
          durable?.();
          resolve(value);
        };
      };
      this.#pending.push({ run, isSynced, reject });
      if (this.#pending.length + this.#durable.length === 1) this.#schedule();
    });
  }

  /** Commits what is pending, and rejects what comes later. */
  finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.pragma(`busy_timeout = ${SQLITE_BUSY_GIVE_UP_MS}`);
    while (this.#pending.length > 0) this.#commit();
    for (const settle of this.#durable.splice(0)) settle();
  }

  #schedule(): void {
    // A timer would delay a single writer for nothing; only a database that is locked elsewhere is worth one.
    if (this.#busySince === undefined) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), SQLITE_BUSY_RETRY_MS);
  }

  /** The next commit comes when all promises of the last one are settled: what their writers write at once shares it. */
  #turn(): void {
    if (this.#durable.length === 0) this.#commit();
    for (const settle of this.#durable.splice(0, SETTLED_PER_TURN)) settle();
    if (this.#pending.length + this.#durable.length > 0) this.#schedule();
  }

  /** False: another process has locked the database, and the timeout has not passed. */
  #begin(): boolean {
    try {
      this.#sql.begin.run();
      this.#busySince = undefined;
      return true;
    } catch (cause) {
      const busy = (cause as { code?: string }).code?.startsWith('SQLITE_BUSY');
      const now = this.#now();
      this.#busySince ??= now;
      if (busy && !this.#closed && now - this.#busySince < SQLITE_BUSY_GIVE_UP_MS) return false;
      this.#busySince = undefined;
      throw cause;
    }
  }

  #commit(): void {
    const batch = this.#pending.splice(0, MAX_BATCH);
    if (batch.length === 0) return;
    const isSynced = batch.some((one) => one.isSynced);
    try {
      this.#setSync(isSynced);
      if (!this.#begin()) {
        this.#pending.unshift(...batch);
        return;
      }
      const settlers = this.#runTogether(batch) ?? this.#runAgain(batch);
      if (!settlers) return;
      this.#sql.commit.run();
      this.#durable.push(...settlers);
      this.#onCommit();
    } catch (cause) {
      if (this.#client.inTransaction) this.#sql.rollback.run();
      const error = storeError(cause);
      for (const { reject } of batch) reject(error);
    }
  }

  /** Outside of a transaction: in one it would have no effect. */
  #setSync(syncs: boolean): void {
    if (syncs === this.#syncs) return;
    this.#client.pragma(`synchronous = ${syncs ? 'FULL' : 'NORMAL'}`);
    this.#syncs = syncs;
  }

  /**
   * Undefined when one of them threw. Those there is no time for become pending again. Not in a savepoint: SQLite would keep a
   * copy of each page that they change, which costs as much as a fifth of the statements.
   */
  #runTogether(batch: PendingWrite[]): (() => void)[] | undefined {
    const since = this.#now();
    const settlers: (() => void)[] = [];
    try {
      for (const { run } of batch) {
        settlers.push(run());
        if (settlers.length >= MIN_BATCH && this.#now() - since > GROUP_COMMIT_BUDGET_MS) break;
      }
    } catch (cause) {
      // After some errors (disk full, I/O) SQLite has rolled back the transaction.
      if (!this.#client.inTransaction) throw cause;
      return undefined;
    }
    this.#pending.unshift(...batch.splice(settlers.length));
    return settlers;
  }

  /** From the beginning, in a transaction of its own. Undefined: another process has locked the database meanwhile. */
  #runAgain(batch: PendingWrite[]): (() => void)[] | undefined {
    this.#sql.rollback.run();
    if (this.#begin()) return this.#runOneByOne(batch);
    this.#pending.unshift(...batch);
    return undefined;
  }

  /** Takes twice as many statements, so only when one of them is known to throw. */
  #runOneByOne(batch: PendingWrite[]): (() => void)[] {
    return batch.map(({ run, reject }) => {
      const { value: settle, cause } = this.#inSavepoint(run);
      return settle ?? (() => reject(storeError(cause)));
    });
  }

  #inSavepoint<T>(statements: () => T): { value: T; cause?: never } | { value?: never; cause: unknown } {
    this.#sql.savepoint.run();
    try {
      const value = statements();
      this.#sql.release.run();
      return { value };
    } catch (cause) {
      // As above: with the rest of the batch.
      if (!this.#client.inTransaction) throw cause;
      this.#sql.rollbackToSavepoint.run();
      this.#sql.release.run();
      return { cause };
    }
  }
}

/** SQLite's messages name tables and columns, never values. */
export const storeError = (cause: unknown): StoreError =>
  cause instanceof StoreError
    ? cause
    : new StoreError(cause instanceof Error ? cause.message : 'the store failed', { cause });
