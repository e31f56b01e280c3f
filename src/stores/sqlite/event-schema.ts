// The tables of what is told and heard: events, deliveries, webhooks of third parties, in SQLite.
import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { EventType } from '../../domain/events.ts';
import type { ReceivedItem, ReceivedStatus, ReceivedWebhook } from '../../domain/received-webhook.ts';
import type { SigningKey } from '../../domain/signing-key.ts';
import type { DeliveryStatus, DisabledReason } from '../../domain/webhook-endpoint.ts';
import { ciphertext, json } from './columns.ts';

/** What happened. The newest one is never pruned: its position is the end of the feed. */
export const events = sqliteTable(
  'events',
  {
    id: text('id').primaryKey(),
    /** Given by the database in the order of the commits. */
    position: integer('position').notNull(),
    type: text('type').$type<EventType>().notNull(),
    at: integer('at').notNull(),
    integration: text('integration'),
    owner: text('owner'),
    connectionId: text('connection_id'),
    sequence: integer('sequence'),
    callerId: text('caller_id'),
    endpointId: text('endpoint_id'),
    data: json<Record<string, unknown>>('data').notNull(),
    body: ciphertext('body'),
  },
  (t) => [
    uniqueIndex('events_by_position').on(t.position),
    index('events_by_type').on(t.type, t.position),
    index('events_at').on(t.at),
  ],
);

/** How many events a connection has had. */
export const eventSequences = sqliteTable('event_sequences', {
  connectionId: text('connection_id').primaryKey(),
  sequence: integer('sequence').notNull(),
});

/** No foreign key: the admin key of the settings is a caller without a row. */
export const webhookEndpoints = sqliteTable(
  'webhook_endpoints',
  {
    id: text('id').primaryKey(),
    callerId: text('caller_id').notNull(),
    url: text('url').notNull(),
    types: json<EventType[]>('types'),
    integrations: json<string[]>('integrations'),
    owners: json<string[]>('owners'),
    ordered: integer('ordered', { mode: 'boolean' }).notNull(),
    headers: ciphertext('headers'),
    description: text('description'),
    enabled: integer('enabled', { mode: 'boolean' }).notNull(),
    disabledReason: text('disabled_reason').$type<DisabledReason>(),
    secret: ciphertext('secret').notNull(),
    previousSecret: ciphertext('previous_secret'),
    previousUntil: integer('previous_until'),
    failingSince: integer('failing_since'),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (t) => [index('webhook_endpoints_of_caller').on(t.callerId, t.id)],
);

/** An event on its way to an endpoint: a row each, so that a slow endpoint delays no other. */
export const deliveries = sqliteTable(
  'deliveries',
  {
    id: text('id').primaryKey(),
    eventId: text('event_id').notNull(),
    endpointId: text('endpoint_id').notNull(),
    connectionId: text('connection_id'),
    position: integer('position').notNull(),
    status: text('status').$type<DeliveryStatus>().notNull(),
    attempts: integer('attempts').notNull(),
    nextAt: integer('next_at'),
    claimedUntil: integer('claimed_until'),
    lastAttemptAt: integer('last_attempt_at'),
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
    lastResponse: ciphertext('last_response'),
    createdAt: integer('created_at').notNull(),
    deliveredAt: integer('delivered_at'),
  },
  (t) => [
    uniqueIndex('deliveries_of_event').on(t.eventId, t.endpointId),
    index('deliveries_due').on(t.endpointId, t.nextAt).where(sql`next_at is not null`),
    index('deliveries_of_endpoint').on(t.endpointId, t.id),
    index('deliveries_by_status').on(t.status, t.id).where(sql`status <> 'delivered'`),
    index('deliveries_open_of_connection').on(t.endpointId, t.connectionId, t.position).where(sql`next_at is not null`),
    index('deliveries_age').on(t.createdAt),
  ],
);

/** Webhooks and signals of third parties: the inbox, then their log. */
export const receivedWebhooks = sqliteTable(
  'received_webhooks',
  {
    id: text('id').primaryKey(),
    kind: text('kind').$type<ReceivedWebhook['kind']>().notNull(),
    integration: text('integration').notNull(),
    status: text('status').$type<ReceivedStatus>().notNull(),
    reason: text('reason'),
    receivedAt: integer('received_at').notNull(),
    method: text('method').notNull(),
    contentType: text('content_type'),
    path: text('path').notNull(),
    headers: json<Record<string, string>>('headers').notNull(),
    digest: text('digest').notNull(),
    size: integer('size').notNull(),
    body: ciphertext('body'),
    items: json<ReceivedItem[]>('items').notNull(),
    attempts: integer('attempts').notNull(),
    nextAt: integer('next_at'),
    processedAt: integer('processed_at'),
  },
  (t) => [
    index('received_webhooks_open').on(t.integration, t.nextAt).where(sql`next_at is not null`),
    index('received_webhooks_of_integration').on(t.integration, t.id),
    index('received_webhooks_by_status').on(t.status, t.id).where(sql`status <> 'located'`),
    index('received_webhooks_age').on(t.receivedAt),
  ],
);

/** The connections that a received webhook was about. `id`: both ids, with a colon in between. */
export const webhookConnections = sqliteTable(
  'webhook_connections',
  {
    id: text('id').primaryKey(),
    webhookId: text('webhook_id').notNull(),
    connectionId: text('connection_id').notNull(),
  },
  (t) => [
    index('webhook_connections_of_webhook').on(t.webhookId),
    index('webhook_connections_of_connection').on(t.connectionId, t.webhookId),
  ],
);

/** What was received, for deduplication. `id`: a digest of integration and event id (or `jti`). */
export const receivedEventIds = sqliteTable(
  'received_event_ids',
  { id: text('id').primaryKey(), at: integer('at').notNull() },
  (t) => [index('received_event_ids_age').on(t.at)],
);

/**
 * The values by which a webhook or signal finds its connections: exact, and of live connections only. `id`: the
 * connection's id and the key, with a colon in between, and the place in a list. Of secrets, the value is a keyed digest.
 */
export const capturedValues = sqliteTable(
  'captured_values',
  {
    id: text('id').primaryKey(),
    connectionId: text('connection_id').notNull(),
    integration: text('integration').notNull(),
    key: text('key').notNull(),
    value: text('value').notNull(),
  },
  (t) => [
    index('captured_values_by_value').on(t.integration, t.key, t.value),
    index('captured_values_of_connection').on(t.connectionId),
  ],
);

/** When, by its own word, a provider last suspended or enabled the account of a connection. Seldom: most have no row. */
export const holdChanges = sqliteTable('hold_changes', {
  connectionId: text('connection_id').primaryKey(),
  at: integer('at').notNull(),
});

/** How an integration receives webhooks and signals: JSON records with their secrets. */
export const receiverSettings = sqliteTable('receiver_settings', {
  integration: text('integration').primaryKey(),
  webhook: ciphertext('webhook'),
  signals: ciphertext('signals'),
  updatedAt: integer('updated_at').notNull(),
});

/** Integrations whose client the provider refuses, and since when. */
export const integrationFaults = sqliteTable('integration_faults', {
  integration: text('integration').primaryKey(),
  code: text('code').notNull(),
  since: integer('since').notNull(),
});

/** Owners that were told that a grant ends. `stage`: how often; `dueAt`: the end that they were told. */
export const reauthNotices = sqliteTable('reauth_notices', {
  connectionId: text('connection_id').primaryKey(),
  stage: integer('stage').notNull(),
  dueAt: integer('due_at').notNull(),
});

export const signingKeys = sqliteTable('signing_keys', {
  id: text('id').primaryKey(),
  purpose: text('purpose').$type<SigningKey['purpose']>().notNull(),
  privateKey: ciphertext('private_key').notNull(),
  publicKey: json<Record<string, unknown>>('public_key').notNull(),
  createdAt: integer('created_at').notNull(),
  signingSince: integer('signing_since'),
  retiredAt: integer('retired_at'),
});
