// Jobs, in SQLite.
import { and, asc, count, desc, eq, gte, isNotNull, lt, lte, notInArray, sql } from 'drizzle-orm';
import type { JobStore } from '../../ports/index.ts';
import { cancelled, isOfFilter, taken } from '../shared/jobs.ts';
import { pageOf } from '../shared/pages.ts';
import { deleteSome } from './chosen-rows.ts';
import type { SqliteAccess } from './client.ts';
import { prepared } from './prepared-queries.ts';
import { jobs } from './schema.ts';

export function createJobStore({ orm, read, write, record }: SqliteAccess): JobStore {
  const { id, callerId, nextAt, attempts, finishedAt, status } = jobs;
  const isOpen = isNotNull(nextAt);
  /** What a process asks every second: prepared, since it is nearly all that an idle one does. */
  const firstDue = prepared(() =>
    orm
      .select()
      .from(jobs)
      .where(and(isOpen, lte(nextAt, sql.placeholder('now'))))
      .orderBy(asc(nextAt))
      .limit(1),
  );
  const byId = (one: string) => orm.select().from(jobs).where(eq(id, one)).get();

  return {
    addJob: (job, mostOpen, audit) =>
      write(() => {
        const own = and(eq(callerId, job.callerId), isOpen);
        if (orm.select({ n: count() }).from(jobs).where(own).get()!.n >= mostOpen) return 'full';
        orm.insert(jobs).values(job).run();
        record(audit);
        return 'added';
      }),
    job: (one) => read(() => byId(one)),
    jobs: (filter, { limit, after }) =>
      read(() => {
        const which = and(isOfFilter(jobs, filter), after === undefined ? undefined : lt(id, after));
        const rows = orm
          .select()
          .from(jobs)
          .where(which)
          .orderBy(desc(id))
          .limit(limit + 1);
        return pageOf(rows.all(), limit);
      }),
    openJobs: (limit) => read(() => orm.select().from(jobs).where(isOpen).orderBy(asc(id)).limit(limit).all()),
    claimJob: async (now, leaseEnds, except) => {
      if (!(await read(() => firstDue.get({ now })))) return undefined;
      const isDue = and(isOpen, lte(nextAt, now), except.length === 0 ? undefined : notInArray(id, [...except]));
      const due = orm.select().from(jobs).where(isDue).orderBy(asc(nextAt)).limit(1);
      if (except.length > 0 && !(await read(() => due.get()))) return undefined;
      return write(() => {
        const job = due.get();
        if (!job) return undefined;
        const change = taken(job, now, leaseEnds);
        orm.update(jobs).set(change).where(eq(id, job.id)).run();
        return { ...job, ...change };
      });
    },
    saveJob: (claimed, progress, audit) =>
      write(() => {
        const isMine = and(eq(id, claimed.id), eq(jobs.fence, claimed.fence), isOpen);
        if (orm.update(jobs).set(progress).where(isMine).run().changes === 0) return 'lost';
        record(audit);
        return 'stored';
      }),
    cancelJob: (one, now, audit) =>
      write(() => {
        const { changes } = orm
          .update(jobs)
          .set(cancelled(now))
          .where(and(eq(id, one), isOpen))
          .run();
        if (changes === 0) return byId(one) ? 'ended' : 'absent';
        record(audit);
        return 'cancelled';
      }),
    deleteJobs: (before, limit) =>
      write(() => deleteSome(orm, jobs, id, and(isNotNull(finishedAt), lt(finishedAt, before)), limit)),
    jobState: (failedSince) =>
      read(() => {
        const failing = sql<number>`coalesce(sum(${attempts} > 0), 0)`;
        const open = orm.select({ n: count(), failing }).from(jobs).where(isOpen).get()!;
        const gaveUp = and(isNotNull(finishedAt), gte(finishedAt, failedSince), eq(status, 'failed'));
        const failed = orm.select({ n: count() }).from(jobs).where(gaveUp).get()!;
        return { open: open.n, failing: open.failing, failed: failed.n };
      }),
  };
}
