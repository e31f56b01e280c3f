// Captures of the calls of a connection through the proxy.
import { createRoute, z } from '@hono/zod-openapi';
import { CapturedCallView, CapturePost, CaptureView, EXAMPLE, PageQuery, pageOf } from '../../api/index.ts';
import type { CallCaptures, CapturedCall } from '../../broker/proxy/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { time } from '../presenters/times.ts';

/** In a page: with their bodies, they are large. */
const MAX_CALLS = 20;

const params = z.object({ id: idOf('connection', EXAMPLE.connection) });
const common = { tags: ['proxy'], security: SECURITY };

const start = createRoute({
  ...common,
  operationId: 'startCapture',
  method: 'post',
  path: '/v1/connections/{id}/capture',
  summary: 'Capture the calls of a connection',
  description:
    'For at most 15 minutes, calls of this connection through the proxy are kept with their headers and bodies (64 kB of each), for a day: the newest 200, without the secrets that are found in them, and encrypted. Takes `admin`. One that runs gets the new end.',
  request: { params, body: body(CapturePost) },
  responses: {
    201: json(CaptureView, 'The capture, which runs on every replica'),
    ...problems('forbidden', 'not_found', 'connection_revoked'),
  },
});

const stop = createRoute({
  ...common,
  operationId: 'stopCapture',
  method: 'delete',
  path: '/v1/connections/{id}/capture',
  summary: 'End the capture of calls',
  description: 'What was captured stays for a day. Takes `admin`.',
  request: { params },
  responses: { 204: { description: 'None runs' }, ...problems('forbidden', 'not_found') },
});

const list = createRoute({
  ...common,
  operationId: 'listCapturedCalls',
  method: 'get',
  path: '/v1/connections/{id}/captures',
  summary: 'List captured calls',
  description: 'The newest first, at most 20 in a page. Takes `admin`; each read is in the audit log.',
  request: { params, query: PageQuery },
  responses: { 200: json(pageOf(CapturedCallView), 'A page of captured calls'), ...problems('forbidden', 'not_found') },
});

export function captureRoutes({ captures }: { captures: CallCaptures }) {
  return router()
    .openapi(start, async (c) => {
      const { duration } = c.req.valid('json');
      const started = await captures.start(c.get('call'), c.req.valid('param').id, duration * 1_000);
      return respond(c, started, ({ connectionId, startedAt, until }) =>
        c.json({ connection_id: connectionId, started_at: time(startedAt), until: time(until) }, 201),
      );
    })
    .openapi(stop, async (c) => {
      const stopped = await captures.stop(c.get('call'), c.req.valid('param').id);
      return respond(c, stopped, () => c.body(null, 204));
    })
    .openapi(list, async (c) => {
      const { id } = c.req.valid('param');
      const { limit = MAX_CALLS, cursor } = c.req.valid('query');
      const asked = { limit: Math.min(limit, MAX_CALLS), cursor };
      const found = await paged(c, asked, (request) => captures.list(c.get('call'), id, request));
      return respond(c, found, (some) => c.json(page(c, some, presentCall), 200));
    });
}

type Message = CapturedCall['request'];

const presentMessage = ({ headers, body: sent }: Message) => ({
  headers: headers.map(([name, value]) => ({ name, value })),
  body: sent,
});

const presentCall = (call: CapturedCall): z.infer<typeof CapturedCallView> => ({
  id: call.id,
  connection_id: call.connectionId,
  at: time(call.at),
  method: call.method,
  host: call.host,
  path: call.path,
  status: call.status,
  error: call.error,
  duration_ms: call.durationMs,
  attempts: call.attempts,
  complete: call.isComplete,
  request: presentMessage(call.request),
  response: call.response && presentMessage(call.response),
});
