// Which processes are alive on this database, and whether it is up: each process sends heartbeats, which update its row by
// the clock of the database. No wall clock of a process is compared, and no connection has to stay the same, so that it works
// through a pooler as well.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { Instant } from '../../domain/instant.ts';
import {
  FROZEN_AFTER_MS,
  HEARTBEAT_BROKEN_MS,
  HEARTBEAT_CERTAIN_MS,
  HEARTBEAT_GRACE_MS,
  HEARTBEAT_INTERVAL_MS,
  HEARTBEAT_RETRY_MS,
  HEARTBEAT_TIMEOUT_MS,
  LEASE_IN_DOUBT_MS,
  PROCESS_DEAD_AFTER_MS,
  PROCESS_ROW_RETENTION_MS,
} from '../../domain/time-limits.ts';
import { MIGRATED_MARKER, migratedAway, StoreError } from '../../ports/index.ts';
import { createInstants, type Instants } from '../shared/instants.ts';
import type { ProcessLocks } from '../shared/process-locks.ts';
import { rowsOf, untilSerialized } from './database.ts';
import { createDatabaseClock } from './database-clock.ts';
import { storeError } from './errors.ts';
import { replicas } from './schema.ts';

/** How far a process has applied what was committed. */
export interface Applied {
  /** The highest number of a change, for replicas of earlier releases. */
  seq: number;
  /** The end of a snapshot: what was committed before a transaction with a lower number began is applied. */
  xid: string;
}

export interface Liveness {
  /** Names this process in leases. */
  readonly holder: string;
  readonly instants: Instants;
  /**
   * Whether it is certain that no other process has seen this one as dead since then: each heartbeat was answered soon enough
   * after the one before was sent, and the last one is recent. Synchronous.
   */
  wasAliveSince(then: Instant): boolean;
  /**
   * Makes sure that other processes see this one as alive, before it claims anything: one that has stalled, or was cut off,
   * is dead to them. Rejects with `StoreError` when the heartbeat fails.
   */
  ensureAlive(): Promise<void>;
  /** Why the last heartbeat failed; then no operation will succeed. */
  fault(): StoreError | undefined;
  /** No other process was alive at the last heartbeat. One that has started since finds by itself what it is not told. */
  isAlone(): boolean;
  /** Called when that begins. */
  onDown(listener: (fault: StoreError) => void): void;
  /**
   * Whether a process without recent heartbeats is dead. False for a while after the database, or this process, was
   * unreachable: live processes may not have sent a heartbeat since. One that has stopped is dead in any case.
   */
  canJudge(): boolean;
  /** Whether the holder in this column may live: a silent one may be frozen. One that has stopped does not. As of now, as SQL. */
  mayLive(holder: SQLWrapper): SQL<boolean>;
  /** By which others are judged where the clock of the database shows more; see `DatabaseClock`. */
  clockLimit(): string;
  /** Tells the others that this process has applied all changes up to there. Rejects when that fails. */
  tellApplied(upTo: Applied): Promise<void>;
  /** As of `RefreshStore`. */
  reportEnded(settle: () => Promise<boolean>): Promise<void>;
  /** This process is dead to the others at once, when it stops using the database; but see `reportEnded`. */
  stop(): Promise<void>;
}

/** Whether the holder in this column has ever sent a heartbeat, and has not stopped. */
export const isKnown = (holder: SQLWrapper): SQL<boolean> =>
  sql<boolean>`exists (select 1 from ${replicas} where ${replicas.holder} = ${holder})`;

const interval = (ms: number): string => `interval '${ms} milliseconds'`;
/** `clockLimit`: of `Liveness`, as SQL. */
const judgedAt = (clockLimit: string): string => `least(clock_timestamp(), ${clockLimit}::timestamptz)`;

/** Of a row of `replicas`: whether a heartbeat was received within this time. */
export const seenWithin = (ms: number, clockLimit: string): string =>
  `seen_at > ${judgedAt(clockLimit)} - ${interval(ms)}`;

/** Whether it has sent one recently. The placeholder `clockLimit` is that of `Liveness`. */
export const isAlive = (holder: SQLWrapper): SQL<boolean> => sql<boolean>`exists (
  select 1 from ${replicas} where ${replicas.holder} = ${holder}
    and ${replicas.seenAt} > least(clock_timestamp(), ${sql.placeholder('clockLimit')}::timestamptz)
      - ${sql.raw(interval(PROCESS_DEAD_AFTER_MS))})`;

/** For `rowsOf`: how many brokers have the database open. Without a limit: by the clock of the database alone. */
export const countLive = (clockLimit = "'infinity'"): string =>
  `select count(*) as value from replicas where ${seenWithin(PROCESS_DEAD_AFTER_MS, clockLimit)}`;

/**
 * `pool`: one that nothing slow keeps busy. `now`: milliseconds of a clock that only goes forward, and counts the time that
 * the machine sleeps: other processes do. `locks`: of the processes of this machine; see `reportEnded`. Rejects when the first
 * heartbeat fails.
 */
export async function startLiveness(pool: Pool, now: () => number, locks?: ProcessLocks): Promise<Liveness> {
  const holder = locks?.holder ?? randomUUID();
  const instants = createInstants(now);
  const clock = createDatabaseClock(now);
  /** When the last answered heartbeat was sent, and since when (monotonic) each was answered in time. */
  let certainAt: Instant = { monotonic: Number.NEGATIVE_INFINITY, wall: 0 };
  let certainSince = Number.NEGATIVE_INFINITY;
  /** By the monotonic clock: when the last successful heartbeat was sent, and the first of an unbroken series ended. */
  let aliveAt = Number.NEGATIVE_INFINITY;
  let unbrokenSince = Number.NEGATIVE_INFINITY;
  let fault: StoreError | undefined;
  let isAlone = false;
  let applied: Applied | undefined;
  const listeners: ((fault: StoreError) => void)[] = [];
  let sending: Promise<void> | undefined;

  async function send(): Promise<void> {
    const sent = instants.now();
    const sentAt = sent.monotonic;
    const answered = untilSerialized(() =>
      pool.query<{ others: string; time: number; isMigrated: boolean }>(
        `insert into replicas (holder, seen_at, applied_seq, applied_xid, reads_refreshes)
         values ($1, clock_timestamp(), $2, $3, true)
         on conflict (holder) do update set seen_at = excluded.seen_at
         returning (${countLive('$4')} and holder <> $1) as others, (extract(epoch from seen_at) * 1000)::float8 as time,
           to_regclass(quote_ident(current_schema()) || '.${MIGRATED_MARKER}') is not null as "isMigrated"`,
        [holder, applied?.seq ?? -1, applied?.xid, clock.limit()],
      ),
    );
    answered.catch(() => undefined);
    const cancel = new AbortController();
    const timedOut = pause(HEARTBEAT_TIMEOUT_MS, undefined, { signal: cancel.signal }).then(() => {
      throw new StoreError('PostgreSQL does not answer');
    });
    timedOut.catch(() => undefined);
    try {
      const { rows } = await Promise.race([answered, timedOut]);
      isAlone = rows[0]?.others === '0';
      clock.answered(rows[0]!.time, sentAt);
      if (rows[0]!.isMigrated) await refuseMigrated();
    } catch (error) {
      isAlone = false;
      throw error;
    } finally {
      cancel.abort();
    }
    if (fault || sentAt - aliveAt > PROCESS_DEAD_AFTER_MS / 2) unbrokenSince = now();
    if (instants.elapsedSince(certainAt) > HEARTBEAT_CERTAIN_MS) certainSince = now();
    certainAt = sent;
    aliveAt = sentAt;
    fault = undefined;
  }

  /** A data migration does not see a process that is frozen or cut off, which would spend what the target spends. */
  async function refuseMigrated(): Promise<never> {
    const [to = 'another one'] = (await rowsOf(pool, `select place as value from ${MIGRATED_MARKER}`)) ?? [];
    throw new StoreError(migratedAway(to));
  }

  async function sendWithRetry(): Promise<void> {
    const begun = now();
    try {
      return await send();
    } catch (error) {
      const tookMs = now() - begun;
      // One that took longer than its time limit was late because this process was frozen: its answer may have been there.
      const wasFrozen = tookMs > HEARTBEAT_TIMEOUT_MS + FROZEN_AFTER_MS;
      if (tookMs > HEARTBEAT_BROKEN_MS && !wasFrozen) throw error;
      return await send();
    }
  }

  const heartbeat = (): Promise<void> => {
    sending ??= sendWithRetry()
      .catch((error: unknown) => {
        const isFirst = fault === undefined;
        fault = storeError(error);
        if (isFirst) for (const listener of listeners) listener(fault);
        throw fault;
      })
      .finally(() => {
        sending = undefined;
      });
    return sending;
  };

  let settle: (() => Promise<boolean>) | undefined;
  const isSettled = async () => settle === undefined || (await settle().catch(() => false));
  let reporting: Promise<void> | undefined;
  /** Deletes the rows of processes of this machine that have ended without doing so. */
  async function deleteDead(): Promise<void> {
    const dead = settle && locks ? locks.dead() : [];
    if (dead.length === 0 || !(await isSettled())) return;
    for (const holder of dead)
      if (locks?.removeDead(holder)) await pool.query('delete from replicas where holder = $1', [holder]);
  }
  /** Not waited for by heartbeats, since it commits. Never rejects: it is tried again. */
  function reportDead(): Promise<void> {
    reporting ??= deleteDead()
      .catch(() => undefined)
      .finally(() => {
        reporting = undefined;
      });
    return reporting;
  }

  const startedAt = now();
  let hasForgotten = false;
  /** Once, and not at the start, which may follow a step of the clock: then the rows of living processes look old. */
  async function forgetOld(): Promise<void> {
    if (hasForgotten || now() - startedAt < LEASE_IN_DOUBT_MS) return;
    await pool.query(`delete from replicas where seen_at < ${judgedAt('$1')} - ${interval(PROCESS_ROW_RETENTION_MS)}`, [
      clock.limit(),
    ]);
    hasForgotten = true;
  }

  let timer: NodeJS.Timeout | undefined;
  const schedule = () => {
    const waitMs = fault ? HEARTBEAT_RETRY_MS : HEARTBEAT_INTERVAL_MS;
    timer = setTimeout(() => {
      heartbeat()
        .then(() => void reportDead())
        .then(forgetOld)
        .catch(() => undefined)
        .finally(() => timer && schedule());
    }, waitMs).unref();
  };

  const canJudge = (): boolean => !fault && now() - unbrokenSince > HEARTBEAT_GRACE_MS;

  await heartbeat();
  schedule();
  return {
    holder,
    instants,
    wasAliveSince: (then) => then.monotonic >= certainSince && instants.elapsedSince(certainAt) < HEARTBEAT_CERTAIN_MS,
    ensureAlive: async () => {
      if (fault || now() - aliveAt > PROCESS_DEAD_AFTER_MS / 2) await heartbeat();
    },
    fault: () => fault,
    isAlone: () => isAlone,
    onDown: (listener) => void listeners.push(listener),
    canJudge,
    mayLive: (of) =>
      canJudge()
        ? sql<boolean>`exists (select 1 from ${replicas} where ${replicas.holder} = ${of}
            and ${sql.raw(seenWithin(LEASE_IN_DOUBT_MS, `'${clock.limit()}'`))})`
        : isKnown(of),
    clockLimit: clock.limit,
    async tellApplied(upTo) {
      applied = upTo;
      const values = [holder, upTo.seq, upTo.xid];
      await untilSerialized(() =>
        pool.query('update replicas set applied_seq = $2, applied_xid = $3 where holder = $1', values),
      );
    },
    reportEnded(commitsLeft) {
      settle = commitsLeft;
      return reportDead();
    },
    async stop() {
      clearTimeout(timer);
      timer = undefined;
      await Promise.all([sending?.catch(() => undefined), reporting]);
      // The next process with this data directory settles it. Until then, or until the heartbeats run out, others wait.
      if (!(await isSettled())) return locks?.abandon();
      // When it fails, the heartbeats run out a little later.
      await pool.query('delete from replicas where holder = $1', [holder]).catch(() => undefined);
      locks?.release();
    },
  };
}
