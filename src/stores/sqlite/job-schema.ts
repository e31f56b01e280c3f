// The table of jobs, in SQLite.
import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { JobActor, JobInput, JobKind, JobStatus } from '../../domain/job.ts';
import { json } from './columns.ts';

export const jobs = sqliteTable(
  'jobs',
  {
    id: text('id').primaryKey(),
    kind: text('kind').$type<JobKind>().notNull(),
    input: json<JobInput>('input').notNull(),
    actor: json<JobActor>('actor').notNull(),
    callerId: text('caller_id').notNull(),
    status: text('status').$type<JobStatus>().notNull(),
    total: integer('total'),
    done: integer('done').notNull(),
    counts: json<Record<string, number>>('counts').notNull(),
    position: text('position'),
    attempts: integer('attempts').notNull(),
    lastError: text('last_error'),
    nextAt: integer('next_at'),
    fence: integer('fence').notNull(),
    createdAt: integer('created_at').notNull(),
    startedAt: integer('started_at'),
    finishedAt: integer('finished_at'),
    mac: text('mac'),
  },
  (t) => [
    index('jobs_due').on(t.nextAt).where(sql`next_at is not null`),
    index('jobs_of_caller').on(t.callerId, t.id),
    index('jobs_finished').on(t.finishedAt).where(sql`finished_at is not null`),
  ],
);
