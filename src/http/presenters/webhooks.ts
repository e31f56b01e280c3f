// Presents webhooks: what providers send, and where events are delivered.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { ShownWebhook, WebhookView } from '../../broker/webhooks/index.ts';
import { explainEndpoint } from '../../domain/explanation.ts';
import type { Delivery, WebhookEndpoint } from '../../domain/webhook-endpoint.ts';
import { presentExplanation } from './connections.ts';
import { time, timeOrNull } from './times.ts';

export const presentWebhook = (view: WebhookView): z.infer<typeof api.WebhookView> => ({
  url: view.url,
  schemes: view.schemes,
  secrets_set: view.secretCount > 0,
  secret_count: view.secretCount,
  hook_set: view.hookSet,
  handshake_until: timeOrNull(view.handshakeUntil),
});

export const presentReceivedWebhook = (w: ShownWebhook['webhook']): z.infer<typeof api.ReceivedWebhookView> => ({
  id: w.id,
  integration: w.integration,
  kind: w.kind,
  status: w.status,
  reason: w.reason,
  received_at: time(w.receivedAt),
  processed_at: timeOrNull(w.processedAt),
  next_attempt_at: timeOrNull(w.nextAt),
  attempts: w.attempts,
  method: w.method,
  path: w.path,
  content_type: w.contentType,
  headers: w.headers,
  size: w.size,
  digest: w.digest,
  events: w.items.map(({ index, eventId, providerEventId, providerType }) => ({
    index,
    event_id: eventId,
    provider_event_id: providerEventId,
    provider_event_type: providerType,
  })),
});

export const presentReceivedWebhookDetail = ({
  webhook,
  connections,
  body,
}: ShownWebhook): z.infer<typeof api.ReceivedWebhookDetail> => ({
  ...presentReceivedWebhook(webhook),
  connections,
  ...(body ?? { body: null, body_encoding: null }),
});

export function presentWebhookEndpoint(e: WebhookEndpoint): z.infer<typeof api.EndpointView> {
  const explained = explainEndpoint(e);
  return {
    id: e.id,
    caller_id: e.callerId,
    url: e.url,
    types: e.types,
    integrations: e.integrations,
    owners: e.owners,
    ordered: e.ordered,
    description: e.description,
    headers_set: e.headers !== null,
    enabled: e.enabled,
    disabled_reason: e.disabledReason,
    failing_since: timeOrNull(e.failingSince),
    explanation: explained && presentExplanation(explained),
    previous_until: timeOrNull(e.previousUntil),
    created_at: time(e.createdAt),
    updated_at: time(e.updatedAt),
  };
}

export const presentDelivery = (d: Delivery): z.infer<typeof api.DeliveryView> => ({
  id: d.id,
  event_id: d.eventId,
  endpoint_id: d.endpointId,
  connection_id: d.connectionId,
  status: d.status,
  attempts: d.attempts,
  next_attempt_at: timeOrNull(d.nextAt),
  last_attempt_at: timeOrNull(d.lastAttemptAt),
  last_status: d.lastStatus,
  last_error: d.lastError,
  created_at: time(d.createdAt),
  delivered_at: timeOrNull(d.deliveredAt),
});
