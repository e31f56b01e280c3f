// Long work that a caller starts and any replica goes on with: its kinds, its progress, and who it is done for. Times are
// milliseconds since the epoch.
import type { Action, Credential, Permission } from './caller.ts';
import type { DeliveryStatus } from './webhook-endpoint.ts';

/** What a job is to do. */
export type JobInput =
  | { kind: 'connections.revoke'; integration: string | null; owner: string | null }
  /** `to` is exclusive; `status` null: all that were not delivered. */
  | { kind: 'deliveries.replay'; endpoint: string; from: number; to: number; status: DeliveryStatus | null }
  /** `key`: the id of the key that encrypts. A replica with another one leaves the job to the others. */
  | { kind: 'keys.rotate'; key: string };

export const JOB_KINDS = ['connections.revoke', 'deliveries.replay', 'keys.rotate'] as const;
export type JobKind = (typeof JOB_KINDS)[number];

/** What a kind does is permitted by this action. */
export const JOB_ACTIONS = {
  'connections.revoke': 'connections:write',
  'deliveries.replay': 'events',
  'keys.rotate': 'admin',
} as const satisfies Record<JobKind, Action>;

/** `pending`: no process has begun; `failed`: it was given up, or its caller may not do this any more. */
export const JOB_STATUSES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** On whose behalf it is done. */
export interface JobActor {
  id: string;
  name: string;
  credential: Credential;
  /** Of a user of the console, as of the start; null: those of the caller count, as they are while it runs. */
  permissions: Permission[] | null;
  address: string | null;
  /** Of the request that started it. */
  requestId: string;
}

export interface Job {
  /** `job_…` */
  id: string;
  kind: JobKind;
  input: JobInput;
  actor: JobActor;
  /** The id of its caller. */
  callerId: string;
  status: JobStatus;
  /** What there was to do at the start, as far as it was counted; null: it was not. */
  total: number | null;
  done: number;
  /** What came of it, by name. */
  counts: Record<string, number>;
  /** Where the next batch begins; null: at the beginning. */
  position: string | null;
  /** Batches that have failed since the last one that did not. */
  attempts: number;
  /** Why the last batch failed, in a word. */
  lastError: string | null;
  /** When a process may take it; while one has it, the end of its lease. Null: it has ended. */
  nextAt: number | null;
  /** Counts the processes that have taken it: one that is not the last writes nothing. */
  fence: number;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  /** The message authentication code of what it is to do, and for whom. */
  mac?: string | null | undefined;
}

export const hasEnded = ({ status }: Pick<Job, 'status'>): boolean => status !== 'pending' && status !== 'running';
