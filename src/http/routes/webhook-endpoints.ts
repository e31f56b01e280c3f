// Webhook endpoints: create, list, change, delete, rotate the secret, test, replay.
import { createRoute, z } from '@hono/zod-openapi';
import {
  EndpointCreated,
  EndpointPatch,
  EndpointPost,
  EndpointTested,
  EndpointView,
  EXAMPLE,
  PageQuery,
  pageOf,
  Replayed,
  ReplayPost,
  SecretRotated,
} from '../../api/index.ts';
import type { WebhookEndpoints } from '../../broker/events/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { time } from '../presenters/times.ts';
import { presentWebhookEndpoint } from '../presenters/webhooks.ts';

const params = z.object({ id: idOf('webhook endpoint', EXAMPLE.endpoint) });
const common = { tags: ['events'], security: SECURITY };

const create = createRoute({
  ...common,
  operationId: 'createWebhookEndpoint',
  method: 'post',
  path: '/v1/webhook-endpoints',
  summary: 'Create a webhook endpoint',
  description:
    'Events that the `events` grants of the caller cover are sent to it, signed (Standard Webhooks). Only this response shows its secret.',
  request: { body: body(EndpointPost) },
  responses: { 201: json(EndpointCreated, 'The new endpoint, with its secret'), ...problems('forbidden') },
});

const list = createRoute({
  ...common,
  operationId: 'listWebhookEndpoints',
  method: 'get',
  path: '/v1/webhook-endpoints',
  summary: 'List webhook endpoints',
  description: 'Those of the caller; for admins, those of all callers. Newest first.',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(EndpointView), 'A page of webhook endpoints'), ...problems('forbidden') },
});

const get = createRoute({
  ...common,
  operationId: 'getWebhookEndpoint',
  method: 'get',
  path: '/v1/webhook-endpoints/{id}',
  summary: 'Get a webhook endpoint',
  request: { params },
  responses: { 200: json(EndpointView, 'The endpoint'), ...problems('forbidden', 'not_found') },
});

const patch = createRoute({
  ...common,
  operationId: 'updateWebhookEndpoint',
  method: 'patch',
  path: '/v1/webhook-endpoints/{id}',
  summary: 'Update a webhook endpoint',
  description: 'Its secret stays. `enabled: true` starts one again that was disabled.',
  request: { params, body: body(EndpointPatch) },
  responses: { 200: json(EndpointView, 'The endpoint'), ...problems('forbidden', 'not_found') },
});

const remove = createRoute({
  ...common,
  operationId: 'deleteWebhookEndpoint',
  method: 'delete',
  path: '/v1/webhook-endpoints/{id}',
  summary: 'Delete a webhook endpoint',
  description: 'With its deliveries.',
  request: { params },
  responses: { 204: { description: 'Deleted' }, ...problems('forbidden', 'not_found') },
});

const rotate = createRoute({
  ...common,
  operationId: 'rotateWebhookSecret',
  method: 'post',
  path: '/v1/webhook-endpoints/{id}/rotate-secret',
  summary: 'Rotate the secret of a webhook endpoint',
  description:
    'The replaced secret signs as well for 24 hours, and those that were replaced before until the time that each was given. So the request can be repeated: with a new secret that no receiver has yet, the one it has goes on to sign.',
  request: { params },
  responses: { 200: json(SecretRotated, 'The new secret'), ...problems('forbidden', 'not_found') },
});

const test = createRoute({
  ...common,
  operationId: 'testWebhookEndpoint',
  method: 'post',
  path: '/v1/webhook-endpoints/{id}/test',
  summary: 'Test a webhook endpoint',
  description: 'Sends it the event `test.ping`, whatever types it wants. What came of it is in its deliveries.',
  request: { params },
  responses: { 202: json(EndpointTested, 'The event'), ...problems('forbidden', 'not_found') },
});

const replay = createRoute({
  ...common,
  operationId: 'replayWebhookEndpoint',
  method: 'post',
  path: '/v1/webhook-endpoints/{id}/replay',
  summary: 'Replay events to a webhook endpoint',
  description:
    'Makes the deliveries of a time range due at once: those that were not delivered, or those with a status. Each event keeps its id.',
  request: { params, body: body(ReplayPost) },
  responses: { 202: json(Replayed, 'How many are due now'), ...problems('forbidden', 'not_found') },
});

export function webhookEndpointRoutes({ webhookEndpoints }: { webhookEndpoints: WebhookEndpoints }) {
  return router()
    .openapi(create, async (c) => {
      const { types = null, integrations = null, owners = null, ...rest } = c.req.valid('json');
      const { ordered = false, headers = null, description = null, url } = rest;
      const settings = { url, types, integrations, owners, ordered, headers, description };
      return respond(c, await webhookEndpoints.create(c.get('call'), settings), ({ endpoint, secret }) =>
        c.json({ ...presentWebhookEndpoint(endpoint), secret }, 201),
      );
    })
    .openapi(list, async (c) => {
      const found = await paged(c, c.req.valid('query'), (request) => webhookEndpoints.list(c.get('call'), request));
      return respond(c, found, (some) => c.json(page(c, some, presentWebhookEndpoint), 200));
    })
    .openapi(get, async (c) => {
      const endpoint = await webhookEndpoints.get(c.get('call'), c.req.valid('param').id);
      return respond(c, endpoint, (found) => c.json(presentWebhookEndpoint(found), 200));
    })
    .openapi(patch, async (c) => {
      const updated = await webhookEndpoints.update(c.get('call'), c.req.valid('param').id, c.req.valid('json'));
      return respond(c, updated, (endpoint) => c.json(presentWebhookEndpoint(endpoint), 200));
    })
    .openapi(remove, async (c) => {
      const removed = await webhookEndpoints.remove(c.get('call'), c.req.valid('param').id);
      return respond(c, removed, () => c.body(null, 204));
    })
    .openapi(rotate, async (c) => {
      const rotated = await webhookEndpoints.rotateSecret(c.get('call'), c.req.valid('param').id);
      return respond(c, rotated, ({ secret, previousUntil }) =>
        c.json({ secret, previous_until: time(previousUntil) }, 200),
      );
    })
    .openapi(test, async (c) => {
      const tested = await webhookEndpoints.test(c.get('call'), c.req.valid('param').id);
      return respond(c, tested, ({ eventId }) => c.json({ event_id: eventId }, 202));
    })
    .openapi(replay, async (c) => {
      const { from, to, status } = c.req.valid('json');
      const range = { from: Date.parse(from), to: to === undefined ? undefined : Date.parse(to), status };
      const replayed = await webhookEndpoints.replay(c.get('call'), c.req.valid('param').id, range);
      return respond(c, replayed, (made) => c.json(made, 202));
    });
}
