// Webhooks of third parties: how an integration receives them, and what was received.
import { z } from '@hono/zod-openapi';
import { Id, PageQuery, Secret, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

/** `webhook` of an integration. */
export const WebhookPut = z
  .strictObject({
    secrets: z.array(Secret).max(10).optional().openapi({
      description:
        'Whatever the vendor calls it: signing secrets, tokens, `user:password`, public keys, verification tokens. All are live at once. Omitted: the stored ones stay.',
    }),
    hook: z.boolean().optional().openapi({
      description:
        'True: the URL has a secret part, which is shown once, when it is made. False: it has none any more. Omitted: as it was.',
    }),
    scheme: z.enum(['standard_webhooks', 'hmac', 'shared_token']).optional().openapi({
      description: 'Of a generic provider: how its sender signs. Default: `standard_webhooks`',
    }),
    header: z.string().max(100).optional().openapi({ description: 'With `hmac`: the header of the signature' }),
    hash: z.enum(['sha1', 'sha256', 'sha384', 'sha512']).optional().openapi({ description: 'With `hmac`' }),
    encoding: z.enum(['hex', 'base64', 'base64url']).optional().openapi({ description: 'With `hmac`' }),
  })
  .openapi('PutWebhook');

export const WebhookView = z
  .object({
    url: z.string().openapi({
      description: 'Enter this URL at the vendor. A hook is in it only in the response that made it.',
    }),
    schemes: z.array(z.string()).openapi({ description: 'How senders are verified' }),
    secrets_set: z.boolean(),
    secret_count: z.int().openapi({ description: 'How many are live at once, while they are rotated' }),
    hook_set: z.boolean().openapi({ description: 'Whether the URL has a secret part' }),
    handshake_until: Time.nullable().openapi({ description: 'Until then, a handshake may bring a key' }),
  })
  .openapi('Webhook');

export const HandshakePost = z
  .strictObject({
    minutes: z.int().min(0).max(60).openapi({ description: 'How long a handshake is waited for. 0: no longer' }),
  })
  .openapi('WebhookHandshakeRequest', { example: { minutes: 10 } });

export const HandshakeView = z
  .object({ handshake_until: Time.nullable() })
  .openapi('WebhookHandshake', { example: { handshake_until: EXAMPLE.ends } });

const ReceivedStatus = z.enum(['received', 'located', 'unmatched', 'refused', 'dead']).openapi({
  description:
    '`received`: not processed yet. `unmatched`: no connection was found; it is handed on nevertheless. `refused`: it was not verified. `dead`: processing failed for good.',
});

export const ReceivedWebhookQuery = PageQuery.extend({
  integration: z.string().max(64).optional().openapi({ description: 'Only of this integration', example: 'slack' }),
  status: ReceivedStatus.optional(),
  connection: Id.optional().openapi({ description: 'Only about this connection', example: EXAMPLE.connection }),
});

const received = {
  id: z.string(),
  integration: z.string(),
  kind: z.enum(['webhook', 'signal', 'logout']),
  status: ReceivedStatus,
  reason: z.string().nullable().openapi({ description: 'Why it was refused, or failed' }),
  received_at: Time,
  processed_at: Time.nullable(),
  next_attempt_at: Time.nullable(),
  attempts: z.int(),
  method: z.string(),
  path: z.string().openapi({ description: 'Without a hook' }),
  content_type: z.string().nullable(),
  headers: z.record(z.string(), z.string()).openapi({ description: 'Without those that carry a token or signature' }),
  size: z.int().openapi({ description: 'Of the body, in bytes' }),
  digest: z.string().openapi({ description: 'SHA-256 of the body, hex' }),
  events: z.array(
    z.object({
      index: z.int(),
      event_id: z.string().openapi({ description: 'Of the event `webhook.received`' }),
      provider_event_id: z.string().nullable(),
      provider_event_type: z.string().nullable(),
    }),
  ),
};
const example = {
  id: 'whr_01k9d3q1v6b8n0m2z4x5c7v9as',
  integration: EXAMPLE.integration,
  kind: 'webhook' as const,
  status: 'located' as const,
  reason: null,
  received_at: EXAMPLE.changed,
  processed_at: EXAMPLE.changed,
  next_attempt_at: null,
  attempts: 1,
  method: 'POST',
  path: '/webhooks/slack',
  content_type: 'application/json',
  headers: { 'user-agent': 'Slackbot 1.0' },
  size: 62,
  digest: '6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b',
  events: [
    {
      index: 0,
      event_id: 'msg_01k9d3q1v6b8n0m2z4x5c7v9as',
      provider_event_id: 'Ev0123ABCD',
      provider_event_type: 'app_uninstalled',
    },
  ],
};

export const ReceivedWebhookView = z.object(received).openapi('ReceivedWebhook', { example });
export const ReceivedWebhookDetail = z
  .object({
    ...received,
    connections: z.array(z.string()).openapi({ description: 'The connections that it was about' }),
    body: z.string().nullable().openapi({ description: 'As it was received. Null: it was refused' }),
    body_encoding: z.enum(['utf-8', 'base64']).nullable(),
  })
  .openapi('ReceivedWebhookDetail', {
    example: {
      ...example,
      connections: [EXAMPLE.connection],
      body: '{"event_id":"Ev0123ABCD","event":{"type":"app_uninstalled"}}',
      body_encoding: 'utf-8',
    },
  });
