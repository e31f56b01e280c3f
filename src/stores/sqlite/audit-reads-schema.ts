// The SQLite table that finds an owner's reads in the audit log.
import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';

/**
 * One row for each batch of reads and each owner in it. By weeks, so that what is written to is small, and so that a week goes as
 * a whole; rows may outlive their batch until then. Without row ids: the table is its index (the migration says so).
 */
export const auditReads = sqliteTable(
  'audit_reads',
  {
    week: integer('week').notNull(),
    owner: text('owner').notNull(),
    /** The id of the batch. */
    entry: text('entry').notNull(),
  },
  (t) => [primaryKey({ columns: [t.week, t.owner, t.entry] })],
);
