// What an event says, as the feed shows it and endpoints are sent it: the stored data, with what third parties have sent.
import type { Ciphertext } from '../../domain/connection.ts';
import type { EventType, StoredEvent } from '../../domain/events.ts';
import type { EncryptionContext, Vault } from '../../ports/index.ts';

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

/** Throws `VaultError`. */
export function eventPayload(vault: Pick<Vault, 'decrypt'>, event: StoredEvent): EventPayload {
  const { id, type, at, data, sequence, body } = event;
  const received = body === null ? {} : (JSON.parse(vault.decrypt(body, contextOf(id))) as Record<string, unknown>);
  return {
    type,
    timestamp: new Date(at).toISOString(),
    data: { event_id: id, ...data, ...received, ...(sequence !== null && { sequence }) },
  };
}
