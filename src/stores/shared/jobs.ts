// Jobs: what both stores decide and write.
import { and, type Column, eq, type SQL } from 'drizzle-orm';
import type { Job } from '../../domain/job.ts';
import type { JobFilter } from '../../ports/index.ts';

export const isOfFilter = (
  jobs: Record<'callerId' | 'status', Column>,
  { caller, status }: JobFilter,
): SQL | undefined =>
  and(
    caller === undefined ? undefined : eq(jobs.callerId, caller),
    status === undefined ? undefined : eq(jobs.status, status),
  );

/** What taking a job changes. */
export const taken = ({ fence, startedAt }: Job, now: number, leaseEnds: number) => ({
  status: 'running' as const,
  nextAt: leaseEnds,
  fence: fence + 1,
  startedAt: startedAt ?? now,
});

export const cancelled = (now: number) => ({ status: 'cancelled' as const, nextAt: null, finishedAt: now });
