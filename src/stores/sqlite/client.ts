// What the parts of the store share: the database, its one way in and its one way out.

import type { Database, RunResult } from 'better-sqlite3';
import { type Column, is, Param, Placeholder, type Query, type SQL, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Page, StoreChange } from '../../ports/index.ts';

export interface SqliteAccess {
  orm: BetterSQLite3Database & { $client: Database };
  /** For questions, outside of any transaction. */
  read<T>(question: () => T): Promise<T>;
  /** For everything that changes something: see `GroupCommit.write`. */
  write<T>(sentence: () => T): Promise<T>;
  /** Inside a sentence: the audit entry of what it did, and what others may remember wrongly from here on. */
  record(entry: AuditEntry, ...told: StoreChange[]): void;
}

/** A value that a prepared statement is given later, in the form of the column; null stays null in JSON columns too. */
export const given = (column: Column, name: string): SQL => {
  const mapToDriverValue = (value: unknown) => (value === null ? null : column.mapToDriverValue(value));
  return sql`${sql.param(sql.placeholder(name), { mapToDriverValue })}`;
};

type Values = Record<string, unknown>;

/**
 * Runs a prepared change that is made for every refresh. drizzle looks for the kind of each parameter whenever it runs,
 * which takes as long as SQLite's own part: here it is known beforehand. Throws when a value is not given.
 */
export function runner(orm: SqliteAccess['orm'], prepared: { getQuery(): Query }): (values: Values) => RunResult {
  const { sql: text, params } = prepared.getQuery();
  const statement = orm.$client.prepare(text);
  const slots = params.map(slotOf);
  return (values) => statement.run(slots.map((valueFrom) => valueFrom(values)));
}

function slotOf(param: unknown): (values: Values) => unknown {
  if (is(param, Placeholder)) return (values) => named(values, param.name);
  if (!is(param, Param) || !is(param.value, Placeholder)) return () => param;
  const { encoder, value } = param;
  return (values) => encoder.mapToDriverValue(named(values, value.name));
}

function named(values: Values, name: string): unknown {
  if (!(name in values)) throw new TypeError(`no value for ${name}`);
  return values[name];
}

/** A page of rows that were asked for with one more than its limit. */
export const pageOf = <T extends { id: string }>(rows: T[], limit: number): Page<T> => ({
  data: rows.slice(0, limit),
  next: rows.length > limit ? rows[limit - 1]!.id : null,
});
