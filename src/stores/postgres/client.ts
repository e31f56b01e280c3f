// What the parts of the store share: the way into the database for questions and for sentences, and their statements.
import { setTimeout as pause } from 'node:timers/promises';
import { type Column, getTableColumns, type Placeholder, type SQL, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { PgTable } from 'drizzle-orm/pg-core';
import { Client, type Pool, type PoolClient } from 'pg';
import type { AuditEntry } from '../../domain/audit.ts';
import {
  POSTGRES_BROKEN_MS,
  POSTGRES_CONFLICT_BACKOFF_MS,
  POSTGRES_STATEMENT_TIMEOUT_MS,
} from '../../domain/time-limits.ts';
import { type Page, type StoreChange, StoreError } from '../../ports/index.ts';
import { isAnswer, isBroken, isForeignName, isWorthAnotherTry, storeError } from './errors.ts';
import type { Liveness } from './liveness.ts';
import { audit, changes } from './schema.ts';

/** One connection, for as long as something is asked or said. */
export type Orm = NodePgDatabase;

export interface PostgresAccess {
  /**
   * For questions of one statement, and for sentences of one that may be said twice: each is a transaction of its own, and
   * is said again when the connection has broken.
   */
  ask<T>(question: (orm: Orm) => Promise<T>): Promise<T>;
  /**
   * A sentence of several statements: all of it or nothing. It may be said more than once, so that it may do nothing but
   * what is undone with its transaction. A sentence about a connection locks that row first (`locked`), and so sees
   * what was committed before, and waits for nobody who waits for it.
   */
  write<T>(sentence: (orm: Orm) => Promise<T>): Promise<T>;
  /** Statements that are built once for each connection. `name` names one to the server, unless a pooler is in between. */
  prepared<T>(build: (orm: Orm, name: (name: string) => string) => T): (orm: Orm) => T;
  /** Inside a sentence: the audit entry of what it did, and what others may remember wrongly from here on. */
  record(orm: Orm, entry: AuditEntry, ...told: StoreChange[]): Promise<void>;
}

/** Not when the connection is made: a pooler hands it on with what was set on it, or refuses to set it. */
const BEGIN = [
  'begin',
  `set local statement_timeout = ${POSTGRES_STATEMENT_TIMEOUT_MS}`,
  `set local idle_in_transaction_session_timeout = ${POSTGRES_STATEMENT_TIMEOUT_MS}`,
].join('; ');
const AWAY = 'PostgreSQL does not answer';
const TRIES = 6;

export interface Door extends PostgresAccess {
  /** Refuses what comes from now on; fulfilled when what came before is done. */
  shut(): Promise<void>;
}

/** Somebody's question or sentence, until it is answered or given up. */
interface Turn {
  isOver: boolean;
  /** Given back once, whoever is first. */
  release?: ((isBroken: boolean) => void) | undefined;
  giveUp(): void;
}

interface Parts {
  pool: Pool;
  /** False: statements have no names. */
  isNamed: boolean;
  liveness: Pick<Liveness, 'isAway' | 'onAway'>;
  /** Told when names turn out to be lost on the way; they are done without from then on. */
  namesLost: () => void;
  /** Told after a commit that changed something. */
  rung: () => void;
}

/**
 * While the database is away, whoever comes is refused at once, and those who were waiting are, too: their connections are
 * closed, and what was not said yet is not said any more.
 */
export function openDoor({ pool, isNamed: named, liveness, namesLost, rung }: Parts): Door {
  let isNamed = named;
  const orms = new WeakMap<PoolClient, Orm>();
  const ormOf = (client: PoolClient): Orm => {
    const known = orms.get(client) ?? drizzle(client);
    orms.set(client, known);
    return known;
  };
  const turns = new Set<Turn>();
  const underWay = new Set<Promise<unknown>>();
  let isShut = false;
  /** Sentences under way that have told something. */
  const telling = new WeakSet<Orm>();

  liveness.onAway(() => {
    for (const turn of turns) turn.giveUp();
    // Nor is it known of those that are idle whether anything would ever come of them.
    for (let i = pool.idleCount; i > 0; i--) pool.connect().then(drop, () => undefined);
  });

  async function during<T>(work: (turn: Turn) => Promise<T>): Promise<T> {
    if (isShut) throw new StoreError('the store is closed');
    if (liveness.isAway()) throw new StoreError(AWAY);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const turn: Turn = {
      isOver: false,
      giveUp() {
        turn.isOver = true;
        turn.release?.(true);
        reject(new StoreError(AWAY));
      },
    };
    turns.add(turn);
    const running = work(turn).then(resolve, (error: unknown) => reject(storeError(error)));
    underWay.add(running);
    running.finally(() => {
      turns.delete(turn);
      underWay.delete(running);
    });
    return promise;
  }

  /** One connection for the length of the work. */
  async function withClient<T>(turn: Turn, work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect();
    turn.release = (isBroken) => {
      turn.release = undefined;
      if (isBroken) drop(client);
      else client.release();
    };
    try {
      if (turn.isOver) throw new StoreError(AWAY);
      const value = await work(client);
      turn.release?.(false);
      return value;
    } catch (error) {
      const isUndone = turn.release !== undefined && !turn.isOver && (await isStillGood(client, error));
      turn.release?.(!isUndone);
      throw error;
    }
  }

  const sayOnce = <T>(turn: Turn, sentence: (orm: Orm) => Promise<T>): Promise<T> =>
    withClient(turn, async (client) => {
      const orm = ormOf(client);
      telling.delete(orm);
      // Not waited for before the sentence: what comes after it would fail if it did.
      const begun = client.query(BEGIN);
      begun.catch(() => undefined);
      const value = await sentence(orm);
      await begun;
      const { command } = await client.query('commit');
      if (command !== 'COMMIT') throw new StoreError('PostgreSQL did not commit');
      if (telling.has(orm)) rung();
      return value;
    });

  /** A connection of which nobody knows how it stands is closed, which undoes what it began. */
  const isStillGood = async (client: PoolClient, fault: unknown): Promise<boolean> =>
    (fault instanceof StoreError || isAnswer(fault)) &&
    (await client.query('rollback').then(
      () => true,
      () => false,
    ));

  async function untilDone<T>(turn: Turn, attempt: () => Promise<T>, mayBeSaidTwice: boolean): Promise<T> {
    for (let tries = 1; ; tries++) {
      const begun = performance.now();
      try {
        return await attempt();
      } catch (error) {
        if (tries === TRIES || turn.isOver) throw error;
        const isSwift = performance.now() - begun < POSTGRES_BROKEN_MS;
        if (isForeignName(error)) nameless();
        else if (!isWorthAnotherTry(error) && !(mayBeSaidTwice && isBroken(error) && isSwift)) throw error;
        await pause(POSTGRES_CONFLICT_BACKOFF_MS * 2 ** tries);
      }
    }
  }

  function nameless(): void {
    if (isNamed) namesLost();
    isNamed = false;
  }

  const prepared: PostgresAccess['prepared'] = (build) => {
    const built = { named: new WeakMap<Orm, ReturnType<typeof build>>(), nameless: new WeakMap() };
    return (orm) => {
      const those = isNamed ? built.named : built.nameless;
      const known = those.get(orm) ?? build(orm, (name) => (isNamed ? name : ''));
      those.set(orm, known);
      return known;
    };
  };
  const statements = prepared((orm, name) => ({
    record: orm.insert(audit).values(slots(audit)).prepare(name('record')),
    tell: orm
      .insert(changes)
      .values({
        kind: sql.placeholder('kind'),
        id: sql.placeholder('id'),
        generation: sql.placeholder('generation'),
      })
      .prepare(name('tell')),
  }));

  return {
    ask: (question) =>
      during((turn) => untilDone(turn, () => withClient(turn, (client) => question(ormOf(client))), true)),
    write: (sentence) => during((turn) => untilDone(turn, () => sayOnce(turn, sentence), false)),
    prepared,
    async record(orm, entry, ...told) {
      const { record, tell } = statements(orm);
      if (told.length > 0) telling.add(orm);
      await Promise.all([
        record.execute({ ...entry }),
        ...told.map((change) => tell.execute({ id: null, generation: null, ...change })),
      ]);
    },
    async shut() {
      isShut = true;
      await Promise.allSettled(underWay);
    },
  };
}

/** At once: a farewell might never arrive, and what was asked would be waited for. */
function drop(client: PoolClient): void {
  if (client instanceof Client) client.connection.stream.destroy();
  client.release(true);
}

/** A place for each column, for values that are never null where drizzle maps them. */
const slots = <T extends PgTable>(table: T) =>
  Object.fromEntries(Object.keys(getTableColumns(table)).map((key) => [key, sql.placeholder(key)])) as {
    [C in keyof T['$inferInsert']]: Placeholder;
  };

/** A value that a prepared statement is given later, in the form of the column; null stays null in JSON columns too. */
export const given = (column: Column, name: string): SQL => {
  const mapToDriverValue = (value: unknown) => (value === null ? null : column.mapToDriverValue(value));
  return sql`${sql.param(sql.placeholder(name), { mapToDriverValue })}`;
};

/** A page of rows that were asked for with one more than its limit. */
export const pageOf = <T extends { id: string }>(rows: T[], limit: number): Page<T> => ({
  data: rows.slice(0, limit),
  next: rows.length > limit ? rows[limit - 1]!.id : null,
});
