// News of what others may remember wrongly. The table `changes` has them all; a notification only says that it is worth a
// look, and where there is none, or it was lost, looking now and then does.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type Pool } from 'pg';
import {
  CHANGE_FEED_STALE_MS,
  CHANGE_GAP_MS,
  CHANGE_LISTEN_RETRY_MS,
  CHANGE_NOTIFY_DELAY_MS,
  CHANGE_NOTIFY_PROBE_MS,
  CHANGE_POLL_MS,
  CHANGE_POLL_NOTIFIED_MS,
} from '../../domain/time-limits.ts';
import type { Change, ChangeFeed, ChangeKind } from '../../ports/index.ts';
import type { Address } from './database.ts';
import type { Liveness } from './liveness.ts';

const MOST_AT_ONCE = 2_000;
const MOST_GAPS = 1_000;
/** The first number that is seen need not be 1. */
const FIRST_GAPS = 100;
/** Nobody saw it come: it may be about to be forgotten. */
const LONG_AGO = Number.NEGATIVE_INFINITY;

const CHANNEL = 'valetkey_changes';

export interface StoreChangeFeed {
  /** Something was committed that others should look at. */
  ring(): void;
  watch(told: (changes: Change[]) => void): Promise<ChangeFeed>;
  stop(): Promise<void>;
}

interface Parts extends Pick<Liveness, 'onAway'> {
  address: Address;
  pool: Pool;
  /** Milliseconds of a clock that only goes forward. */
  now?: () => number;
}

export function openChangeFeed({ address, pool, onAway, now = () => performance.now() }: Parts): StoreChangeFeed {
  const watches = new Set<ChangeFeed>();
  let ringing: NodeJS.Timeout | undefined;
  const send = () => {
    ringing = undefined;
    // Whom it does not reach looks anyway; a database that knows no notifications says so each time.
    void pool.query(`notify ${CHANNEL}`).catch(() => undefined);
  };

  return {
    ring() {
      ringing ??= setTimeout(send, CHANGE_NOTIFY_DELAY_MS);
    },
    async watch(told) {
      const reader = await createReader(pool, told, now);
      const listener = await listen(address, pool, reader.look, reader.doubt);
      // Whatever becomes of that connection, nobody would say that it is dead.
      if (listener) onAway(listener.drop);
      const everyMs = listener ? CHANGE_POLL_NOTIFIED_MS : CHANGE_POLL_MS;
      const timer = setInterval(() => reader.look(), everyMs);
      timer.unref();
      const watch: ChangeFeed = {
        delivery: listener ? 'notified' : 'polled',
        everyMs,
        lagMs: () => now() - reader.lookedAt(),
        async stop() {
          watches.delete(watch);
          clearInterval(timer);
          await listener?.stop();
          await reader.stop();
        },
      };
      watches.add(watch);
      return watch;
    },
    async stop() {
      if (ringing !== undefined) {
        clearTimeout(ringing);
        send();
      }
      await Promise.all([...watches].map((watch) => watch.stop()));
    },
  };
}

interface Row {
  seq: string;
  at: string;
  kind: ChangeKind;
  id: string | null;
  generation: number | null;
}

/** Reads on from where it was, one look at a time; what it could not read it reads at the next look. */
async function createReader(pool: Pool, told: (changes: Change[]) => void, now: () => number) {
  /** The change with the highest number seen, when it was made (by the database's clock), and when it was first seen. */
  let mark = { seq: 0, at: '', seenAt: LONG_AGO };
  /** The numbers below it that were not there, since when. */
  const gaps = new Map<number, number>();
  let lookedAt = now();
  let looking: Promise<void> | undefined;
  let again = false;
  /** The database could not be reached, and may not be the same any more. */
  let wasAway = false;
  let isStopped = false;

  function noteGaps(from: number, to: number, since: number): boolean {
    if (to - from > MOST_GAPS || gaps.size > MOST_GAPS) return false;
    for (let seq = from; seq < to; seq++) gaps.set(seq, since);
    return true;
  }

  /** Those that have begun and not committed have numbers below the newest: they are looked out for. */
  async function begin(): Promise<void> {
    const startedAt = now();
    const { rows } = await pool.query<Row>(`select seq, at from changes order by seq desc limit ${MOST_GAPS}`);
    const seqs = rows.map(({ seq }) => Number(seq)).reverse();
    for (const [i, seq] of seqs.entries()) if (i > 0) noteGaps(seqs[i - 1]! + 1, seq, startedAt);
    mark = { seq: seqs.at(-1) ?? 0, at: rows[0]?.at ?? '', seenAt: LONG_AGO };
    lookedAt = startedAt;
  }

  async function read(): Promise<boolean> {
    const startedAt = now();
    const { rows } = await pool.query<Row & { top: string | null }>(
      `select c.seq, c.at, c.kind, c.id, c.generation, t.top
       from (select max(seq) as top from changes) t
       left join changes c on c.seq >= $1 or c.seq = any($2::bigint[])
       order by c.seq limit ${MOST_AT_ONCE}`,
      [mark.seq, [...gaps.keys()]],
    );
    const top = Number(rows[0]?.top ?? 0);
    const isLost = isAnother(rows, top, startedAt) || startedAt - lookedAt > CHANGE_FEED_STALE_MS;
    const news: Change[] = wasAway ? [{ kind: 'back' }] : [];
    wasAway = false;
    let isKnown = !isLost;
    if (isLost) {
      mark = { seq: top, at: rows.find(({ seq }) => Number(seq) === top)?.at ?? '', seenAt: LONG_AGO };
      gaps.clear();
    }
    for (const { seq: text, at, kind, id, generation } of isLost ? [] : rows) {
      const seq = Number(text);
      if (text === null || seq === mark.seq) continue;
      gaps.delete(seq);
      if (seq > mark.seq) {
        const from = mark.seq > 0 ? mark.seq + 1 : Math.max(1, seq - FIRST_GAPS);
        isKnown = noteGaps(from, seq, startedAt) && isKnown;
        mark = { seq, at, seenAt: startedAt };
      }
      news.push(changeOf(kind, id, generation));
    }
    for (const [seq, since] of gaps) if (startedAt - since > CHANGE_GAP_MS) gaps.delete(seq);
    lookedAt = startedAt;
    if (isStopped) return false;
    if (!isKnown) told([{ kind: 'everything' }]);
    else if (news.length > 0) told(news);
    return rows.length === MOST_AT_ONCE;
  }

  /**
   * A standby took over that had not everything: its numbers are lower, or have gone on without the change that was the
   * last one here. That one is looked for while the table is sure to have it.
   */
  function isAnother(rows: Row[], top: number, at: number): boolean {
    if (mark.seq === 0 || top === 0) return false;
    if (top < mark.seq) return true;
    const same = rows.find(({ seq }) => Number(seq) === mark.seq);
    return same ? mark.at !== '' && same.at !== mark.at : at - mark.seenAt < CHANGE_FEED_STALE_MS;
  }

  async function run(): Promise<void> {
    do {
      again = false;
      while (await read());
    } while (again && !isStopped);
  }

  await begin();
  return {
    lookedAt: () => lookedAt,
    doubt(): void {
      wasAway = true;
    },
    look(): void {
      again = true;
      if (isStopped) return;
      looking ??= run()
        .catch(() => {
          wasAway = true;
        })
        .finally(() => {
          looking = undefined;
        });
    },
    async stop(): Promise<void> {
      isStopped = true;
      await looking;
    },
  };
}

function changeOf(kind: ChangeKind, id: string | null, generation: number | null): Change {
  if (kind === 'connection') return { kind, id: id!, generation: generation! };
  return kind === 'integration' ? { kind, id: id! } : { kind };
}

/**
 * A connection that is told of notifications, made again whenever it is lost. Undefined where none come: the database does
 * not know them, or a pooler in between keeps them.
 */
async function listen(
  address: Address,
  pool: Pool,
  heard: () => void,
  lost: () => void,
): Promise<{ drop(): void; stop(): Promise<void> } | undefined> {
  let isStopped = false;
  let client: Client | undefined;

  async function connect(): Promise<Client> {
    const fresh = new Client(address.connection);
    fresh.on('error', () => undefined);
    try {
      await fresh.connect();
      await fresh.query(`listen ${CHANNEL}`);
      return fresh;
    } catch (error) {
      await fresh.end().catch(() => undefined);
      throw error;
    }
  }

  /** Whatever was said meanwhile is read now. */
  function settle(listening: Client): void {
    client = listening;
    listening.on('notification', heard);
    listening.once('end', () => void reconnect());
    heard();
  }

  async function reconnect(): Promise<void> {
    client = undefined;
    lost();
    while (!isStopped) {
      try {
        const fresh = await connect();
        if (isStopped) return void fresh.end().catch(() => undefined);
        return settle(fresh);
      } catch {
        heard();
        await pause(CHANGE_LISTEN_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  let first: Client | undefined;
  try {
    first = await connect();
    if (!(await hears(first, pool))) {
      await first.end();
      return undefined;
    }
  } catch {
    await first?.end().catch(() => undefined);
    return undefined;
  }
  settle(first);
  return {
    drop: () => void client?.connection.stream.destroy(),
    async stop() {
      isStopped = true;
      await client?.end().catch(() => undefined);
    },
  };
}

/** Whether what is said on another connection arrives on this one. */
async function hears(client: Client, pool: Pool): Promise<boolean> {
  const word = randomUUID();
  const arrived = new Promise<boolean>((resolve) => {
    client.on('notification', ({ payload }) => payload === word && resolve(true));
    client.once('end', () => resolve(false));
  });
  await pool.query('select pg_notify($1, $2)', [CHANNEL, word]);
  return Promise.race([arrived, pause(CHANGE_NOTIFY_PROBE_MS, false, { ref: false })]);
}
