// What the parts of the SQLite store share: how they read, how they write, and how they run prepared statements quickly.
import type { Database, RunResult, Statement } from 'better-sqlite3';
import { is, Param, Placeholder, type Query } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { PreparedQueryConfig, SQLitePreparedQuery } from 'drizzle-orm/sqlite-core';
import type { AuditEntry } from '../../domain/audit.ts';
import type { EventType } from '../../domain/events.ts';
import type { StoreChange } from '../../ports/index.ts';
import type { SqliteEventWriter } from './event-writer.ts';

export interface SqliteAccess {
  orm: BetterSQLite3Database & { $client: Database };
  /** Outside of any transaction. Rejects with `StoreError`. */
  read<T>(query: () => T): Promise<T>;
  /** One atomic, durable operation: see `GroupCommit.write`. Rejects with `StoreError`. */
  write<T>(operation: () => T): Promise<T>;
  /**
   * Inside an operation, after its changes: its audit entry, its changes for the change feed, and the event that the entry
   * is, with its deliveries.
   */
  record(audit: AuditEntry | undefined, ...changes: StoreChange[]): void;
  /** Inside an operation: its audit entry alone. */
  recordEntry(audit: AuditEntry): void;
  events: Pick<SqliteEventWriter, 'write' | 'audienceChanged' | 'judgeCallersBy'>;
  /** See `EventStore.onEvents`. */
  onEvents(listener: (types: EventType[]) => void): () => void;
}

type Values = Record<string, unknown>;

/** What may be done with a prepared query. */
type Prepared<Q> = Pick<Q, Extract<keyof Q, 'run' | 'get' | 'all'>>;

/**
 * A query that is prepared when it is first used: drizzle takes longer to write its SQL than SQLite to compile it, and a
 * process uses few of those that it may need.
 */
export function prepared<Q>(build: () => { prepare(): Q }): Prepared<Q> {
  let made: SQLitePreparedQuery<PreparedQueryConfig & { type: 'sync' }> | undefined;
  const query = () => {
    made ??= build().prepare() as unknown as NonNullable<typeof made>;
    return made;
  };
  const lazy = {
    run: (values?: Values) => query().run(values),
    get: (values?: Values) => query().get(values),
    all: (values?: Values) => query().all(values),
  };
  return lazy as unknown as Prepared<Q>;
}

/**
 * Runs a prepared change that every refresh makes. drizzle looks up the kind of each parameter on every run, which takes as
 * long as SQLite's own part: here it is known beforehand. Throws when a value is missing.
 */
export function runner(
  orm: SqliteAccess['orm'],
  build: () => { prepare(): { getQuery(): Query } },
): (values: Values) => RunResult {
  let statement: Statement | undefined;
  let readers: ((values: Values) => unknown)[] = [];
  return (values) => {
    if (statement === undefined) {
      const { sql: text, params } = build().prepare().getQuery();
      statement = orm.$client.prepare(text);
      readers = params.map(readerOf);
    }
    return statement.run(readers.map((read) => read(values)));
  };
}

function readerOf(param: unknown): (values: Values) => unknown {
  if (is(param, Placeholder)) return (values) => valueNamed(values, param.name);
  if (!is(param, Param) || !is(param.value, Placeholder)) return () => param;
  const { encoder, value } = param;
  return (values) => encoder.mapToDriverValue(valueNamed(values, value.name));
}

function valueNamed(values: Values, name: string): unknown {
  if (!(name in values)) throw new TypeError(`no value for ${name}`);
  return values[name];
}
