// What an event says, as the feed shows it and endpoints are sent it: the stored data, or what third parties have sent.
import type { Ciphertext } from '../../domain/connection.ts';
import type { EventType, StoredEvent } from '../../domain/events.ts';
import { type EncryptionContext, type Vault, VaultError } from '../../ports/index.ts';

export interface EventPayload {
  type: EventType;
  /** RFC 3339, UTC: when it happened. */
  timestamp: string;
  data: Record<string, unknown>;
}

const contextOf = (id: string): EncryptionContext => ({ row: `events/${id}`, column: 'body' });

/** What a third party has sent, as the event keeps it. */
export const encryptEventBody = (vault: Pick<Vault, 'encrypt'>, id: string, members: object): Ciphertext =>
  vault.encrypt(JSON.stringify(members), contextOf(id));

/**
 * What a third party has sent is what a broker has encrypted, and for whom: nothing else in the row can say so. Throws `VaultError`.
 */
export function eventPayload(vault: Pick<Vault, 'decrypt'>, event: StoredEvent): EventPayload {
  const { type, data, body, integration, owner } = event;
  if ((type === 'webhook.received') !== (body !== null))
    throw new VaultError('not_openable', 'the body is not that of the event');
  if (body === null) return payloadOf(event, data);
  const received = JSON.parse(vault.decrypt(body, contextOf(event.id))) as Record<string, unknown>;
  // Without this member, an earlier release has written it.
  if (received.integration === undefined) return payloadOf(event, { ...data, ...received });
  if (received.integration !== integration || received.owner !== owner)
    throw new VaultError('not_openable', 'the body is not that of the event');
  return payloadOf(event, received);
}

/** What is left of an event whose body does not open. */
export const unreadablePayload = (event: StoredEvent): EventPayload =>
  payloadOf(event, { integration: event.integration, connection: null });

function payloadOf({ id, type, at, sequence }: StoredEvent, data: Record<string, unknown>): EventPayload {
  const members = { event_id: id, ...data, ...(sequence !== null && { sequence }) };
  return { type, timestamp: new Date(at).toISOString(), data: members };
}
