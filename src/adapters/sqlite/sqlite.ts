// What the parts of the store share: the database, its one way in and its one way out.
import { type Column, type SQL, sql } from 'drizzle-orm';
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3';
import type { AuditEntry } from '../../domain/audit.ts';
import type { Page } from '../../ports.ts';

export interface SqliteAccess {
  orm: BetterSQLite3Database;
  /** For questions, outside of any transaction. */
  read<T>(question: () => T): Promise<T>;
  /** For everything that changes something: see `GroupCommit.write`. */
  write<T>(sentence: () => T): Promise<T>;
  /** Inside a sentence: the audit entry of what it did. */
  record(entry: AuditEntry): void;
}

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
