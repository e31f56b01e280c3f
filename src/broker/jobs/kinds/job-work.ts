// What a kind of job does: it is begun once, and then done in batches, each of which can be done again without harm.
import type { Refusal } from '../../../domain/errors.ts';
import type { Job, JobInput } from '../../../domain/job.ts';
import type { DeliveryStatus } from '../../../domain/webhook-endpoint.ts';
import type { Call } from '../../audit/index.ts';

/** What a caller asks for. Times in milliseconds since the epoch; `to` is exclusive. */
export type WantedJob =
  | { kind: 'connections.revoke'; integration?: string | undefined; owner?: string | undefined }
  | {
      kind: 'deliveries.replay';
      endpoint: string;
      from: number;
      to?: number | undefined;
      status?: DeliveryStatus | undefined;
    }
  | { kind: 'keys.rotate' };

/** What a batch has added. */
export interface Batch {
  done: number;
  counts: Record<string, number>;
}

export interface JobWork<Kind extends JobInput['kind'] = JobInput['kind']> {
  /** Judges the caller as the operation itself does. `total`: what there is to do; null: it is not counted. */
  prepare(
    call: Call,
    wanted: Extract<WantedJob, { kind: Kind }>,
  ): Promise<{ input: Extract<JobInput, { kind: Kind }>; total: number | null } | Refusal>;
  /** Whether this process can do it; if not, it is left to the others. */
  canDo(input: Extract<JobInput, { kind: Kind }>): boolean;
  /**
   * Does a batch from `job.position` on, and judges the caller again. `next`: where the next one begins; null: all is done.
   * `report` stores what was done so far in a long batch; when it rejects, the batch is to end with that. May reject: then the
   * batch is repeated.
   */
  batch(
    call: Call,
    job: Job & { input: Extract<JobInput, { kind: Kind }> },
    report: (batch: Batch) => Promise<void>,
  ): Promise<(Batch & { next: string | null }) | Refusal>;
}

/** One for each kind. */
export type JobKinds = { [Kind in JobInput['kind']]: JobWork<Kind> };
