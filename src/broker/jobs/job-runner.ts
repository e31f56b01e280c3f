// Runs jobs: takes what is due by a lease, does it batch by batch, and stores the progress after each. After a kill, another
// process goes on from there once the lease is over. It is idle while there is none: one look-up in an index a second.
import { setTimeout as pause } from 'node:timers/promises';
import { madeWith } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { Job } from '../../domain/job.ts';
import { createPeriodicTask } from '../../domain/periodic-task.ts';
import {
  JOB_BATCH_PAUSE_MS,
  JOB_LEASE_MS,
  JOB_POLL_MS,
  JOB_RENEW_MS,
  JOB_RETENTION_INTERVAL_MS,
  JOB_RETENTION_MS,
  JOB_RETRY_MAX_MS,
  JOB_RETRY_MS,
  SWEEP_PAUSE_MS,
} from '../../domain/time-limits.ts';
import { type Clock, type JobProgress, type JobStore, type Logger, StoreError, VaultError } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { CallerCache } from '../cache/index.ts';
import { subjectOf } from './job-admin.ts';
import type { Batch, JobKinds, JobWork } from './kinds/job-work.ts';

export interface JobRunner {
  start(everyMs?: number): void;
  /** Looks for due jobs now. */
  wake(): void;
  /** Nothing is taken any more. Fulfilled when the batches under way have ended; other processes go on at once. */
  stop(): Promise<void>;
}

export interface JobRunnerParts {
  store: Pick<JobStore, 'claimJob' | 'saveJob' | 'deleteJobs'>;
  kinds: JobKinds;
  callers: Pick<CallerCache, 'makerOf'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Clock;
  log: Logger;
}

/** In this process. */
const AT_ONCE = 4;
/** Batches that fail one after the other until a job is given up: about an hour. */
const MOST_ATTEMPTS = 20;
/** Of a refusal: what another replica has just permitted may not be known here yet. */
const MOST_REFUSALS = 3;
/** A few milliseconds of the database; SQLite runs nothing else meanwhile. */
const DELETED_AT_ONCE = 500;

/** This process does no more of the job: it was cancelled, another one has it, or this one stops. */
class JobStopped extends Error {
  override name = 'JobStopped';
}

export function createJobRunner(parts: JobRunnerParts): JobRunner {
  const { store, kinds, callers, access, clock, log } = parts;
  const running = new Map<string, Promise<void>>();
  /** Those that only other processes can do. */
  const left = new Set<string>();
  let isStopping = false;
  let looking: Promise<void> | undefined;
  let mustLookAgain = false;
  let ticks: NodeJS.Timeout | undefined;

  function wake(): void {
    if (isStopping) return;
    mustLookAgain = true;
    looking ??= look().finally(() => {
      looking = undefined;
    });
  }

  /** Never rejects. */
  async function look(): Promise<void> {
    try {
      while (mustLookAgain && !isStopping) {
        mustLookAgain = false;
        while (running.size < AT_ONCE && !isStopping) {
          const now = clock.now();
          const job = await store.claimJob(now, now + JOB_LEASE_MS, [...running.keys(), ...left]);
          if (!job) break;
          const done = run(job).finally(() => {
            running.delete(job.id);
            wake();
          });
          running.set(job.id, done);
        }
      }
    } catch (error) {
      log.error({ err: error }, 'jobs: looking for due ones failed, will retry');
    }
  }

  /** The caller as it is now. */
  function callOf({ actor }: Job): Call | Refusal {
    const { id, name, credential, permissions, address, requestId } = actor;
    const made = { callerId: id, createdWith: madeWith({ credential }) };
    const current = permissions ?? callers.makerOf(made, clock.now())?.permissions;
    if (!current) return refuse({ code: 'unauthenticated', reason: 'unknown' });
    const caller = { id, name, permissions: [...current] };
    return { principal: { caller, credential, rateLimit: null }, address, requestId };
  }

  /** Never rejects. */
  async function run(claimed: Job): Promise<void> {
    let job = claimed;
    const work = kinds[job.kind] as JobWork;
    let isLost = false;

    /** Rejects with `StoreError`, and with `JobStopped` if the job is not this process's any more. */
    async function save(progress: Partial<JobProgress>, audit?: Parameters<JobStore['saveJob']>[2]): Promise<void> {
      if (isLost || (await store.saveJob(job, progress, audit)) === 'lost') {
        isLost = true;
        throw new JobStopped('another process has the job, or it was cancelled');
      }
      job = { ...job, ...progress };
    }
    const lease = () => ({ nextAt: clock.now() + JOB_LEASE_MS });
    async function add({ done, counts }: Batch, position = job.position): Promise<void> {
      const all = { ...job.counts };
      for (const [name, n] of Object.entries(counts)) all[name] = (all[name] ?? 0) + n;
      await save({ done: job.done + done, counts: all, position, attempts: 0, lastError: null, ...lease() });
    }
    /** In the middle of a long batch. */
    async function report(batch: Batch): Promise<void> {
      await add(batch);
      if (isStopping) throw new JobStopped('this process stops');
      const call = callOf(job);
      if (call instanceof Refusal) throw new RefusedInBatch(call);
    }
    const ended = (end: Pick<JobProgress, 'attempts' | 'lastError'> & { status: 'completed' | 'failed' }) => {
      const { status, lastError: error } = end;
      const { integration, owner } = subjectOf(job);
      const why = error === null ? '' : ` ${error}`;
      const detail = `${job.id} ${job.kind}${why}`;
      const action = status === 'completed' ? 'job.completed' : 'job.failed';
      const audit = access.recordSystem(action, { integration, owner, detail }, status === 'failed' ? 'failed' : 'ok');
      return save({ ...end, nextAt: null, finishedAt: clock.now() }, audit);
    };
    async function failed(error: string, most: number): Promise<void> {
      const attempts = job.attempts + 1;
      const fields = { job: job.id, kind: job.kind, caller: job.callerId, error, attempts };
      if (attempts >= most) {
        log.warn(fields, 'job: given up');
        return ended({ status: 'failed', lastError: error, attempts });
      }
      log.warn(fields, 'job: a batch failed, will retry');
      const wait = Math.min(JOB_RETRY_MAX_MS, JOB_RETRY_MS * 2 ** (attempts - 1));
      return save({ attempts, lastError: error, nextAt: clock.now() + wait });
    }

    const renewal = setInterval(() => void save(lease()).catch(() => undefined), JOB_RENEW_MS);
    try {
      if (!work.canDo(job.input)) {
        left.add(job.id);
        return await save({ status: 'pending', lastError: 'left_to_others', nextAt: clock.now() });
      }
      for (;;) {
        const call = callOf(job);
        const batch = call instanceof Refusal ? call : await work.batch(call, job, report);
        if (batch instanceof Refusal) return await failed(batch.fault.code, MOST_REFUSALS);
        const { next } = batch;
        await add(batch, next);
        if (next === null) return await ended({ status: 'completed', lastError: null, attempts: 0 });
        if (isStopping) return await save({ nextAt: clock.now() });
        await pause(JOB_BATCH_PAUSE_MS);
      }
    } catch (error) {
      await afterError(error).catch((cause: unknown) => {
        if (!(cause instanceof JobStopped))
          log.error(
            { err: cause, job: job.id },
            'job: its progress cannot be stored, it goes on when its lease is over',
          );
      });
    } finally {
      clearInterval(renewal);
    }

    async function afterError(error: unknown): Promise<void> {
      if (error instanceof JobStopped) return isLost ? undefined : save({ nextAt: clock.now() });
      if (error instanceof RefusedInBatch) return failed(error.refusal.fault.code, MOST_REFUSALS);
      log.error({ err: error, job: job.id, kind: job.kind }, 'job: a batch failed');
      return failed(wordOf(error), MOST_ATTEMPTS);
    }
  }

  async function deleteOld(): Promise<void> {
    while (!isStopping && (await store.deleteJobs(clock.now() - JOB_RETENTION_MS, DELETED_AT_ONCE)))
      await pause(SWEEP_PAUSE_MS);
  }
  const sweeps = createPeriodicTask(deleteOld, (error) =>
    log.error({ err: error }, 'jobs: deleting old ones failed, will retry'),
  );

  return {
    start(everyMs = JOB_POLL_MS) {
      ticks = setInterval(wake, everyMs);
      sweeps.start(JOB_RETENTION_INTERVAL_MS);
      wake();
    },
    wake,
    async stop() {
      isStopping = true;
      clearInterval(ticks);
      await looking;
      await sweeps.stop();
      await Promise.all(running.values());
    },
  };
}

class RefusedInBatch extends Error {
  override name = 'RefusedInBatch';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.fault.code);
    this.refusal = refusal;
  }
}

function wordOf(error: unknown): string {
  if (error instanceof StoreError) return 'store_unavailable';
  return error instanceof VaultError ? 'not_authentic' : 'internal';
}
