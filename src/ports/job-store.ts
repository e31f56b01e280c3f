// Jobs, as a store keeps them. A process that has taken one writes with its fencing token: once another one has taken it, or
// it was cancelled, nothing of the first is stored any more.
import type { AuditEntry } from '../domain/audit.ts';
import type { Job, JobStatus } from '../domain/job.ts';
import type { Page, PageRequest } from './rows.ts';

export interface JobFilter {
  /** Only of this caller; undefined: of all. */
  caller?: string | undefined;
  status?: JobStatus | undefined;
}

/** What a process has come to. */
export type JobProgress = Pick<
  Job,
  'status' | 'total' | 'done' | 'counts' | 'position' | 'attempts' | 'lastError' | 'nextAt' | 'finishedAt'
>;

export interface JobStore {
  /** `full`: the caller has as many jobs that have not ended. */
  addJob(job: Job, mostOpen: number, audit: AuditEntry): Promise<'added' | 'full'>;
  job(id: string): Promise<Job | undefined>;
  /** Newest first. */
  jobs(filter: JobFilter, page: PageRequest): Promise<Page<Job>>;
  /** Those that have not ended, the oldest first. */
  openJobs(limit: number): Promise<Job[]>;
  /**
   * Takes the job that is due for the longest, but none of `except`: sets its status to `running` and its lease, and counts
   * `fence` up in the same commit, so that no two processes get the same.
   */
  claimJob(now: number, leaseEnds: number, except: readonly string[]): Promise<Job | undefined>;
  /** Stores the progress of a job that this process still has. `lost`: another one has it, or it has ended. */
  saveJob(
    claimed: Pick<Job, 'id' | 'fence'>,
    progress: Partial<JobProgress>,
    audit?: AuditEntry,
  ): Promise<'stored' | 'lost'>;
  /** The batch that is under way ends. */
  cancelJob(id: string, now: number, audit: AuditEntry): Promise<'cancelled' | 'ended' | 'absent'>;
  /** Deletes jobs that ended before this, up to `limit`. True: there may be more. */
  deleteJobs(before: number, limit: number): Promise<boolean>;
  /** For metrics: open jobs; those whose last batch failed; those that were given up since `failedSince`. */
  jobState(failedSince: number): Promise<{ open: number; failing: number; failed: number }>;
}
