// Jobs, as callers start, watch and cancel them.
import { ADMIN_ID, allows, hasAction } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { JOB_ACTIONS, type Job, type JobActor, type JobStatus } from '../../domain/job.ts';
import type { Clock, JobStore, Page, PageRequest } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { newId } from '../secrets/index.ts';
import type { JobKinds, JobWork, WantedJob } from './kinds/job-work.ts';

/**
 * A caller sees its own jobs, and cancels those that it might still start; its agent sessions see none. Who may read everything
 * sees all of them, and an admin may cancel them.
 */
export interface JobAdmin {
  /** Needs what the operation itself needs. It is begun within a second, by any replica. */
  start(call: Call, wanted: WantedJob): Promise<Job | Refusal>;
  /** Newest first. */
  list(call: Call, filter: { status?: JobStatus | undefined }, page: PageRequest): Promise<Page<Job>>;
  get(call: Call, id: string): Promise<Job | Refusal>;
  /** What was done stays done; the batch that is under way ends. One that has ended stays as it is. */
  cancel(call: Call, id: string): Promise<Job | Refusal>;
}

export interface JobAdminParts {
  store: Pick<JobStore, 'addJob' | 'job' | 'jobs' | 'cancelJob'>;
  kinds: JobKinds;
  /** Looks for due jobs in this process. */
  wake: () => void;
  access: Access;
  clock: Pick<Clock, 'now'>;
}

/** Of one caller. */
const MOST_OPEN = 20;

export function createJobAdmin({ store, kinds, wake, access, clock }: JobAdminParts): JobAdmin {
  const has = ({ principal }: Call, action: 'admin' | 'admin:read') =>
    allows(principal.caller.permissions, action, '*', '*');
  /** Users of console links are one caller, whatever their role is. A session is its caller, and started none of its jobs. */
  const isOwn = ({ principal: { caller, session } }: Call, job: Job, action: 'admin' | 'admin:read') =>
    session === undefined &&
    job.callerId === caller.id &&
    (action === 'admin:read' || caller.permissions.some((one) => hasAction(one, JOB_ACTIONS[job.kind])));
  const reaches = (call: Call, job: Job, action: 'admin' | 'admin:read') =>
    isOwn(call, job, action) || has(call, action);
  const absent = (id: string) => refuse({ code: 'not_found', what: 'job', id });

  async function find(call: Call, id: string, action: 'admin' | 'admin:read'): Promise<Job | Refusal> {
    const job = await store.job(id);
    return job && reaches(call, job, action) ? job : absent(id);
  }

  return {
    async start(call, wanted) {
      const work = kinds[wanted.kind] as JobWork;
      const prepared = await work.prepare(call, wanted);
      if (prepared instanceof Refusal) return prepared;
      const now = clock.now();
      const job: Job = {
        id: newId('job', now),
        kind: wanted.kind,
        ...prepared,
        actor: actorOf(call),
        callerId: call.principal.caller.id,
        status: 'pending',
        done: 0,
        counts: {},
        position: null,
        attempts: 0,
        lastError: null,
        nextAt: now,
        fence: 0,
        createdAt: now,
        startedAt: null,
        finishedAt: null,
      };
      const { integration, owner } = subjectOf(job);
      const by = access.record(call, 'job.started', { integration, owner, detail: `${job.id} ${job.kind}` });
      if ((await store.addJob(job, MOST_OPEN, by)) === 'full')
        return refuse({
          code: 'invalid_request',
          detail: `There are ${MOST_OPEN} jobs of this caller that have not ended: wait, or cancel one.`,
        });
      wake();
      return job;
    },

    async list(call, { status }, page) {
      const { caller, session } = call.principal;
      if (has(call, 'admin:read')) return store.jobs({ caller: undefined, status }, page);
      return session ? { data: [], next: null } : store.jobs({ caller: caller.id, status }, page);
    },

    get: (call, id) => find(call, id, 'admin:read'),

    async cancel(call, id) {
      const job = await find(call, id, 'admin');
      if (job instanceof Refusal) return job;
      const { integration, owner } = subjectOf(job);
      const by = access.record(call, 'job.cancelled', { integration, owner, detail: `${id} ${job.kind}` });
      await store.cancelJob(id, clock.now(), by);
      return (await store.job(id)) ?? absent(id);
    },
  };
}

/** What its audit entries are about. */
export const subjectOf = ({ input }: Job): { integration: string | null; owner: string | null } =>
  input.kind === 'connections.revoke'
    ? { integration: input.integration ?? '*', owner: input.owner ?? '*' }
    : { integration: null, owner: null };

function actorOf({ principal, address, requestId }: Call): JobActor {
  const { caller, credential } = principal;
  const isOfConsole = credential.kind === 'console' && caller.id !== ADMIN_ID;
  const permissions = isOfConsole ? [...caller.permissions] : null;
  return { id: caller.id, name: caller.name, credential, permissions, address, requestId };
}
