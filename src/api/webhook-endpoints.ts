// Webhook endpoints and deliveries.
import { z } from '@hono/zod-openapi';
import { EVENT_TYPES } from '../domain/events.ts';
import { Id, PageQuery, pattern, plain, Time, Url } from './common.ts';
import { EVENT, EventView } from './event-types.ts';
import { EXAMPLE } from './examples.ts';
import { ExplanationView } from './explanation.ts';

/** What may not stand in a URL (RFC 3986) percent-encoded, as it is requested; any other stays as it was given. */
const encoded = (url: string): string =>
  /[^!-~]|["<>\\^`{|}]/.test(url) ? new URL(url).href.replace(/["<>\\^`{|}]/g, encodeURIComponent) : url;

const settings = {
  url: Url.overwrite(encoded).openapi({
    description:
      'Where events are sent: https to a public address, or what `VALETKEY_OUTBOUND_ALLOW` allows. No redirect is followed.',
  }),
  types: z
    .array(z.enum(EVENT_TYPES))
    .min(1)
    .nullable()
    .openapi({ description: 'Only events of these types. Null: all.' }),
  integrations: z
    .array(pattern(64))
    .min(1)
    .max(100)
    .nullable()
    .openapi({ description: 'Only events of these integrations: exact, or a prefix with `*`. Null: all.' }),
  owners: z
    .array(pattern(256))
    .min(1)
    .max(100)
    .nullable()
    .openapi({ description: 'Only events of these owners: exact, or a prefix with `*`. Null: all.' }),
  ordered: z.boolean().openapi({
    description: 'Holds the later events of a connection until the earlier one is delivered, or dead. Default: false.',
  }),
  description: plain(255).nullable(),
};

const headers = z.record(z.string().max(128), z.string().max(4_096)).nullable().openapi({
  description: 'Sent with each delivery. They are stored encrypted, and no response shows them.',
});

export const EndpointPost = z
  .strictObject({
    url: settings.url,
    types: settings.types.optional(),
    integrations: settings.integrations.optional(),
    owners: settings.owners.optional(),
    ordered: settings.ordered.optional(),
    headers: headers.optional(),
    description: settings.description.optional(),
  })
  .openapi('CreateWebhookEndpointRequest', {
    example: { url: 'https://billing.acme.example/events', types: ['connection.needs_reauth', 'connection.revoked'] },
  });

export const EndpointPatch = z
  .strictObject({
    ...EndpointPost.shape,
    url: settings.url.optional(),
    enabled: z.boolean().optional().openapi({
      description: 'True starts an endpoint again that was disabled: what is due by then is sent.',
    }),
  })
  .openapi('UpdateWebhookEndpointRequest', {
    description: 'What is not given stays as it is.',
    example: { enabled: true },
  });

const view = {
  id: z.string(),
  caller_id: z.string().openapi({ description: 'The caller that it belongs to, whose grants decide what it hears' }),
  ...settings,
  headers_set: z.boolean().openapi({ description: 'Whether it has headers of its own' }),
  enabled: z.boolean(),
  disabled_reason: z.enum(['disabled_by_caller', 'gone', 'failing']).nullable().openapi({
    description: '`gone`: it answered 410. `failing`: it has only failed for five days.',
  }),
  failing_since: Time.nullable().openapi({ description: 'The first failure since its last success' }),
  explanation: ExplanationView.nullable().openapi({
    description: 'Why nothing is delivered to it, or deliveries fail. Null: it works, as far as is known.',
  }),
  previous_until: Time.nullable().openapi({
    description: 'Until then, the secret that was replaced last signs as well',
  }),
  created_at: Time,
  updated_at: Time,
};
const example = {
  id: EXAMPLE.endpoint,
  caller_id: EXAMPLE.caller,
  url: 'https://billing.acme.example/events',
  types: ['connection.needs_reauth' as const, 'connection.revoked' as const],
  integrations: null,
  owners: null,
  ordered: false,
  description: null,
  headers_set: false,
  enabled: true,
  disabled_reason: null,
  failing_since: null,
  explanation: null,
  previous_until: null,
  created_at: EXAMPLE.made,
  updated_at: EXAMPLE.made,
};
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0b1c2d3e4f5g=';

export const EndpointView = z.object(view).openapi('WebhookEndpoint', { example });

export const EndpointCreated = z.object({ ...view, secret: z.string() }).openapi('CreatedWebhookEndpoint', {
  description: 'A new webhook endpoint. Only this response shows its `secret`.',
  example: { ...example, secret },
});

export const SecretRotated = z.object({ secret: z.string(), previous_until: Time }).openapi('RotatedWebhookSecret', {
  description:
    'The new secret, which only this response shows. Until `previous_until`, the replaced one signs as well.',
  example: { secret, previous_until: '2026-03-03T09:30:00.000Z' },
});

export const EndpointTested = z
  .object({ event_id: z.string() })
  .openapi('WebhookEndpointTest', { example: { event_id: EXAMPLE.message } });

const DeliveryStatus = z.enum(['pending', 'failing', 'delivered', 'dead']).openapi({
  description:
    '`pending`: not attempted yet. `failing`: an attempt failed, and there will be another. `dead`: there will be none unless someone asks for it.',
});

export const ReplayPost = z
  .strictObject({
    from: Time.openapi({ description: 'Events at or after this time' }),
    to: Time.optional().openapi({ description: 'Events before this time. Default: now.' }),
    status: DeliveryStatus.optional().openapi({
      description: 'Only deliveries with this status. Default: all that were not delivered.',
    }),
  })
  .openapi('ReplayRequest', { example: { from: EXAMPLE.made, to: EXAMPLE.ends } });

export const Replayed = z
  .object({ deliveries: z.int() })
  .openapi('Replay', { description: 'How many deliveries are due now', example: { deliveries: 12 } });

export const DeliveryQuery = PageQuery.extend({
  endpoint: Id.optional().openapi({ description: 'Only deliveries to this endpoint', example: EXAMPLE.endpoint }),
  event: Id.optional().openapi({ description: 'Only deliveries of this event', example: EXAMPLE.message }),
  status: DeliveryStatus.optional().openapi({ description: 'Only deliveries with this status' }),
});

const delivery = {
  id: z.string(),
  event_id: z.string(),
  endpoint_id: z.string(),
  connection_id: z.string().nullable(),
  status: DeliveryStatus,
  attempts: z.int().openapi({ description: 'Since it was last made due by someone' }),
  next_attempt_at: Time.nullable().openapi({ description: 'Null: none is planned, or it waits for an earlier one' }),
  last_attempt_at: Time.nullable(),
  last_status: z.int().nullable().openapi({ description: 'The HTTP status of the last response' }),
  last_error: z.string().nullable().openapi({
    description:
      'Why the last attempt failed: `status_<n>`, `timeout`, `network`, `redirect`, `blocked` (the URL may not be requested), `not_authentic` (the row was changed), `not_permitted` (the grants of the caller do not cover the event any more), `internal`',
  }),
  created_at: Time,
  delivered_at: Time.nullable(),
};
const deliveryExample = {
  id: EXAMPLE.delivery,
  event_id: EXAMPLE.message,
  endpoint_id: EXAMPLE.endpoint,
  connection_id: EXAMPLE.connection,
  status: 'failing' as const,
  attempts: 2,
  next_attempt_at: EXAMPLE.ends,
  last_attempt_at: EXAMPLE.changed,
  last_status: 503,
  last_error: 'status_503',
  created_at: EXAMPLE.made,
  delivered_at: null,
};

export const DeliveryView = z
  .object(delivery)
  .openapi('Delivery', { description: 'An event on its way to an endpoint', example: deliveryExample });

export const DeliveryDetail = z
  .object({
    ...delivery,
    last_response: z.string().nullable().openapi({ description: 'The first 4 kB of the last response' }),
    event: z.union([EventView, z.null()]).openapi({
      description: 'Null: it has just been deleted, or the grants of the caller do not cover it any more',
    }),
  })
  .openapi('DeliveryDetail', { example: { ...deliveryExample, last_response: 'upstream is down', event: EVENT } });

export const WebhookKeySet = z
  .object({
    keys: z.array(z.looseObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), kid: z.string() })),
  })
  .openapi('WebhookKeySet', {
    description: 'A JWK set (RFC 7517) of Ed25519 keys (RFC 8037)',
    example: {
      keys: [
        {
          kty: 'OKP',
          crv: 'Ed25519',
          x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
          kid: 'sgk_01k9d2z4y8b3c5d7e9f1g2h4ij',
          use: 'sig',
          alg: 'EdDSA',
        },
      ],
    },
  });
