// Group commit: the operations that are waiting share one transaction, and so one fsync, which another thread waits for.
import { setTimeout as pause } from 'node:timers/promises';
import type { Database, Statement } from 'better-sqlite3';
import { startDeadline, withDeadline } from '../../domain/deadline.ts';
import {
  GROUP_COMMIT_BUDGET_MS,
  SQLITE_BUSY_GIVE_UP_MS,
  SQLITE_BUSY_RETRY_MS,
  SQLITE_DISK_GIVE_UP_MS,
  SQLITE_UNSYNCED_AFTER_MS,
} from '../../domain/time-limits.ts';
import { StoreClosedError, StoreError } from '../../ports/index.ts';

/** Operations in one commit at most: more would block the event loop and other processes for too long. */
const MAX_BATCH = 64;
/** So many are always worth a commit, however long they take. */
const MIN_BATCH = 4;
/** Promises that are settled in one turn of the event loop: their writers continue at once, and readers must get on too. */
const SETTLED_PER_TURN = 8;

interface WriteOptions {
  /** False: no request waits for it. */
  isAwaited?: boolean;
  /**
   * True: what it says has happened elsewhere and cannot be repeated, so it waits for as long as the disk takes; after a while in
   * the log, where other processes see it.
   */
  isPatient?: boolean;
  /** Called before the promise is fulfilled. */
  durable?: () => void;
}

/** What has been committed, and is not known to be on the disk. */
interface Unsynced {
  settle: () => void;
  reject: (error: StoreError) => void;
}

interface PendingElsewhere extends PromiseWithResolvers<void> {
  commit: (begins: () => void) => Promise<ElsewhereOutcome>;
  /** Another process had locked the database, the last time. */
  isLocked: boolean;
  isRefused: boolean;
}
/** `busy`: another process has locked the database. Undefined: the thread has ended. */
type ElsewhereOutcome = 'done' | 'busy' | { failed: string } | undefined;

interface PendingWrite {
  /** Runs the operation, and returns what settles its promise once it is durable. */
  run: () => () => void;
  isAwaited: boolean;
  isPatient: boolean;
  reject: (error: StoreError) => void;
}

export interface GroupCommitParts {
  /** Milliseconds of a clock that only goes forward. */
  now?: () => number;
  onCommit?: () => void;
  /** All writers of the last commit have been answered. */
  onAnswered?: () => void;
  /** Brings what is in the log to the disk. */
  sync?: () => Promise<void>;
  /** How long the disk may take for a commit before those that wait behind it are refused. */
  giveUpMs?: number;
  /** How long after that what is patient goes into the log. */
  unsyncedAfterMs?: number;
  /** Calls a function when the answers of this turn of the event loop are sent. Returns what cancels that. */
  later?: (turn: () => void) => () => void;
}

/** Timers come before requests are read, `setImmediate` between reading them and sending the answers (`write-batch.ts`). */
const byTimer = (turn: () => void) => {
  const timer = setTimeout(turn);
  return () => clearTimeout(timer);
};

export class GroupCommit {
  #client: Database;
  #parts: Required<GroupCommitParts>;
  #pending: PendingWrite[] = [];
  /** Settles the promises of what is durable. */
  #durable: (() => void)[] = [];
  /** The turn that comes. */
  #next: { isAwaited: boolean; cancel: () => void } | undefined;
  /** To be committed by another thread, one at a time. */
  #elsewhere: PendingElsewhere[] = [];
  /** The first of them waits for its turn there, or is under way. */
  #asked: Promise<void> | undefined;
  /** It is under way: nothing is committed here meanwhile. */
  #isElsewhere = false;
  /** In the log, since the last sync began. */
  #unsynced: Unsynced[] = [];
  /** What was in the log is brought to the disk. */
  #syncing: Promise<void> | undefined;
  /** Cancels the wait for the disk, which begins with the first that comes meanwhile. */
  #stopWaiting: (() => void) | undefined;
  #isDiskSilent = false;
  /** Commits do not wait for the one before them to be on the disk. */
  #isAhead = false;
  /** The disk has failed below the log: what is in it may not be there after a power cut, and nothing that comes after it. */
  #isLogInDoubt = false;
  #busySince: number | undefined;
  #closed = false;
  #sql: Record<'begin' | 'commit' | 'rollback' | 'savepoint' | 'rollbackToSavepoint' | 'release', Statement>;

  constructor(
    client: Database,
    {
      now = () => performance.now(),
      onCommit = () => undefined,
      onAnswered = () => undefined,
      sync = async () => undefined,
      giveUpMs = SQLITE_DISK_GIVE_UP_MS,
      unsyncedAfterMs = SQLITE_UNSYNCED_AFTER_MS,
      later = byTimer,
    }: GroupCommitParts = {},
  ) {
    this.#client = client;
    this.#parts = { now, onCommit, onAnswered, sync, giveUpMs, unsyncedAfterMs, later };
    // Commits go into the log alone.
    client.pragma('synchronous = NORMAL');
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
   * others of its batch are then run again, so it may have no effect but its statements. Rejects with `StoreError`: then it
   * had no effect, unless the disk has failed after the commit. While the disk does not answer, only what is patient waits for it.
   */
  write<T>(operation: () => T, { isAwaited = true, isPatient = false, durable }: WriteOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreClosedError());
      if (this.#isDiskSilent && !isPatient) return reject(diskSilent());
      const run = () => {
        const value = operation();
        return () => {
          durable?.();
          resolve(value);
        };
      };
      this.#pending.push({ run, isAwaited, isPatient, reject });
      this.#wait();
      this.#schedule();
    });
  }

  /**
   * What another thread commits, with a connection of its own, into the log. `commit` calls `begins` when it is its turn there: from
   * then on until `commit` is fulfilled, nothing is committed here, where it would only block the event loop. The promise is
   * fulfilled when that is on the disk. Rejects with `StoreError`: then it may have had an effect, or may still have it.
   */
  writeElsewhere(commit: PendingElsewhere['commit']): Promise<void> {
    if (this.#closed) return Promise.reject(new StoreClosedError());
    if (this.#isDiskSilent) return Promise.reject(diskSilent());
    const write: PendingElsewhere = { commit, isLocked: false, isRefused: false, ...Promise.withResolvers<void>() };
    this.#elsewhere.push(write);
    const cancel = startDeadline(this.#parts.giveUpMs, () => {
      this.#elsewhere = this.#elsewhere.filter((one) => one !== write);
      write.isRefused = true;
      write.reject(write.isLocked ? new StoreError('database is locked') : diskSilent());
    });
    this.#schedule();
    return write.promise.finally(cancel);
  }

  /**
   * Commits what is pending, and rejects what comes later. Fulfilled when all of it is on the disk. If the disk hangs, what is
   * pending is in the log at least, which outlives the process.
   */
  async finish(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#next?.cancel();
    for (const { reject } of this.#elsewhere.splice(0)) reject(new StoreClosedError());
    // One that hangs holds the lock: what is pending is refused then, and kept elsewhere.
    if (this.#isElsewhere) await withDeadline(this.#parts.giveUpMs, this.#asked!, () => undefined);
    this.#client.pragma(`busy_timeout = ${SQLITE_BUSY_GIVE_UP_MS}`);
    while (this.#pending.length > 0) this.#commit();
    while (this.#syncing || this.#unsynced.length > 0) await this.#sync();
    for (const settle of this.#durable.splice(0)) settle();
  }

  /** What is to be committed waits for the disk, or for another thread, which waits for it. */
  #wait(): void {
    if (this.#syncing || this.#isElsewhere)
      this.#stopWaiting ??= startDeadline(this.#parts.giveUpMs, () => this.#refuseWaiting());
  }

  #waitNoLonger(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#isDiskSilent = false;
    this.#isAhead = false;
  }

  /** Otherwise they would only become more, and their clients have hung up. */
  #refuseWaiting(): void {
    this.#isDiskSilent = true;
    const { patient = [], refused = [] } = Object.groupBy(this.#pending, (one) =>
      one.isPatient ? 'patient' : 'refused',
    );
    this.#pending = patient;
    for (const { reject } of refused) reject(diskSilent());
    this.#stopWaiting = startDeadline(this.#parts.unsyncedAfterMs, () => {
      this.#isAhead = true;
      this.#schedule();
    });
  }

  #isCommitDue(): boolean {
    return this.#pending.length > 0 && (this.#isAhead || (!this.#isElsewhere && !this.#syncing));
  }

  #isSyncDue(): boolean {
    return this.#unsynced.length > 0 && !this.#syncing;
  }

  /** Nothing is committed until the last commit is on the disk, unless that takes very long. */
  #schedule(): void {
    if (this.#closed) return;
    const isCommitDue = this.#isCommitDue();
    if (!isCommitDue) this.#askElsewhere();
    if (this.#durable.length === 0 && !isCommitDue && !this.#isSyncDue()) return;
    const isAwaited = this.#durable.length > 0 || (isCommitDue && this.#pending.some((one) => one.isAwaited));
    if (this.#next && (this.#next.isAwaited || !isAwaited)) return;
    this.#next?.cancel();
    this.#next = { isAwaited, cancel: this.#call(isAwaited) };
  }

  /** While nothing is to be committed here. */
  #askElsewhere(): void {
    if (this.#asked) return;
    const write = this.#elsewhere.shift();
    if (write) this.#asked = this.#commitElsewhere(write);
  }

  async #commitElsewhere(write: PendingElsewhere): Promise<void> {
    const { commit, resolve, reject } = write;
    try {
      let outcome: ElsewhereOutcome;
      do {
        if (write.isLocked) await pause(SQLITE_BUSY_RETRY_MS);
        outcome = write.isRefused ? 'busy' : await this.#whileNothingIsCommitted(commit);
        write.isLocked = outcome === 'busy';
      } while (write.isLocked && !write.isRefused);
      if (outcome === 'done') {
        this.#unsynced.push({ settle: resolve, reject });
        this.#parts.onCommit();
      } else if (outcome !== 'busy') reject(new StoreError(outcome?.failed ?? 'the thread of the store has ended'));
    } catch (cause) {
      reject(storeError(cause));
    }
    this.#asked = undefined;
    this.#schedule();
  }

  async #whileNothingIsCommitted(commit: PendingElsewhere['commit']): Promise<ElsewhereOutcome> {
    try {
      return await commit(() => this.#beginElsewhere());
    } finally {
      this.#isElsewhere = false;
      if (!this.#syncing) this.#waitNoLonger();
      this.#schedule();
    }
  }

  #beginElsewhere(): void {
    if (this.#closed) throw new StoreClosedError();
    if (this.#isLogInDoubt) this.#emptyLog();
    this.#isElsewhere = true;
    if (this.#pending.length > 0) this.#wait();
  }

  #call(isAwaited: boolean): () => void {
    const turn = () => {
      this.#next = undefined;
      this.#turn();
    };
    if (this.#busySince === undefined && !isAwaited) return this.#parts.later(turn);
    // A timer would delay a single writer for nothing; only a database that is locked elsewhere is worth one.
    if (this.#busySince === undefined) {
      const immediate = setImmediate(turn);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(turn, SQLITE_BUSY_RETRY_MS);
    return () => clearTimeout(timer);
  }

  /**
   * The next commit comes when the last one is on the disk and all its promises are settled: what was written meanwhile, and what
   * their writers write at once, shares it.
   */
  #turn(): void {
    if (this.#durable.length === 0) {
      if (this.#isCommitDue()) this.#commit();
      if (this.#isSyncDue()) void this.#sync();
    }
    const settlers = this.#durable.splice(0, SETTLED_PER_TURN);
    for (const settle of settlers) settle();
    if (settlers.length > 0 && this.#durable.length === 0) this.#parts.onAnswered();
    this.#schedule();
  }

  /** False: another process has locked the database, and the timeout has not passed. */
  #begin(): boolean {
    try {
      this.#sql.begin.run();
      this.#busySince = undefined;
      return true;
    } catch (cause) {
      const busy = (cause as { code?: string }).code?.startsWith('SQLITE_BUSY');
      const now = this.#parts.now();
      this.#busySince ??= now;
      if (busy && !this.#closed && now - this.#busySince < SQLITE_BUSY_GIVE_UP_MS) return false;
      this.#busySince = undefined;
      throw cause;
    }
  }

  #commit(): void {
    const batch = this.#pending.splice(0, MAX_BATCH);
    if (batch.length === 0) return;
    try {
      if (this.#isLogInDoubt) this.#emptyLog();
      if (!this.#begin()) {
        this.#pending.unshift(...batch);
        return;
      }
      const settlers = this.#runTogether(batch) ?? this.#runAgain(batch);
      if (!settlers) return;
      this.#sql.commit.run();
      for (const [i, settle] of settlers.entries()) this.#unsynced.push({ settle, reject: batch[i]!.reject });
      this.#parts.onCommit();
    } catch (cause) {
      if (this.#client.inTransaction) this.#sql.rollback.run();
      this.#refuse(batch, cause);
    }
  }

  #refuse(batch: Pick<Unsynced, 'reject'>[], cause: unknown): void {
    const error = storeError(cause);
    for (const { reject } of batch) reject(error);
    this.#parts.onAnswered();
  }

  /** One at a time. */
  #sync(): Promise<void> {
    this.#syncing ??= this.#bringToDisk();
    return this.#syncing;
  }

  /** All that is in the log. */
  async #bringToDisk(): Promise<void> {
    const some = this.#unsynced.splice(0);
    try {
      if (this.#isLogInDoubt) throw new StoreError('the disk has failed');
      await this.#parts.sync();
      this.#durable.push(...some.map(({ settle }) => settle));
    } catch (cause) {
      this.#isLogInDoubt = true;
      this.#refuse([...some, ...this.#unsynced.splice(0)], cause);
    }
    this.#syncing = undefined;
    this.#waitNoLonger();
    this.#schedule();
  }

  /**
   * An fsync reports a failure once: the next one says nothing of what was lost. So all that is in the log is written into the file
   * of the database, and that is brought to the disk, before anything is committed again.
   */
  #emptyLog(): void {
    const [result] = this.#client.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (result?.busy !== 0) throw new StoreError('the disk has failed, and the log could not be emptied since');
    this.#isLogInDoubt = false;
  }

  /**
   * Undefined when one of them threw. Those there is no time for become pending again. Not in a savepoint: SQLite would keep a
   * copy of each page that they change, which costs as much as a fifth of the statements.
   */
  #runTogether(batch: PendingWrite[]): (() => void)[] | undefined {
    const { now } = this.#parts;
    const since = now();
    const settlers: (() => void)[] = [];
    try {
      for (const { run } of batch) {
        settlers.push(run());
        if (settlers.length >= MIN_BATCH && now() - since > GROUP_COMMIT_BUDGET_MS) break;
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

const diskSilent = () => new StoreError('the disk does not answer');

/** SQLite's messages name tables and columns, never values. */
export const storeError = (cause: unknown): StoreError =>
  cause instanceof StoreError
    ? cause
    : new StoreError(cause instanceof Error ? cause.message : 'the store failed', { cause });
