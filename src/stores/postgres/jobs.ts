// Jobs, in PostgreSQL.
import { and, asc, count, desc, eq, gte, isNotNull, lt, lte, notInArray, sql } from 'drizzle-orm';
import type { JobStore } from '../../ports/index.ts';
import { cancelled, isOfFilter, taken } from '../shared/jobs.ts';
import { pageOf } from '../shared/pages.ts';
import { deleteSome } from './chosen-rows.ts';
import type { Orm, PostgresAccess } from './client.ts';
import { jobs } from './schema.ts';

export function createJobStore({ autocommit, transaction, record }: PostgresAccess): JobStore {
  const { id, callerId, nextAt, attempts, finishedAt, status } = jobs;
  const isOpen = isNotNull(nextAt);
  const byId = async (orm: Orm, one: string) => (await orm.select().from(jobs).where(eq(id, one)))[0];

  return {
    addJob: (job, mostOpen, audit) =>
      transaction(async (orm) => {
        const own = and(eq(callerId, job.callerId), isOpen);
        const [open] = await orm.select({ n: count() }).from(jobs).where(own);
        if (open!.n >= mostOpen) return 'full';
        await orm.insert(jobs).values(job);
        await record(orm, audit);
        return 'added';
      }),
    job: (one) => autocommit((orm) => byId(orm, one)),
    jobs: (filter, { limit, after }) =>
      autocommit(async (orm) => {
        const which = and(isOfFilter(jobs, filter), after === undefined ? undefined : lt(id, after));
        const rows = orm
          .select()
          .from(jobs)
          .where(which)
          .orderBy(desc(id))
          .limit(limit + 1);
        return pageOf(await rows, limit);
      }),
    openJobs: (limit) => autocommit((orm) => orm.select().from(jobs).where(isOpen).orderBy(asc(id)).limit(limit)),
    claimJob: (now, leaseEnds, except) =>
      transaction(async (orm) => {
        const isDue = and(isOpen, lte(nextAt, now), except.length === 0 ? undefined : notInArray(id, [...except]));
        const due = orm.select().from(jobs).where(isDue).orderBy(asc(nextAt)).limit(1);
        const [job] = await due.for('no key update', { skipLocked: true });
        if (!job) return undefined;
        const change = taken(job, now, leaseEnds);
        await orm.update(jobs).set(change).where(eq(id, job.id));
        return { ...job, ...change };
      }),
    saveJob: (claimed, progress, audit) =>
      transaction(async (orm) => {
        const isMine = and(eq(id, claimed.id), eq(jobs.fence, claimed.fence), isOpen);
        const saved = await orm.update(jobs).set(progress).where(isMine).returning({ id });
        if (saved.length === 0) return 'lost';
        if (audit) await record(orm, audit);
        return 'stored';
      }),
    cancelJob: (one, now, audit) =>
      transaction(async (orm) => {
        const ended = await orm
          .update(jobs)
          .set(cancelled(now))
          .where(and(eq(id, one), isOpen))
          .returning({ id });
        if (ended.length === 0) return (await byId(orm, one)) ? 'ended' : 'absent';
        await record(orm, audit);
        return 'cancelled';
      }),
    deleteJobs: (before, limit) =>
      autocommit((orm) => deleteSome(orm, jobs, id, and(isNotNull(finishedAt), lt(finishedAt, before)), limit)),
    jobState: (failedSince) =>
      autocommit(async (orm) => {
        const failing = sql<string>`count(*) filter (where ${attempts} > 0)`;
        const [open] = await orm.select({ n: count(), failing }).from(jobs).where(isOpen);
        const gaveUp = and(isNotNull(finishedAt), gte(finishedAt, failedSince), eq(status, 'failed'));
        const [failed] = await orm.select({ n: count() }).from(jobs).where(gaveUp);
        return { open: open!.n, failing: Number(open!.failing), failed: failed!.n };
      }),
  };
}
