// What the parts of the SQLite store share: how they read, how they write, and how they run prepared statements quickly.
import type { Database, RunResult } from 'better-sqlite3';
import { is, Param, Placeholder, type Query } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
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

/**
 * Runs a prepared change that every refresh makes. drizzle looks up the kind of each parameter on every run, which takes as
 * long as SQLite's own part: here it is known beforehand. Throws when a value is missing.
 */
export function runner(orm: SqliteAccess['orm'], prepared: { getQuery(): Query }): (values: Values) => RunResult {
  const { sql: text, params } = prepared.getQuery();
  const statement = orm.$client.prepare(text);
  const readers = params.map(readerOf);
  return (values) => statement.run(readers.map((read) => read(values)));
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
