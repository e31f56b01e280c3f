// Reads the table `changes` on from where it was, in a database whose numbers may have gaps, and which may have failed over.
import type { Pool } from 'pg';
import { CHANGE_FEED_STALE_MS, CHANGE_GAP_MS } from '../../domain/time-limits.ts';
import type { Change } from '../../ports/index.ts';
import { type ChangeRow, changeFrom } from '../shared/changes.ts';

const MAX_ROWS = 2_000;
const MAX_GAPS = 1_000;
/** How far below the first number that is seen others may be missing. */
const FIRST_GAPS = 100;
/** Its arrival was not observed: it may be about to be deleted. */
const UNKNOWN = Number.NEGATIVE_INFINITY;

/** The kind of a row that reports no change: the process that made it waits until the others have read up to it. */
export const BARRIER = 'barrier';

export interface ChangeReader {
  /** Reads now, or again when a read is under way. What cannot be read is read the next time. */
  read(): void;
  /** When the last successful read began, by the given clock. */
  readAt(): number;
  /** The connection was lost: the next read reports `reconnected`. */
  noteLoss(): void;
  /** Nothing is reported once it is fulfilled. */
  stop(): Promise<void>;
}

interface Row extends Omit<ChangeRow, 'kind'> {
  kind: ChangeRow['kind'] | typeof BARRIER;
  seq: string;
  at: string;
}

interface Parts {
  pool: Pool;
  listener: (changes: Change[]) => unknown;
  /** Called at the start, and when another process waits for it: all changes up to this number are applied. */
  applied: (seq: number) => Promise<void>;
  /** The name of this process in its own barriers, for which no other one waits. */
  holder: string;
  /** Milliseconds of a clock that only goes forward. */
  now: () => number;
}

/** Rejects when the table cannot be read. */
export async function createChangeReader({ pool, listener, applied, holder, now }: Parts): Promise<ChangeReader> {
  /** The change with the highest number seen, when it was made (by the database's clock), and when it was first seen. */
  let position = { seq: 0, at: '', seenAt: UNKNOWN };
  /** The numbers below it that were missing, since when. */
  const gaps = new Map<number, number>();
  let readAt = now();
  let reading: Promise<void> | undefined;
  let isReadAgain = false;
  /** The database could not be reached, and may not be the same any more. */
  let wasLost = false;
  let isStopped = false;
  /** Fulfilled when everything that was reported is applied. */
  let applying: Promise<unknown> = Promise.resolve();

  function report(changes: Change[]): void {
    applying = Promise.all([applying, listener(changes)]);
    applying.catch(() => undefined);
  }

  /**
   * A barrier was read: the statement that read it saw everything that was committed before its number was given out, lower
   * numbers included. So `seq` is enough to tell, though some lower ones may appear later.
   */
  function acknowledge(seq: number): void {
    void applying.then(() => (isStopped ? undefined : applied(seq))).catch(() => undefined);
  }

  /** False: too many to remember. */
  function noteGaps(from: number, to: number, since: number): boolean {
    if (to - from > MAX_GAPS || gaps.size > MAX_GAPS) return false;
    for (let seq = from; seq < to; seq++) gaps.set(seq, since);
    return true;
  }

  /** Transactions that have begun and not committed have lower numbers than the newest: they are gaps. */
  async function begin(): Promise<void> {
    const startedAt = now();
    const { rows } = await pool.query<Row>(`select seq, at from changes order by seq desc limit ${MAX_GAPS}`);
    const seqs = rows.map(({ seq }) => Number(seq)).reverse();
    for (const [i, seq] of seqs.entries()) if (i > 0) noteGaps(seqs[i - 1]! + 1, seq, startedAt);
    position = { seq: seqs.at(-1) ?? 0, at: rows[0]?.at ?? '', seenAt: UNKNOWN };
    readAt = startedAt;
    await applied(position.seq);
  }

  /** True: there are more rows. */
  async function readRows(): Promise<boolean> {
    const startedAt = now();
    const { rows } = await pool.query<Row & { top: string | null }>(
      `select c.seq, c.at, c.kind, c.id, c.generation, t.top
       from (select max(seq) as top from changes) t
       left join changes c on c.seq >= $1 or c.seq = any($2::bigint[])
       order by c.seq limit ${MAX_ROWS}`,
      [position.seq, [...gaps.keys()]],
    );
    const top = Number(rows[0]?.top ?? 0);
    const wasMissed = isAnotherServer(rows, top, startedAt) || startedAt - readAt > CHANGE_FEED_STALE_MS;
    const changes: Change[] = wasLost ? [{ kind: 'reconnected' }] : [];
    wasLost = false;
    let isComplete = !wasMissed;
    let isAwaited = wasMissed;
    if (wasMissed) {
      position = { seq: top, at: rows.find(({ seq }) => Number(seq) === top)?.at ?? '', seenAt: UNKNOWN };
      gaps.clear();
    }
    for (const row of wasMissed ? [] : rows) {
      const seq = Number(row.seq);
      if (row.seq === null || seq === position.seq) continue;
      gaps.delete(seq);
      if (seq > position.seq) {
        const from = position.seq > 0 ? position.seq + 1 : Math.max(1, seq - FIRST_GAPS);
        isComplete = noteGaps(from, seq, startedAt) && isComplete;
        position = { seq, at: row.at, seenAt: startedAt };
      }
      if (row.kind !== BARRIER) changes.push(changeFrom({ ...row, kind: row.kind }));
      else if (row.id !== holder) isAwaited = true;
    }
    for (const [seq, since] of gaps) if (startedAt - since > CHANGE_GAP_MS) gaps.delete(seq);
    readAt = startedAt;
    if (isStopped) return false;
    if (!isComplete) report([{ kind: 'everything' }]);
    else if (changes.length > 0) report(changes);
    if (isAwaited || !isComplete) acknowledge(position.seq);
    return rows.length === MAX_ROWS;
  }

  /**
   * A standby took over that lacks the last commits: its numbers are lower, or have gone on without the change that was the
   * last one here. That change is looked for as long as the table is sure to hold it.
   */
  function isAnotherServer(rows: Row[], top: number, at: number): boolean {
    if (position.seq === 0 || top === 0) return false;
    if (top < position.seq) return true;
    const same = rows.find(({ seq }) => Number(seq) === position.seq);
    return same ? position.at !== '' && same.at !== position.at : at - position.seenAt < CHANGE_FEED_STALE_MS;
  }

  async function readAll(): Promise<void> {
    do {
      isReadAgain = false;
      while (await readRows());
    } while (isReadAgain && !isStopped);
  }

  await begin();
  return {
    readAt: () => readAt,
    noteLoss(): void {
      wasLost = true;
    },
    read(): void {
      isReadAgain = true;
      if (isStopped) return;
      reading ??= readAll()
        .catch(() => {
          wasLost = true;
        })
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
