// What happened, told to callers: the events that webhook endpoints are sent and the feed shows. Never with a secret of ours.
// Times are milliseconds since the epoch.
import type { Ciphertext } from './connection.ts';

export const EVENT_TYPES = [
  'connection.created',
  'connection.reconnected',
  'connection.reactivated',
  'connection.needs_reauth',
  'connection.on_hold',
  'connection.revoked',
  'connection.reauth_due',
  'connection.check_failed',
  'integration.misconfigured',
  'integration.recovered',
  'webhook.received',
  'webhook_endpoint.disabled',
  'test.ping',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** An event as it is stored. */
export interface StoredEvent {
  /** `msg_…`: the `webhook-id` of every delivery. */
  id: string;
  /** The place in the feed, given by the database in the order of the commits. Places have gaps. */
  position: number;
  type: EventType;
  at: number;
  /** Null: it concerns no integration. */
  integration: string | null;
  /** Null with an integration: it concerns all of its owners. */
  owner: string | null;
  connectionId: string | null;
  /** Counts the events of the connection, from 1. */
  sequence: number | null;
  /** Only the endpoints of this caller hear it; null: all that may. */
  callerId: string | null;
  /** Only this endpoint hears it; null: all. */
  endpointId: string | null;
  /** As it is sent, without what `body` holds. */
  data: Record<string, unknown>;
  /**
   * Of `webhook.received`: the members of `data` with those that a third party has sent, as encrypted JSON, so that no one else
   * can make up what was sent, or for whom. An earlier release has stored the former in `data` alone.
   */
  body: Ciphertext | null;
}

/** An event that is about to be stored. */
export type NewEvent = Omit<StoredEvent, 'position' | 'sequence'>;
