// Received webhooks, for callers: lists, bodies, processing again; and the window for a handshake.
import { createRoute, z } from '@hono/zod-openapi';
import {
  EXAMPLE,
  HandshakePost,
  HandshakeView,
  pageOf,
  ReceivedWebhookDetail,
  ReceivedWebhookQuery,
  ReceivedWebhookView,
} from '../../api/index.ts';
import type { Inbox, WebhookAdmin } from '../../broker/webhooks/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { timeOrNull } from '../presenters/times.ts';
import { presentReceivedWebhook, presentReceivedWebhookDetail } from '../presenters/webhooks.ts';

const common = { tags: ['webhooks'], security: SECURITY };
const params = z.object({ id: idOf('webhook', 'whr_01k9d3q1v6b8n0m2z4x5c7v9as') });

const list = createRoute({
  ...common,
  operationId: 'listWebhooks',
  method: 'get',
  path: '/v1/webhooks',
  summary: 'List received webhooks',
  description:
    'Newest first, without their bodies. Of integrations that a grant of the caller covers with the action `webhooks`, for every owner.',
  request: { query: ReceivedWebhookQuery },
  responses: { 200: json(pageOf(ReceivedWebhookView), 'A page of received webhooks'), ...problems('forbidden') },
});

const get = createRoute({
  ...common,
  operationId: 'getWebhook',
  method: 'get',
  path: '/v1/webhooks/{id}',
  summary: 'Get a received webhook',
  description: 'With its body, as it was received.',
  request: { params },
  responses: { 200: json(ReceivedWebhookDetail, 'The webhook'), ...problems('not_found') },
});

const process = createRoute({
  ...common,
  operationId: 'processWebhook',
  method: 'post',
  path: '/v1/webhooks/{id}/process',
  summary: 'Process a received webhook again',
  description:
    'Looks for its connections again, and acts on it. The events that it was handed on as are not made a second time.',
  request: { params },
  responses: { 202: json(ReceivedWebhookView, 'It is due for processing'), ...problems('not_found') },
});

const handshake = createRoute({
  ...common,
  operationId: 'openWebhookHandshake',
  method: 'post',
  path: '/v1/integrations/{id}/webhook-handshake',
  summary: 'Wait for a handshake',
  description:
    'For some minutes, the key that a handshake of the vendor brings is taken, once. Some vendors send it unsigned: open the window just before the subscription is made.',
  request: { params: z.object({ id: idOf('integration', EXAMPLE.integration) }), body: body(HandshakePost) },
  responses: { 200: json(HandshakeView, 'Until when'), ...problems('forbidden', 'not_found') },
});

interface Parts {
  inbox: Inbox;
  webhooks: WebhookAdmin;
}

export function webhookRoutes({ inbox, webhooks }: Parts) {
  return router()
    .openapi(list, async (c) => {
      const { limit, cursor, connection, ...filter } = c.req.valid('query');
      const found = await paged(c, { limit, cursor }, (request) =>
        inbox.list(c.get('call'), { ...filter, connectionId: connection }, request),
      );
      return respond(c, found, (some) => c.json(page(c, some, presentReceivedWebhook), 200));
    })
    .openapi(get, async (c) => {
      const found = await inbox.get(c.get('call'), c.req.valid('param').id);
      return respond(c, found, (shown) => c.json(presentReceivedWebhookDetail(shown), 200));
    })
    .openapi(process, async (c) => {
      const found = await inbox.process(c.get('call'), c.req.valid('param').id);
      return respond(c, found, (webhook) => c.json(presentReceivedWebhook(webhook), 202));
    })
    .openapi(handshake, async (c) => {
      const { minutes } = c.req.valid('json');
      const opened = await webhooks.openHandshake(c.get('call'), c.req.valid('param').id, minutes);
      return respond(c, opened, ({ until }) => c.json({ handshake_until: timeOrNull(until) }, 200));
    });
}
