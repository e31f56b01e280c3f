// Long work that goes on when its caller has left: bulk revocation, replay, key rotation.
import { z } from '@hono/zod-openapi';
import { JOB_KINDS, JOB_STATUSES } from '../domain/job.ts';
import { Id, Owner, PageQuery, Slug, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';
import { ReplayPost } from './webhook-endpoints.ts';

const kind = <K extends (typeof JOB_KINDS)[number]>(name: K) => z.literal(name);

export const JobPost = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: kind('connections.revoke').openapi({
        description: 'Revokes all connections of an integration, of an owner, or of both: name at least one.',
      }),
      integration: Slug.optional(),
      owner: Owner.optional(),
    }),
    z.strictObject({
      kind: kind('deliveries.replay').openapi({
        description: 'Sends the events of a time range to a webhook endpoint again.',
      }),
      endpoint: Id.openapi({ example: EXAMPLE.endpoint }),
      ...ReplayPost.shape,
    }),
    z.strictObject({
      kind: kind('keys.rotate').openapi({
        description:
          'Encrypts every secret with the first key of the ring of the replica that answers. Another replica goes on with it only if that key is its first one too.',
      }),
    }),
  ])
  .openapi('StartJobRequest', {
    description: 'The kind of the job, and what that needs.',
    example: { kind: 'connections.revoke', integration: EXAMPLE.integration },
  });

const JobStatus = z.enum(JOB_STATUSES).openapi({
  description:
    '`pending`: no process has begun. `failed`: it was given up, or its caller is gone or may not do this any more.',
});

export const JobQuery = PageQuery.extend({
  status: JobStatus.optional().openapi({ description: 'Only jobs with this status' }),
});

export const JobView = z
  .object({
    id: z.string(),
    kind: z.enum(JOB_KINDS),
    input: z.record(z.string(), z.union([z.string(), z.null()])).openapi({ description: 'What it was started with' }),
    status: JobStatus,
    done: z.int().openapi({ description: 'Connections, deliveries or secrets' }),
    total: z.int().nullable().openapi({
      description: 'How many there were at the start. Null: they were not counted. More may have come since.',
    }),
    counts: z.record(z.string(), z.int()).openapi({ description: 'What came of it, by name' }),
    attempts: z.int().openapi({ description: 'Batches that have failed since the last one that did not' }),
    last_error: z.string().nullable().openapi({
      description:
        'Why the last batch failed: `store_unavailable`, `not_authentic` (a row was changed), `internal`; `left_to_others` (another key is first on this replica); or the code of a problem, such as `forbidden`',
    }),
    next_attempt_at: Time.nullable().openapi({ description: 'After a failed batch. Null: none has failed.' }),
    caller_id: z.string(),
    created_at: Time,
    started_at: Time.nullable(),
    finished_at: Time.nullable(),
  })
  .openapi('Job', {
    example: {
      id: EXAMPLE.job,
      kind: 'connections.revoke',
      input: { integration: EXAMPLE.integration, owner: null },
      status: 'running',
      done: 300,
      total: 4_210,
      counts: { pending: 300, unsupported: 0 },
      attempts: 0,
      last_error: null,
      next_attempt_at: null,
      caller_id: EXAMPLE.caller,
      created_at: EXAMPLE.made,
      started_at: EXAMPLE.made,
      finished_at: null,
    },
  });
