// Jobs: long work that its caller can leave and find again.
import { createRoute, z } from '@hono/zod-openapi';
import { EXAMPLE, JobPost, JobQuery, JobView, pageOf } from '../../api/index.ts';
import type { JobAdmin, WantedJob } from '../../broker/jobs/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { presentJob } from '../presenters/jobs.ts';

const params = z.object({ id: idOf('job', EXAMPLE.job) });
const common = { tags: ['jobs'], security: SECURITY };

const start = createRoute({
  ...common,
  operationId: 'startJob',
  method: 'post',
  path: '/v1/jobs',
  summary: 'Start a job',
  description:
    'Long work, which any replica goes on with after a restart or a kill. It needs the grants that the operation itself needs, now and while it runs: a caller that is deleted or narrowed loses its jobs. Done in batches, each of which is repeated with a growing pause if it fails. A caller has at most 20 jobs that have not ended; those that have are shown for 30 days.',
  request: { body: body(JobPost) },
  responses: { 202: json(JobView, 'The job'), ...problems('forbidden', 'not_found') },
});

const list = createRoute({
  ...common,
  operationId: 'listJobs',
  method: 'get',
  path: '/v1/jobs',
  summary: 'List jobs',
  description:
    'Those of the caller, of which its agent sessions see none; who may read everything sees those of all callers. Newest first.',
  request: { query: JobQuery },
  responses: { 200: json(pageOf(JobView), 'A page of jobs'), ...problems() },
});

const get = createRoute({
  ...common,
  operationId: 'getJob',
  method: 'get',
  path: '/v1/jobs/{id}',
  summary: 'Get a job',
  description: 'With its progress.',
  request: { params },
  responses: { 200: json(JobView, 'The job'), ...problems('not_found') },
});

const cancel = createRoute({
  ...common,
  operationId: 'cancelJob',
  method: 'delete',
  path: '/v1/jobs/{id}',
  summary: 'Cancel a job',
  description:
    'What was done stays done, and the batch that is under way ends. A job that has ended stays as it is. Admins may cancel the jobs of all callers.',
  request: { params },
  responses: { 200: json(JobView, 'The job'), ...problems('not_found') },
});

export function jobRoutes({ jobs }: { jobs: JobAdmin }) {
  return router()
    .openapi(start, async (c) => {
      const started = await jobs.start(c.get('call'), wantedOf(c.req.valid('json')));
      return respond(c, started, (job) => c.json(presentJob(job), 202));
    })
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const found = await paged(c, { limit, cursor }, (request) => jobs.list(c.get('call'), filter, request));
      return respond(c, found, (some) => c.json(page(c, some, presentJob), 200));
    })
    .openapi(get, async (c) => {
      const job = await jobs.get(c.get('call'), c.req.valid('param').id);
      return respond(c, job, (found) => c.json(presentJob(found), 200));
    })
    .openapi(cancel, async (c) => {
      const job = await jobs.cancel(c.get('call'), c.req.valid('param').id);
      return respond(c, job, (found) => c.json(presentJob(found), 200));
    });
}

function wantedOf(given: z.infer<typeof JobPost>): WantedJob {
  if (given.kind !== 'deliveries.replay') return given;
  const { from, to } = given;
  return { ...given, from: Date.parse(from), to: to === undefined ? undefined : Date.parse(to) };
}
