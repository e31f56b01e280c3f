// Group commit: the sentences that are waiting share one transaction, and so one fsync.
import type { Database, Statement } from 'better-sqlite3';
import { GROUP_COMMIT_BUDGET_MS, SQLITE_BUSY_GIVE_UP_MS, SQLITE_BUSY_RETRY_MS } from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';

/** What fits in one commit: more would keep the event loop and other processes waiting for too long. */
const MOST = 64;
/** This many are always worth an fsync, however long they take. */
const FEWEST = 16;
/** So many writers are told in one turn of the event loop: each goes to work at once, and readers want their turn. */
const TOLD_AT_ONCE = 8;

interface Waiting {
  /** Says the sentence, and returns what is to be done once it is durable. */
  say: () => () => void;
  reject: (error: StoreError) => void;
}

export class GroupCommit {
  #client: Database;
  #now: () => number;
  #waiting: Waiting[] = [];
  /** What is durable, of writers that have not been told yet. */
  #done: (() => void)[] = [];
  #busySince: number | undefined;
  #closed = false;
  #sql: Record<'begin' | 'commit' | 'rollback' | 'savepoint' | 'undo' | 'release', Statement>;

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(client: Database, now: () => number = () => performance.now()) {
    this.#client = client;
    this.#now = now;
    this.#sql = {
      begin: client.prepare('BEGIN IMMEDIATE'),
      commit: client.prepare('COMMIT'),
      rollback: client.prepare('ROLLBACK'),
      savepoint: client.prepare('SAVEPOINT undoable'),
      undo: client.prepare('ROLLBACK TO undoable'),
      release: client.prepare('RELEASE undoable'),
    };
  }

  /**
   * Runs a synchronous function of one or more statements, atomically, with those of the same turn; the promise is
   * settled when all of them are on the disk. A sentence that throws is undone alone; its neighbours are then said
   * once more, so that it may do nothing but what is undone with it. Rejects with `StoreError`.
   */
  write<T>(sentence: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreError('the store is closed'));
      const say = () => {
        const value = sentence();
        return () => resolve(value);
      };
      this.#waiting.push({ say, reject });
      if (this.#waiting.length + this.#done.length === 1) this.#soon();
    });
  }

  /** Commits what is waiting and takes nothing more. */
  finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.pragma(`busy_timeout = ${SQLITE_BUSY_GIVE_UP_MS}`);
    while (this.#waiting.length > 0) this.#commit();
    for (const done of this.#done.splice(0)) done();
  }

  #soon(): void {
    // A timer would make a single writer wait for nothing; only a database that is held elsewhere is worth one.
    if (this.#busySince === undefined) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), SQLITE_BUSY_RETRY_MS);
  }

  /** The next commit comes when all writers of the last one have been told: what they write at once shares it. */
  #turn(): void {
    if (this.#done.length === 0) this.#commit();
    for (const done of this.#done.splice(0, TOLD_AT_ONCE)) done();
    if (this.#waiting.length + this.#done.length > 0) this.#soon();
  }

  /** False: another process holds the database, and it is too early to give up. */
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
    const batch = this.#waiting.splice(0, MOST);
    if (batch.length === 0) return;
    try {
      if (!this.#begin()) {
        this.#waiting.unshift(...batch);
        return;
      }
      const settle = this.#together(batch) ?? this.#oneByOne(batch);
      this.#sql.commit.run();
      this.#done.push(...settle);
    } catch (cause) {
      if (this.#client.inTransaction) this.#sql.rollback.run();
      const error = storeError(cause);
      for (const { reject } of batch) reject(error);
    }
  }

  /** Undefined when one of them failed: then none has been said. What there is no time for goes back in line. */
  #together(batch: Waiting[]): (() => void)[] | undefined {
    const since = this.#now();
    return this.#undoable(() => {
      const settle: (() => void)[] = [];
      for (const { say } of batch) {
        settle.push(say());
        if (settle.length >= FEWEST && this.#now() - since > GROUP_COMMIT_BUDGET_MS) break;
      }
      this.#waiting.unshift(...batch.splice(settle.length));
      return settle;
    }).value;
  }

  /** Twice as many statements, so only where one of them is known to fail. */
  #oneByOne(batch: Waiting[]): (() => void)[] {
    return batch.map(({ say, reject }) => {
      const { value: done, cause } = this.#undoable(say);
      return done ?? (() => reject(storeError(cause)));
    });
  }

  #undoable<T>(statements: () => T): { value: T; cause?: never } | { value?: never; cause: unknown } {
    this.#sql.savepoint.run();
    try {
      const value = statements();
      this.#sql.release.run();
      return { value };
    } catch (cause) {
      // After some errors (disk full, I/O) SQLite has undone the whole transaction, the neighbours' part too.
      if (!this.#client.inTransaction) throw cause;
      this.#sql.undo.run();
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
