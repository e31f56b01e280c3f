// The PostgreSQL table that finds an owner's reads in the audit log.
import { integer, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { text } from './columns.ts';

/**
 * One row for each batch of reads and each owner in it. By weeks, so that what is written to is small, and so that a week goes as
 * a whole; rows may outlive their batch until then.
 */
export const auditReads = pgTable(
  'audit_reads',
  {
    week: integer('week').notNull(),
    owner: text('owner').notNull(),
    /** The id of the batch. */
    entry: text('entry').notNull(),
  },
  (t) => [primaryKey({ columns: [t.week, t.owner, t.entry] })],
);
