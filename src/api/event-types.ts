// Events, as the feed shows them and webhook endpoints are sent them. `WebhookEvent` of the client is generated from this.
import { z } from '@hono/zod-openapi';
import type { EventType } from '../domain/events.ts';
import { Account, Status, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

const EventConnection = z
  .object({
    id: z.string(),
    integration: z.string(),
    owner: z.string(),
    label: z.string().nullable(),
    status: Status,
    reason: z.string().nullable().openapi({ description: 'Why it is not active' }),
    account: Account.nullable(),
  })
  .openapi('EventConnection', {
    description: 'The connection, as it was when the event happened',
    example: {
      id: EXAMPLE.connection,
      integration: EXAMPLE.integration,
      owner: EXAMPLE.owner,
      label: null,
      status: 'needs_reauth',
      reason: 'grant_revoked',
      account: EXAMPLE.account,
    },
  });

const eventId = z.string().openapi({ description: 'The same as the `id`, and the `webhook-id` of every delivery' });
const sequence = z.int().openapi({ description: 'Counts the events of the connection, from 1' });

/** `id` is in the feed, and the header `webhook-id` of a delivery. */
const event = <const T extends EventType, D extends z.ZodType>(types: [T, ...T[]], data: D) =>
  z.object({ id: z.string(), type: z.enum(types), timestamp: Time, data });

const connectionTypes = [
  'connection.created',
  'connection.reconnected',
  'connection.reactivated',
  'connection.needs_reauth',
  'connection.on_hold',
  'connection.revoked',
  'connection.reauth_due',
  'connection.check_failed',
] as const satisfies EventType[];

export const EVENT = {
  id: EXAMPLE.message,
  type: 'connection.needs_reauth' as const,
  timestamp: EXAMPLE.changed,
  data: {
    event_id: EXAMPLE.message,
    connection: {
      id: EXAMPLE.connection,
      integration: EXAMPLE.integration,
      owner: EXAMPLE.owner,
      label: null,
      status: 'needs_reauth' as const,
      reason: 'grant_revoked',
      account: EXAMPLE.account,
    },
    sequence: 3,
  },
};

export const EventView = z
  .discriminatedUnion('type', [
    event([...connectionTypes], z.looseObject({ event_id: eventId, connection: EventConnection, sequence })),
    event(
      ['integration.misconfigured', 'integration.recovered'],
      z.looseObject({ event_id: eventId, integration: z.object({ id: z.string() }) }),
    ),
    event(
      ['webhook.received'],
      z.looseObject({
        event_id: eventId,
        integration: z.string(),
        connection: z.union([EventConnection, z.null()]),
        sequence: sequence.nullish(),
      }),
    ),
    event(
      ['webhook_endpoint.disabled'],
      z.looseObject({
        event_id: eventId,
        endpoint: z.object({ id: z.string(), url: z.string(), disabled_reason: z.string() }),
      }),
    ),
    event(['test.ping'], z.looseObject({ event_id: eventId, endpoint: z.object({ id: z.string() }) })),
  ])
  .openapi('Event', {
    description:
      'Something that happened. More types, and more members of `data`, may come with later versions: ignore those that you do not know.',
    example: EVENT,
  });
