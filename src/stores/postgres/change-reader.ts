// Reads the changes on from where it was, in a database that may have failed over. Where that is says a snapshot: what was not
// visible in the last one and is in this one has been committed since, in whatever order transactions began and ended.
import type { Pool } from 'pg';
import { CHANGE_FEED_STALE_MS, CHANGE_REPEAT_MS } from '../../domain/time-limits.ts';
import type { Change } from '../../ports/index.ts';
import { type ChangeRow, changeFrom } from '../shared/changes.ts';
import { BARRIER, BEGIN, MAX_ROWS, READ, REFRESH, type ReadRow, type Snapshot, snapshotOf } from './change-rows.ts';
import { untilSerialized } from './database.ts';
import { isForeignName } from './errors.ts';
import type { Applied } from './liveness.ts';
import { createOwnChanges, type OwnChanges } from './own-changes.ts';
import type { StatementNames } from './prepared-statements.ts';

/** Its arrival was not observed: it may be about to be deleted. */
const UNKNOWN = Number.NEGATIVE_INFINITY;

export interface ChangeReader {
  /** Reads now, or again when a read is under way. What cannot be read is read the next time. */
  read(): void;
  /** When the last successful read began, by the given clock. */
  readAt(): number;
  /** The connection was lost: the next read reports `reconnected`. */
  noteLoss(): void;
  /** Around a statement with changes that need not be reported here. One that was read before it has ended is reported. */
  own: OwnChanges['noting'];
  /** Nothing is reported once it is fulfilled. */
  stop(): Promise<void>;
}

interface Parts {
  pool: Pool;
  names: StatementNames;
  listener: (changes: Change[]) => unknown;
  /** Called at the start, and when another process waits for it: all changes up to there are applied. */
  applied: (upTo: Applied) => Promise<void>;
  /** The name of this process in its own barriers, for which no other one waits. */
  holder: string;
  /** Milliseconds of a clock that only goes forward. */
  now: () => number;
}

/** Rejects when the table cannot be read. */
export async function createChangeReader({
  pool,
  names,
  listener,
  applied,
  holder,
  now,
}: Parts): Promise<ChangeReader> {
  /** Every change that is visible in it was reported, or was there before. */
  let snapshot: Snapshot = { next: 0n, open: [] };
  /** Earlier ones, the oldest first, of which the first is at least `CHANGE_REPEAT_MS` old, if there is such a one. */
  const earlier: { snapshot: Snapshot; at: number }[] = [];
  /** The highest number of a change seen: replicas of the first release wait for it. */
  let highest = 0;
  /** The last change seen, when it was made (by the database's clock), and when it was seen. */
  let lastSeen = { seq: 0, at: '', seenAt: UNKNOWN };
  /** The last routine refresh seen. */
  let lastRefresh: { id: string; xid: string } | undefined;
  let readAt = now();
  let reading: Promise<void> | undefined;
  let isReadAgain = false;
  /** The database could not be reached, and may not be the same any more. */
  let wasLost = false;
  /** They are not reported. */
  const own = createOwnChanges();
  let isStopped = false;
  /** Fulfilled when everything that was reported is applied. */
  let applying: Promise<unknown> = Promise.resolve();

  function noteLoss(): void {
    wasLost = true;
    own.noteLoss();
  }

  function report(changes: Change[]): void {
    applying = Promise.all([applying, listener(changes)]);
    applying.catch(() => undefined);
  }

  /**
   * A barrier was read, whose transaction got its number after everything it is for was committed: a snapshot in which a
   * transaction of that number or a higher one has ended shows all of that.
   */
  function acknowledge(): void {
    const upTo = { seq: highest, xid: `${snapshot.next}` };
    void applying.then(() => (isStopped ? undefined : applied(upTo))).catch(() => undefined);
  }

  function moveTo(to: Snapshot, at: number): void {
    snapshot = to;
    readAt = at;
    own.forget(to);
    if (at - (earlier.at(-1)?.at ?? UNKNOWN) >= CHANGE_REPEAT_MS / 2) earlier.push({ snapshot, at });
    while (earlier[1] && at - earlier[1].at >= CHANGE_REPEAT_MS) earlier.shift();
  }

  /** Of all statements the one that is sent most often. Its plan takes longer than to run it. */
  async function rowsAfter(values: unknown[]): Promise<ReadRow[]> {
    try {
      const name = names.of('read_changes');
      return (await untilSerialized(() => pool.query<ReadRow>({ name, text: READ, values }))).rows;
    } catch (error) {
      if (!isForeignName(error)) throw error;
      names.lost();
      return rowsAfter(values);
    }
  }

  /** From here on, whatever was before. */
  async function begin(): Promise<void> {
    const startedAt = now();
    const { rows } = await untilSerialized(() => pool.query<ReadRow>(BEGIN));
    const [row] = rows;
    highest = Number(row!.seq ?? 0);
    lastSeen = { seq: highest, at: row!.at ?? '', seenAt: UNKNOWN };
    lastRefresh = undefined;
    earlier.length = 0;
    moveTo(snapshotOf(row!.snapshot), startedAt);
  }

  /** Whatever has changed. What is longer ago may be deleted, and more than can be read. */
  async function startOver(isBack: boolean): Promise<void> {
    await begin();
    report([...(isBack ? [{ kind: 'reconnected' } as const] : []), { kind: 'everything' }]);
    acknowledge();
  }

  /** After a loss, the changes of the last minute are read again: a standby may have given their numbers to others. */
  async function readChanges(): Promise<void> {
    const startedAt = now();
    const isBack = wasLost;
    wasLost = false;
    if (startedAt - readAt > CHANGE_FEED_STALE_MS) return startOver(isBack);
    const since = isBack ? earlier[0]!.snapshot : snapshot;
    let reached: Snapshot | undefined;
    let isAwaited = false;
    const refreshes = new Set<string>();
    function reported(row: ReadRow & ChangeRow): Change[] {
      const change = changeFrom(row);
      if (change.kind !== 'connection') return [change];
      const key = `${row.xid} ${change.generation} ${change.id}`;
      if (row.seq === REFRESH) {
        refreshes.add(key);
        return [{ ...change, isRefresh: true }];
      }
      // For replicas of the release before, it is among the changes too.
      return refreshes.has(key) ? [] : [change];
    }
    for (let after: Pick<ReadRow, 'xid' | 'seq' | 'lease'> = { xid: '0', seq: REFRESH, lease: '' }; ; ) {
      const from = [`${since.next}`, since.open, after.xid, after.seq, after.lease];
      const rows = await rowsAfter([...from, lastSeen.seq, lastRefresh?.id]);
      if (isStopped) return;
      const { snapshot: text, xid } = rows[0]!;
      const current = snapshotOf(text);
      const changes: Change[] = isBack && !reached ? [{ kind: 'reconnected' }] : [];
      if (isAnotherServer(current, rows[0]!, startedAt)) return startOver(changes.length > 0);
      // What is committed while the next pages are read is not visible in the snapshot of the first one, and read again.
      reached ??= current;
      const read = xid === null ? [] : rows;
      for (const row of read) {
        highest = Math.max(highest, Number(row.seq));
        if (row.kind === BARRIER) isAwaited ||= row.id !== holder;
        else if (isBack || !own.has(row)) changes.push(...reported({ ...row, kind: row.kind }));
      }
      if (changes.length > 0) report(changes);
      noteSeen(read, startedAt);
      const last = read.at(-1);
      if (!last || read.length < MAX_ROWS) break;
      after = last;
    }
    moveTo(reached, startedAt);
    if (isAwaited) acknowledge();
  }

  function noteSeen(read: readonly ReadRow[], seenAt: number): void {
    const refresh = read.findLast(({ seq }) => seq === REFRESH);
    if (refresh) lastRefresh = { id: refresh.id!, xid: refresh.xid! };
    const change = read.findLast(({ seq }) => seq !== REFRESH);
    const seq = Number(change?.seq ?? lastSeen.seq);
    if (seq !== lastSeen.seq) lastSeen = { seq, at: change!.at!, seenAt };
  }

  /**
   * A standby took over that lacks the last commits: its transactions have lower numbers, or it lacks the refresh or the change
   * that was the last one here, or has another one. That change is looked for as long as the table is sure to hold it.
   */
  function isAnotherServer(
    { next }: Snapshot,
    stored: Pick<ReadRow, 'last_at' | 'last_refreshed'>,
    at: number,
  ): boolean {
    if (next < snapshot.next) return true;
    const { last_at: changedAt, last_refreshed: refreshed } = stored;
    if (lastRefresh && refreshed !== null && BigInt(refreshed) < BigInt(lastRefresh.xid)) return true;
    if (lastSeen.seq === 0) return false;
    if (changedAt !== null) return changedAt !== lastSeen.at;
    return at - lastSeen.seenAt < CHANGE_FEED_STALE_MS;
  }

  async function readAll(): Promise<void> {
    do {
      isReadAgain = false;
      await readChanges();
    } while (isReadAgain && !isStopped);
  }

  await begin();
  await applied({ seq: highest, xid: `${snapshot.next}` });
  return {
    readAt: () => readAt,
    noteLoss,
    own: own.noting,
    read(): void {
      isReadAgain = true;
      if (isStopped) return;
      reading ??= readAll()
        .catch(noteLoss)
        .finally(() => {
          reading = undefined;
        });
    },
    async stop(): Promise<void> {
      isStopped = true;
      await reading;
    },
  };
}
