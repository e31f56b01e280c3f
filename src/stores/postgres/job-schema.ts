// The table of jobs, in PostgreSQL.
import { sql } from 'drizzle-orm';
import { index, integer, pgTable } from 'drizzle-orm/pg-core';
import type { JobActor, JobInput, JobKind, JobStatus } from '../../domain/job.ts';
import { json, text, time } from './columns.ts';

export const jobs = pgTable(
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
    nextAt: time('next_at'),
    fence: integer('fence').notNull(),
    createdAt: time('created_at').notNull(),
    startedAt: time('started_at'),
    finishedAt: time('finished_at'),
    mac: text('mac'),
  },
  (t) => [
    index('jobs_due').on(t.nextAt).where(sql`next_at is not null`),
    index('jobs_of_caller').on(t.callerId, t.id),
    index('jobs_finished').on(t.finishedAt).where(sql`finished_at is not null`),
  ],
);
