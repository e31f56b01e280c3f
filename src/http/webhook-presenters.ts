// Presenters of webhooks: from domain objects to the JSON of the API.
import type { z } from '@hono/zod-openapi';
import type * as api from '../api/index.ts';
import type { ShownWebhook, WebhookView } from '../broker/webhooks/index.ts';
import { time, timeOrNull } from './presenters.ts';

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
