// What the parts of the PostgreSQL store share: single statements, transactions, prepared statements, and the audit record.
import { setTimeout as pause } from 'node:timers/promises';
import { getTableColumns, type Placeholder, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { PgTable } from 'drizzle-orm/pg-core';
import { Client, type Pool, type PoolClient } from 'pg';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Caller } from '../../domain/caller.ts';
import { eventTypeOf } from '../../domain/event-of.ts';
import type { EventType, NewEvent } from '../../domain/events.ts';
import {
  POSTGRES_BROKEN_MS,
  POSTGRES_CONFLICT_BACKOFF_MS,
  POSTGRES_STATEMENT_TIMEOUT_MS,
} from '../../domain/time-limits.ts';
import { type StoreChange, StoreClosedError, StoreError } from '../../ports/index.ts';
import { createListeners } from '../shared/listeners.ts';
import { isAnswer, isBroken, isForeignName, isWorthRetrying, storeError } from './errors.ts';
import { createEventWriter } from './event-writer.ts';
import type { Liveness } from './liveness.ts';
import { createLocks, type Locks } from './locks.ts';
import type { Orm, Prepare } from './orm.ts';
import type { PoolWaits } from './pool-waits.ts';
import type { StatementNames } from './prepared-statements.ts';
import { audit, changes } from './schema.ts';

export type { Orm };

/** While the database is down, operations are rejected at once, and so are those under way: their connections are closed. */
export interface PostgresAccess {
  /**
   * One statement, which is a transaction of its own. It is repeated when the connection has broken, so a write must be
   * one that may happen twice. Rejects with `StoreError`.
   */
  autocommit<T>(statement: (orm: Orm) => Promise<T>): Promise<T>;
  /** One statement, which is a transaction of its own, and may not happen twice. Rejects with `StoreError`. */
  single<T>(statement: (orm: Orm) => Promise<T>): Promise<T>;
  /**
   * Several statements, all or nothing. They may be run again from the start, so they may have no effect but in the
   * database. An operation on a connection locks its row before its lease, so it sees what was committed before; one on several
   * locks them in the order of their ids, or skips what is locked: so none waits for another in a circle. Rows that have a place
   * (audit entries, events) are added nowhere else: a transaction takes new numbers for them. Rejects with `StoreError`.
   */
  transaction<T>(operation: (orm: Orm) => Promise<T>): Promise<T>;
  prepared: Prepare;
  names: StatementNames;
  locks: Locks;
  /**
   * Inside a transaction, after its changes: its audit entry, its changes for the change feed, and the event that the entry
   * is, with its deliveries.
   */
  record(orm: Orm, audit: AuditEntry | undefined, ...changes: StoreChange[]): Promise<void>;
  /** Inside a transaction: see `PostgresEventWriter`. */
  writeEvents(orm: Orm, events: NewEvent[]): Promise<void>;
  audienceChanged(orm: Orm): Promise<void>;
  judgeCallersBy(isAuthentic: (caller: Caller) => boolean): void;
  /** See `EventStore.onEvents`. */
  onEvents(listener: (types: EventType[]) => void): () => void;
  /** Rejects what comes from now on; fulfilled when what came before has ended. */
  close(): Promise<void>;
}

/** Not when the connection is made: a pooler hands it on with its settings, or refuses to set them. */
const BEGIN = [
  // Each statement sees what was committed before it, the locks that it has waited for included, whatever the default is.
  'begin isolation level read committed',
  `set local statement_timeout = ${POSTGRES_STATEMENT_TIMEOUT_MS}`,
  `set local idle_in_transaction_session_timeout = ${POSTGRES_STATEMENT_TIMEOUT_MS}`,
  // A session may have taken a hundred numbers of a sequence before, and would give old ones to new rows.
  'discard sequences',
].join('; ');
const ATTEMPTS = 6;

/** One call of the store, until its promise is settled. */
interface Operation {
  /** Set while the database is down. */
  fault?: StoreError;
  /** Returns the connection to the pool, once. */
  release?: ((isBroken: boolean) => void) | undefined;
  abort(fault: StoreError): void;
}

interface Parts {
  pool: Pool;
  waits: Pick<PoolWaits, 'connect'>;
  names: StatementNames;
  liveness: Pick<Liveness, 'fault' | 'onDown'>;
  monotonic: () => number;
  /** Called after a commit with changes. */
  onChanges: () => void;
}

export function createAccess({ pool, waits, names, liveness, monotonic, onChanges }: Parts): PostgresAccess {
  const orms = new WeakMap<PoolClient, Orm>();
  const ormOf = (client: PoolClient): Orm => {
    const known = orms.get(client) ?? drizzle(client);
    orms.set(client, known);
    return known;
  };
  const operations = new Set<Operation>();
  const running = new Set<Promise<unknown>>();
  let isClosed = false;
  /** Connections whose transaction has recorded changes. */
  const changed = new WeakSet<Orm>();
  /** The events that the transaction of a connection has written. */
  const written = new WeakMap<Orm, EventType[]>();
  const eventListeners = createListeners<EventType[]>();

  liveness.onDown((fault) => {
    for (const operation of operations) operation.abort(fault);
    // Idle connections may be dead too.
    for (let i = pool.idleCount; i > 0; i--) pool.connect().then(discard, () => undefined);
  });

  async function track<T>(work: (operation: Operation) => Promise<T>): Promise<T> {
    if (isClosed) throw new StoreClosedError();
    const fault = liveness.fault();
    if (fault) throw new StoreError(fault.message);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const operation: Operation = {
      abort(reason) {
        operation.fault = reason;
        operation.release?.(true);
        reject(new StoreError(reason.message));
      },
    };
    operations.add(operation);
    const ended = work(operation).then(resolve, (error: unknown) => reject(storeError(error)));
    running.add(ended);
    ended.finally(() => {
      operations.delete(operation);
      running.delete(ended);
    });
    return promise;
  }

  /** One connection for the length of the work. */
  async function withClient<T>(operation: Operation, work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await waits.connect();
    operation.release = (isBroken) => {
      operation.release = undefined;
      if (isBroken) discard(client);
      else client.release();
    };
    try {
      if (operation.fault) throw operation.fault;
      const value = await work(client);
      operation.release?.(false);
      return value;
    } catch (error) {
      const isUsable = operation.release !== undefined && !operation.fault && (await rolledBack(client, error));
      operation.release?.(!isUsable);
      throw error;
    }
  }

  const runAlone = <T>(operation: Operation, statement: (orm: Orm) => Promise<T>): Promise<T> =>
    withClient(operation, (client) => statement(ormOf(client)));

  const runOnce = <T>(operation: Operation, statements: (orm: Orm) => Promise<T>): Promise<T> =>
    withClient(operation, async (client) => {
      const orm = ormOf(client);
      changed.delete(orm);
      written.delete(orm);
      // Not awaited before the statements, which are pipelined: they would fail if it did.
      const begun = client.query(BEGIN);
      begun.catch(() => undefined);
      const value = await statements(orm);
      await begun;
      const { command } = await client.query('commit');
      if (command !== 'COMMIT') throw new StoreError('PostgreSQL did not commit');
      if (changed.has(orm)) onChanges();
      const types = written.get(orm);
      if (types) eventListeners.tell(types);
      return value;
    });

  /** False: the state of the connection is unknown, and closing it rolls back. */
  const rolledBack = async (client: PoolClient, fault: unknown): Promise<boolean> =>
    (fault instanceof StoreError || isAnswer(fault)) &&
    (await client.query('rollback').then(
      () => true,
      () => false,
    ));

  async function withRetries<T>(operation: Operation, attempt: () => Promise<T>, isRepeatable: boolean): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      const begun = monotonic();
      try {
        return await attempt();
      } catch (error) {
        if (attempts === ATTEMPTS || operation.fault) throw error;
        const wasBrokenBefore = isBroken(error) && monotonic() - begun < POSTGRES_BROKEN_MS;
        if (isForeignName(error)) names.lost();
        else if (!isWorthRetrying(error) && !(isRepeatable && wasBrokenBefore)) throw error;
        await pause(POSTGRES_CONFLICT_BACKOFF_MS * 2 ** attempts);
      }
    }
  }

  const prepared: Prepare = (build) => {
    const built = { named: new WeakMap<Orm, ReturnType<typeof build>>(), unnamed: new WeakMap() };
    return (orm) => {
      const statements = names.areUsed() ? built.named : built.unnamed;
      const known = statements.get(orm) ?? build(orm, names.of);
      statements.set(orm, known);
      return known;
    };
  };
  const statements = prepared((orm, name) => ({
    addEntry: orm.insert(audit).values(placeholdersOf(audit, 'position')).prepare(name('record')),
    addChange: orm
      .insert(changes)
      .values({
        kind: sql.placeholder('kind'),
        id: sql.placeholder('id'),
        generation: sql.placeholder('generation'),
      })
      .prepare(name('add_change')),
  }));

  const locks = createLocks(prepared);
  const eventWriter = createEventWriter(prepared, locks);
  const noteWritten = (orm: Orm, types: EventType[]): void => {
    if (types.length > 0) written.set(orm, [...(written.get(orm) ?? []), ...types]);
  };

  return {
    autocommit: (statement) => track((operation) => withRetries(operation, () => runAlone(operation, statement), true)),
    single: (statement) => track((operation) => withRetries(operation, () => runAlone(operation, statement), false)),
    transaction: (statements) =>
      track((operation) => withRetries(operation, () => runOnce(operation, statements), false)),
    prepared,
    names,
    locks,
    async record(orm, entry, ...recorded) {
      const { addEntry, addChange } = statements(orm);
      if (recorded.length > 0) changed.add(orm);
      await Promise.all([
        ...(entry ? [addEntry.execute({ ...entry })] : []),
        ...recorded.map((change) => addChange.execute({ id: null, generation: null, ...change })),
      ]);
      const type = entry && eventTypeOf(entry);
      if (entry && type !== undefined) noteWritten(orm, await eventWriter.ofAudit(orm, type, entry));
    },
    writeEvents: async (orm, events) => noteWritten(orm, await eventWriter.write(orm, events)),
    audienceChanged: (orm) => eventWriter.audienceChanged(orm),
    judgeCallersBy: eventWriter.judgeCallersBy,
    onEvents: eventListeners.add,
    async close() {
      isClosed = true;
      await Promise.allSettled(running);
    },
  };
}

/** Without a goodbye, which might never arrive, and without waiting for what was sent. */
function discard(client: PoolClient): void {
  if (client instanceof Client) client.connection.stream.destroy();
  client.release(true);
}

/** For each column but the one that the database gives, where drizzle maps no value that may be null. */
const placeholdersOf = <T extends PgTable>(table: T, given: string) =>
  Object.fromEntries(
    Object.keys(getTableColumns(table)).flatMap((key) => (key === given ? [] : [[key, sql.placeholder(key)]])),
  ) as { [C in keyof T['$inferInsert']]: Placeholder };
