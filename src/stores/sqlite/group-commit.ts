// Group commit: the operations that are waiting share one transaction, and so one fsync, which another thread waits for.
//
//   write ──────── pending ── commit ──────────────┐
//                                                  ├── unsynced ── fsync ── durable ── fulfilled
//   writeElsewhere waiting ── commit of a thread ──┘
//
// At most one commit and one fsync are under way. A commit of the event loop begins when neither is, and when all that is durable is
// fulfilled; it goes before those of the thread, which begin whenever none is due, also during an fsync. An fsync begins when
// something is unsynced, and no write waits for the thread alone: its commit shares the fsync. So a write waits for the fsync and the
// commit of the thread that it meets, and for no others; and the thread has its turn in each fsync. Each fsync and each commit of the
// thread has a watchdog: when one is silent, all that waits is refused until it ends, but for what is patient.
import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';
import { SQLITE_BUSY_RETRY_MS, SQLITE_DISK_GIVE_UP_MS, SQLITE_UNSYNCED_AFTER_MS } from '../../domain/time-limits.ts';
import { StoreClosedError, StoreError } from '../../ports/index.ts';
import { type BatchTransaction, createBatchTransaction, isLocked, type Operation } from './batch-transaction.ts';
import { storeError } from './store-error.ts';
import { createThreadCommits, type ThreadCommit, type ThreadCommits } from './thread-commits.ts';
import { createUnsyncedCommits, type UnsyncedCommits, type Writer } from './unsynced-commits.ts';
import { createWatchdog, type Watchdog } from './watchdog.ts';

/** Operations in one commit at most: more would block the event loop and other processes for too long. */
const MAX_BATCH = 64;
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

interface PendingWrite extends Operation {
  isAwaited: boolean;
  isPatient: boolean;
}

const DEFAULTS = {
  /** Milliseconds of a clock that only goes forward. */
  now: () => performance.now(),
  onCommit: () => {},
  /** All writers of the last commit have been answered. */
  onAnswered: () => {},
  /** Brings what is in the log to the disk. */
  sync: async () => {},
  /** How long one fsync, or one commit of the thread, may take before those that wait behind it are refused. */
  giveUpMs: SQLITE_DISK_GIVE_UP_MS,
  /** How long after that what is patient goes into the log. */
  unsyncedAfterMs: SQLITE_UNSYNCED_AFTER_MS,
  /**
   * Calls a function when the answers of this turn of the event loop are sent. Returns what cancels that. Timers come before requests
   * are read, `setImmediate` between reading them and sending the answers (`write-batch.ts`).
   */
  later(turn: () => void): () => void {
    const timer = setTimeout(turn);
    return () => clearTimeout(timer);
  },
};

export type GroupCommitParts = Partial<typeof DEFAULTS>;

export class GroupCommit {
  #parts: typeof DEFAULTS;
  #pending: PendingWrite[] = [];
  /** Settles the promises of what is durable. */
  #durable: (() => void)[] = [];
  /** The turn that comes. */
  #next: { isAwaited: boolean; cancel: () => void } | undefined;
  #closed = false;
  #transaction: BatchTransaction;
  #unsynced: UnsyncedCommits;
  #sync: Watchdog;
  #thread: ThreadCommits;
  #threadCommit: Watchdog;

  constructor(client: Database, parts: GroupCommitParts = {}) {
    this.#parts = { ...DEFAULTS, ...parts };
    // Commits go into the log alone.
    client.pragma('synchronous = NORMAL');
    const { now, sync, giveUpMs, unsyncedAfterMs } = this.#parts;
    this.#transaction = createBatchTransaction(client, now);
    const watchdog = () =>
      createWatchdog({
        giveUpMs,
        unsyncedAfterMs,
        onSilent: () => this.#refuseWaiting(),
        onPassed: () => this.#schedule(),
      });
    this.#sync = watchdog();
    this.#unsynced = createUnsyncedCommits({
      client,
      watchdog: this.#sync,
      sync,
      onDurable: (writers) => this.#durable.push(...writers.map(({ resolve }) => resolve)),
      onFailed: (writers, cause) => this.#refuse(writers, cause),
      onEnd: () => this.#schedule(),
    });
    this.#threadCommit = watchdog();
    this.#thread = createThreadCommits({
      watchdog: this.#threadCommit,
      giveUpMs,
      now,
      onBegin: () => {
        if (this.#closed) throw new StoreClosedError();
        this.#unsynced.emptyLogInDoubt();
      },
      onCommit: (writer) => this.#committed([writer]),
      onEnd: () => this.#schedule(),
    });
  }

  /**
   * Runs a synchronous function of one or more statements, atomically, in one commit with those of the same turn of the
   * event loop; the promise is fulfilled when the commit is on the disk. An operation that throws is rolled back alone; the
   * others of its batch are then run again, so it may have no effect but its statements. Rejects with `StoreError`: then it
   * had no effect, unless the disk has failed after the commit. While the disk does not answer, only what is patient waits for it.
   */
  write<T>(operation: () => T, { isAwaited = true, isPatient = false, durable }: WriteOptions = {}): Promise<T> {
    return new Promise((resolve, refuse) => {
      const reject = (cause: unknown) => refuse(storeError(cause));
      if (this.#closed) return reject(new StoreClosedError());
      if (this.#isSilent() && !isPatient) return reject(diskSilent());
      const run = () => {
        const value = operation();
        return () => {
          durable?.();
          resolve(value);
        };
      };
      this.#pending.push({ run, isAwaited, isPatient, reject });
      this.#schedule();
    });
  }

  /**
   * What another thread commits, with a connection of its own, into the log. Until `commit` is fulfilled, nothing is committed here,
   * where it would only block the event loop. The promise is fulfilled when that is on the disk. Rejects with `StoreError`, also while
   * the disk does not answer: then it may have had an effect, or may still have it.
   */
  writeElsewhere(commit: ThreadCommit): Promise<void> {
    if (this.#closed) return Promise.reject(new StoreClosedError());
    if (this.#isSilent()) return Promise.reject(diskSilent());
    const written = this.#thread.write(commit);
    this.#schedule();
    return written;
  }

  /**
   * Commits what is pending, and rejects what comes later. Fulfilled when all of it is on the disk. If the disk hangs, what is
   * pending is in the log at least, which outlives the process.
   */
  async finish(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#next?.cancel();
    const ended = this.#thread.close();
    // One that hangs holds the lock: what is pending is refused then, and kept elsewhere.
    if (ended) await ended;
    while (this.#pending.length > 0) {
      this.#commit();
      // The event loop has time limits to keep, and probes to answer, until the last.
      if (this.#transaction.isLocked()) await pause(SQLITE_BUSY_RETRY_MS);
    }
    while (this.#sync.isUnderWay() || !this.#unsynced.isEmpty()) await this.#unsynced.sync();
    for (const settle of this.#durable.splice(0)) settle();
    this.#threadCommit.end();
  }

  #isSilent(): boolean {
    return this.#sync.isSilent() || this.#threadCommit.isSilent();
  }

  /** Otherwise they would only become more, and their clients have hung up. */
  #refuseWaiting(): void {
    const refused = this.#pending.filter(({ isPatient }) => !isPatient);
    this.#pending = this.#pending.filter(({ isPatient }) => isPatient);
    for (const { reject } of refused) reject(diskSilent());
    this.#thread.refuse(diskSilent());
    this.#schedule();
  }

  #isCommitDue(): boolean {
    return this.#pending.length > 0 && !this.#threadCommit.holdsCommits() && !this.#sync.holdsCommits();
  }

  #isSyncDue(): boolean {
    const waitsForThread =
      this.#pending.length > 0 && this.#threadCommit.holdsCommits() && !this.#threadCommit.isSilent();
    return !this.#unsynced.isEmpty() && !this.#sync.isUnderWay() && !waitsForThread;
  }

  /** Nothing is committed until the last commit is on the disk, unless that takes very long. */
  #schedule(): void {
    if (this.#closed) return;
    const isCommitDue = this.#isCommitDue();
    if (!isCommitDue) this.#thread.next();
    if (this.#durable.length === 0 && !isCommitDue && !this.#isSyncDue()) return;
    const isAwaited = this.#durable.length > 0 || (isCommitDue && this.#pending.some((one) => one.isAwaited));
    if (this.#next && (this.#next.isAwaited || !isAwaited)) return;
    this.#next?.cancel();
    this.#next = { isAwaited, cancel: this.#call(isAwaited) };
  }

  #call(isAwaited: boolean): () => void {
    const turn = () => {
      this.#next = undefined;
      this.#turn();
    };
    if (this.#transaction.isLocked()) {
      const timer = setTimeout(turn, SQLITE_BUSY_RETRY_MS);
      return () => clearTimeout(timer);
    }
    if (!isAwaited) return this.#parts.later(turn);
    // A timer would delay a single writer for nothing.
    const immediate = setImmediate(turn);
    return () => clearImmediate(immediate);
  }

  /**
   * The next commit comes when the last one is on the disk and all its promises are settled: what was written meanwhile, and what
   * their writers write at once, shares it.
   */
  #turn(): void {
    if (this.#durable.length === 0) {
      if (this.#isCommitDue()) this.#commit();
      if (this.#isSyncDue()) void this.#unsynced.sync();
    }
    const settlers = this.#durable.splice(0, SETTLED_PER_TURN);
    for (const settle of settlers) settle();
    if (settlers.length > 0 && this.#durable.length === 0) this.#parts.onAnswered();
    this.#schedule();
  }

  #commit(): void {
    const batch = this.#pending.splice(0, MAX_BATCH);
    try {
      this.#unsynced.emptyLogInDoubt();
      const settlers = this.#transaction.run(batch);
      this.#pending.unshift(...batch.splice(settlers.length));
      if (settlers.length === 0) return;
      this.#transaction.commit();
      this.#committed(settlers.map((resolve, i) => ({ resolve, reject: batch[i]!.reject })));
    } catch (cause) {
      this.#transaction.rollback();
      // What waits behind them would wait as long for the same lock.
      this.#refuse(isLocked(cause) ? [...batch, ...this.#pending.splice(0)] : batch, cause);
    }
  }

  #committed(writers: Writer[]): void {
    this.#unsynced.add(writers);
    this.#parts.onCommit();
  }

  #refuse(writers: readonly Pick<Writer, 'reject'>[], cause: unknown): void {
    for (const { reject } of writers) reject(cause);
    this.#parts.onAnswered();
  }
}

const diskSilent = () => new StoreError('the disk does not answer');
