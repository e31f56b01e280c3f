// Webhook endpoints of callers, and the deliveries of events to them. Times are milliseconds since the epoch.
import type { Ciphertext } from './connection.ts';
import type { EventType } from './events.ts';

/** Why an endpoint is disabled: by its caller, after a 410, or after five days of failures. */
export type DisabledReason = 'disabled_by_caller' | 'gone' | 'failing';

export interface WebhookEndpoint {
  /** `whe_…` */
  id: string;
  /** Whose it is: it hears what the permissions of this caller cover. */
  callerId: string;
  url: string;
  /** Null: all. */
  types: EventType[] | null;
  /** Patterns as in permissions; null: all that the caller's permissions cover. */
  integrations: string[] | null;
  owners: string[] | null;
  /** Holds later events of a connection until the earlier one has been delivered. */
  ordered: boolean;
  /** More request headers: a JSON record. */
  headers: Ciphertext | null;
  description: string | null;
  enabled: boolean;
  disabledReason: DisabledReason | null;
  /** Base64 of its bytes, without `whsec_`. */
  secret: Ciphertext;
  /** The replaced secrets that sign as well, each with its end: the last of them is `previousUntil`. */
  previousSecret: Ciphertext | null;
  previousUntil: number | null;
  /** The first failure since the last success; null: none. */
  failingSince: number | null;
  createdAt: number;
  updatedAt: number;
}

/** `failing`: an attempt has failed, and another is due; `dead`: none will be made unless someone asks for it. */
export type DeliveryStatus = 'pending' | 'failing' | 'delivered' | 'dead';

/** `nextAt` of a delivery that waits for an earlier one of its connection. */
export const HELD = Date.UTC(9999, 11, 31);

/** One event on its way to one endpoint. */
export interface Delivery {
  /** `dlv_…` */
  id: string;
  eventId: string;
  endpointId: string;
  connectionId: string | null;
  /** The place of its event in the feed. */
  position: number;
  status: DeliveryStatus;
  attempts: number;
  /** When the next attempt is due; null: none is. */
  nextAt: number | null;
  /** A process may be sending it until then. */
  claimedUntil: number | null;
  lastAttemptAt: number | null;
  /** The HTTP status of the last response; null: there was none. */
  lastStatus: number | null;
  /** Why the last attempt failed, in a word. */
  lastError: string | null;
  /** The first 4 kB of the last response. */
  lastResponse: Ciphertext | null;
  createdAt: number;
  deliveredAt: number | null;
}
