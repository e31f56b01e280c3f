// Deliveries of events to webhook endpoints, and the keys that sign them.
import { createRoute, z } from '@hono/zod-openapi';
import { DeliveryDetail, DeliveryQuery, DeliveryView, EXAMPLE, pageOf, WebhookKeySet } from '../../api/index.ts';
import type { Deliveries, WebhookKeys } from '../../broker/events/index.ts';
import { respond } from '../errors/respond.ts';
import { HEADERS_TOO_LARGE, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { presentDelivery } from '../presenters/webhooks.ts';

const params = z.object({ id: idOf('delivery', EXAMPLE.delivery) });
const common = { tags: ['events'], security: SECURITY };

const list = createRoute({
  ...common,
  operationId: 'listDeliveries',
  method: 'get',
  path: '/v1/deliveries',
  summary: 'List deliveries',
  description: 'To the endpoints of the caller; for admins, to those of all callers. Newest first.',
  request: { query: DeliveryQuery },
  responses: { 200: json(pageOf(DeliveryView), 'A page of deliveries'), ...problems('forbidden') },
});

const get = createRoute({
  ...common,
  operationId: 'getDelivery',
  method: 'get',
  path: '/v1/deliveries/{id}',
  summary: 'Get a delivery',
  description: 'With the event, as it is sent, and the beginning of the last response.',
  request: { params },
  responses: { 200: json(DeliveryDetail, 'The delivery'), ...problems('forbidden', 'not_found') },
});

const retry = createRoute({
  ...common,
  operationId: 'retryDelivery',
  method: 'post',
  path: '/v1/deliveries/{id}/retry',
  summary: 'Retry a delivery',
  description: 'Makes it due at once, whatever became of it. The event keeps its id.',
  request: { params },
  responses: { 202: json(DeliveryView, 'The delivery'), ...problems('forbidden', 'not_found') },
});

const keys = createRoute({
  operationId: 'getWebhookKeys',
  method: 'get',
  path: '/.well-known/webhook-keys',
  tags: ['events'],
  summary: 'Get the public keys of deliveries',
  description:
    'The Ed25519 keys of the `v1a` signatures, as a JWK set: the one that signs first, then those that it has replaced within a week.',
  security: [],
  responses: { 200: json(WebhookKeySet, 'The keys'), ...HEADERS_TOO_LARGE, ...problems() },
});

interface Parts {
  deliveries: Deliveries;
  webhookKeys: Pick<WebhookKeys, 'published'>;
}

export function deliveryRoutes({ deliveries, webhookKeys }: Parts) {
  return router()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const found = await paged(c, { limit, cursor }, (request) => deliveries.list(c.get('call'), filter, request));
      return respond(c, found, (some) => c.json(page(c, some, presentDelivery), 200));
    })
    .openapi(get, async (c) => {
      const found = await deliveries.get(c.get('call'), c.req.valid('param').id);
      return respond(c, found, ({ delivery, response, event }) => {
        const sent = { id: delivery.eventId, ...event } as z.infer<typeof DeliveryDetail>['event'];
        return c.json({ ...presentDelivery(delivery), last_response: response, event: event && sent }, 200);
      });
    })
    .openapi(retry, async (c) => {
      const retried = await deliveries.retry(c.get('call'), c.req.valid('param').id);
      return respond(c, retried, (delivery) => c.json(presentDelivery(delivery), 202));
    })
    .openapi(keys, async (c) => {
      c.header('Cache-Control', 'public, max-age=300');
      const published = (await webhookKeys.published()) as z.infer<typeof WebhookKeySet>['keys'];
      return c.json({ keys: published }, 200);
    });
}
