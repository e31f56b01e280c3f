// Webhooks and signals of third parties, as they are received. Times are milliseconds since the epoch.
import type { Ciphertext } from './connection.ts';

/** `received`: durable, not processed yet; `dead`: processing failed for good. */
export type ReceivedStatus = 'received' | 'located' | 'unmatched' | 'refused' | 'dead';

/** One event of a delivery, which may be a batch. */
export interface ReceivedItem {
  /** The place in the batch, from 0. */
  index: number;
  /** Of our event, assigned at the receipt: processing it twice makes no second event. */
  eventId: string;
  /** The provider's id and type, where the catalogue says where they are. */
  providerEventId: string | null;
  providerType: string | null;
}

export interface ReceivedWebhook {
  /** `whr_…` */
  id: string;
  kind: 'webhook' | 'signal' | 'logout';
  integration: string;
  status: ReceivedStatus;
  /** Why it was refused or is dead. */
  reason: string | null;
  receivedAt: number;
  /** Names of methods and media types are the sender's. */
  method: string;
  contentType: string | null;
  /** Path and query as called, without a hook's secret. */
  path: string;
  /** Selected headers, never one that carries a token. */
  headers: Record<string, string>;
  /** SHA-256 of the body, hex, and its size in bytes. */
  digest: string;
  size: number;
  /** A JSON record: the raw bytes, and what was read of them (`broker/webhooks/stored-body.ts`); null: it was refused, and is not kept. */
  body: Ciphertext | null;
  /** Empty: all of its events had been received before, or it was refused. */
  items: ReceivedItem[];
  attempts: number;
  /** When it is processed next; null: it has been. */
  nextAt: number | null;
  processedAt: number | null;
}
