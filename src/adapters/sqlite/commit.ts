// Group commit: the sentences that are waiting share one transaction, and so one fsync.
import type { Database, Statement } from 'better-sqlite3';
import { StoreError } from '../../ports.ts';

/** What fits in one commit: more would keep the event loop and other processes waiting for too long. */
const MOST = 64;
/** While another process holds the database, it is asked for again so often, for so long, without stopping this one. */
const BUSY_AGAIN_MS = 5;
const BUSY_FOR_MS = 5_000;

interface Waiting {
  /** Says the sentence, and returns what is to be done once it is durable. */
  say: () => () => void;
  reject: (error: StoreError) => void;
}

export class GroupCommit {
  #client: Database;
  #waiting: Waiting[] = [];
  #busySince: number | undefined;
  #closed = false;
  #sql: Record<'begin' | 'commit' | 'rollback' | 'savepoint' | 'undo' | 'release', Statement>;

  constructor(client: Database) {
    this.#client = client;
    this.#sql = {
      begin: client.prepare('BEGIN IMMEDIATE'),
      commit: client.prepare('COMMIT'),
      rollback: client.prepare('ROLLBACK'),
      savepoint: client.prepare('SAVEPOINT sentence'),
      undo: client.prepare('ROLLBACK TO sentence'),
      release: client.prepare('RELEASE sentence'),
    };
  }

  /**
   * Runs a synchronous function of one or more statements, atomically, with those of the same turn; the promise is
   * settled when all of them are on the disk. A sentence that throws is undone alone. Rejects with `StoreError`.
   */
  write<T>(sentence: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreError('the store is closed'));
      const say = () => {
        const value = sentence();
        return () => resolve(value);
      };
      this.#waiting.push({ say, reject });
      if (this.#waiting.length === 1) this.#soon();
    });
  }

  /** Commits what is waiting and takes nothing more. */
  finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.pragma(`busy_timeout = ${BUSY_FOR_MS}`);
    while (this.#waiting.length > 0) this.#commit();
  }

  #soon(): void {
    const next = () => {
      this.#commit();
      if (this.#waiting.length > 0) this.#soon();
    };
    // A timer would make a single writer wait for nothing; only a database that is held elsewhere is worth one.
    if (this.#busySince === undefined) setImmediate(next);
    else setTimeout(next, BUSY_AGAIN_MS);
  }

  /** False: another process holds the database, and it is too early to give up. */
  #begin(): boolean {
    try {
      this.#sql.begin.run();
      this.#busySince = undefined;
      return true;
    } catch (cause) {
      const busy = (cause as { code?: string }).code?.startsWith('SQLITE_BUSY');
      const now = performance.now();
      this.#busySince ??= now;
      if (busy && !this.#closed && now - this.#busySince < BUSY_FOR_MS) return false;
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
      const settle = batch.map((waiting) => this.#alone(waiting));
      this.#sql.commit.run();
      for (const done of settle) done();
    } catch (cause) {
      if (this.#client.inTransaction) this.#sql.rollback.run();
      const error = storeError(cause);
      for (const { reject } of batch) reject(error);
    }
  }

  #alone({ say, reject }: Waiting): () => void {
    this.#sql.savepoint.run();
    try {
      const done = say();
      this.#sql.release.run();
      return done;
    } catch (cause) {
      // After some errors (disk full, I/O) SQLite has undone the whole transaction, the neighbours' part too.
      if (!this.#client.inTransaction) throw cause;
      this.#sql.undo.run();
      this.#sql.release.run();
      return () => reject(storeError(cause));
    }
  }
}

/** SQLite's messages name tables and columns, never values. */
export const storeError = (cause: unknown): StoreError =>
  cause instanceof StoreError
    ? cause
    : new StoreError(cause instanceof Error ? cause.message : 'the store failed', { cause });
