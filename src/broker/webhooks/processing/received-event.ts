// The event `webhook.received`: what is handed on of a webhook, one for each of its events and connections.
import { type Connection, hasUsableGrant } from '../../../domain/connection.ts';
import { connectionData } from '../../../domain/event-of.ts';
import type { NewEvent } from '../../../domain/events.ts';
import type { ReceivedItem, ReceivedWebhook } from '../../../domain/received-webhook.ts';
import type { Vault } from '../../../ports/index.ts';
import { encryptEventBody } from '../../events/index.ts';
import { ownBytes, type StoredBody, shownBody, sizeOf } from '../stored-body.ts';

/** Bytes. A larger body is only shown by `GET /v1/webhooks/{id}`. */
const MAX_BODY = 200_000;
/**
 * Connections that are told one by one. With more, one event tells of it, without a connection: a workspace with thousands of
 * owners must not become thousands.
 */
const MAX_TOLD = 50;

/** Of too many, those whose grant has ended are left out first: they must not hide the others. Null: an event without a connection. */
export function toldOf(found: readonly Connection[]): readonly (Connection | null)[] {
  const told = found.length > MAX_TOLD ? found.filter(hasUsableGrant) : found;
  return told.length > 0 && told.length <= MAX_TOLD ? told : [null];
}

export interface HandedOn {
  webhook: ReceivedWebhook;
  /** Null: the integration is gone. */
  provider: string | null;
  item: ReceivedItem;
  event: StoredBody['events'][number];
  stored: StoredBody;
  /** Of the delivery, before events that had been received before were left out. */
  count: number;
}

/**
 * The event's id is the item's, fixed at the receipt; where several connections match, each further one has an id that is made
 * of it: processing it again makes no second event. `connection` null: none matches, or more than are told one by one.
 */
export function receivedEvent(
  vault: Pick<Vault, 'encrypt'>,
  { webhook, provider, item, event, stored, count }: HandedOn,
  connection: Connection | null,
  isFirst: boolean,
): NewEvent {
  const { integration, receivedAt, headers, contentType } = webhook;
  const id = isFirst || !connection ? item.eventId : `${item.eventId}_${connection.id.replace(/^con_/, '')}`;
  const bytes = ownBytes(stored, event);
  const size = sizeOf(bytes);
  const about = {
    webhook_id: webhook.id,
    integration,
    provider,
    connection: connection && connectionData(connection),
    owner: connection?.owner ?? null,
    ...(count > 1 && { batch: { index: item.index, count } }),
  };
  const sent = {
    provider_event_id: item.providerEventId,
    provider_event_type: item.providerType,
    content_type: contentType,
    headers,
    ...(size > MAX_BODY ? { body: null, body_encoding: null } : shownBody(bytes)),
  };
  return {
    id,
    type: 'webhook.received',
    at: receivedAt,
    integration,
    owner: connection?.owner ?? null,
    connectionId: connection?.id ?? null,
    callerId: null,
    endpointId: null,
    data: about,
    body: encryptEventBody(vault, id, { ...about, ...sent }),
  };
}
