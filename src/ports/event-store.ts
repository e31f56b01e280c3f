// Events, webhook endpoints and deliveries, as a store keeps them. An event of a connection or integration is written by the
// operation that causes it, in its commit, together with a delivery for each endpoint that hears it
// (`src/domain/event-audience.ts`): `AuditEntry.action` says which event, if any.
import type { AuditEntry } from '../domain/audit.ts';
import type { Ciphertext } from '../domain/connection.ts';
import type { EventType, NewEvent, StoredEvent } from '../domain/events.ts';
import type { SigningKey } from '../domain/signing-key.ts';
import type { Delivery, DeliveryStatus, DisabledReason, WebhookEndpoint } from '../domain/webhook-endpoint.ts';
import type { Page, PageRequest } from './rows.ts';

export interface EventStore {
  /**
   * Stores events with their deliveries, for what no operation on a connection causes. Those whose id is stored are skipped,
   * so it can be repeated.
   */
  addEvents(events: NewEvent[], audit: AuditEntry | undefined): Promise<void>;
  event(id: string): Promise<StoredEvent | undefined>;
  /**
   * All events with positions up to this one are committed: none will appear among them any more. 0: there are none.
   */
  eventHorizon(): Promise<number>;
  /** In `(after, upTo]`, in the order of the feed. */
  eventsBetween(after: number, upTo: number, types: EventType[] | undefined, limit: number): Promise<StoredEvent[]>;
  /**
   * Sets whether a provider refuses the client of this integration, and since when. `unchanged`: it was so; otherwise the
   * audit entry and its event are written.
   */
  setIntegrationFault(integration: string, code: string | null, audit: AuditEntry): Promise<'changed' | 'unchanged'>;
  /** Active connections whose grant ends before this time and whose owner was told less often than `stage`, the oldest first. */
  dueReauthNotices(before: number, stage: number, limit: number): Promise<{ id: string; dueAt: number }[]>;
  /** `gone`: it is not active, ends at another time, or was told meanwhile. */
  addReauthNotice(id: string, stage: number, dueAt: number, audit: AuditEntry): Promise<'added' | 'gone'>;
  /** Deletes up to `limit` events, with their deliveries, that are older; the newest event stays. Returns how many. */
  pruneEvents(before: number, limit: number): Promise<number>;
}

export interface DeliveryFilter {
  endpoint?: string | undefined;
  event?: string | undefined;
  status?: DeliveryStatus | undefined;
  /** Only of endpoints of this caller; undefined: all. */
  caller?: string | undefined;
}

/** What an attempt came to. */
export interface DeliveryOutcome {
  status: DeliveryStatus;
  at: number;
  httpStatus: number | null;
  error: string | null;
  response: Ciphertext | null;
  nextAt: number | null;
}

export interface ClaimedDelivery {
  delivery: Delivery;
  event: StoredEvent;
}

export interface WebhookEndpointStore {
  addWebhookEndpoint(endpoint: WebhookEndpoint, audit: AuditEntry): Promise<void>;
  webhookEndpoint(id: string): Promise<WebhookEndpoint | undefined>;
  /** Of this caller, or of all. */
  webhookEndpoints(caller: string | undefined, page: PageRequest): Promise<Page<WebhookEndpoint>>;
  /** Replaces these members. False: it is not there. */
  updateWebhookEndpoint(
    id: string,
    change: Partial<Omit<WebhookEndpoint, 'id' | 'callerId'>>,
    audit: AuditEntry,
  ): Promise<boolean>;
  /** With its deliveries. */
  deleteWebhookEndpoint(id: string, audit: AuditEntry): Promise<boolean>;
  /** `unchanged`: it is disabled already, or gone. With the event that says so. */
  disableWebhookEndpoint(
    id: string,
    reason: DisabledReason,
    event: NewEvent,
    audit: AuditEntry,
  ): Promise<'disabled' | 'unchanged'>;

  /** Enabled endpoints with due deliveries, those of the oldest first. Costs a few index steps for each endpoint. */
  dueEndpoints(now: number): Promise<string[]>;
  /**
   * Due deliveries of an endpoint, the oldest first; of an `ordered` one, at most the first that is open of each connection.
   * Sets `claimedUntil` and `nextAt` to `pushTo` and counts the attempt in the same commit, so that no two replicas get the
   * same.
   */
  claimDeliveries(endpoint: string, now: number, pushTo: number, limit: number): Promise<ClaimedDelivery[]>;
  /** Records what an attempt came to, and `failingSince` of its endpoint. One commit for all of them. */
  settleDeliveries(outcomes: { id: string; outcome: DeliveryOutcome }[]): Promise<void>;
  delivery(id: string): Promise<Delivery | undefined>;
  /** Newest first. */
  deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<Delivery>>;
  /** Makes a delivery due at once, whatever became of it. False: it is not there. */
  retryDelivery(id: string, now: number, audit: AuditEntry): Promise<boolean>;
  /**
   * Makes deliveries of events in `[from, to)` due at once: those of this status, or all that were not delivered; up to
   * `limit` after this delivery id. `next`: to go on with; null at the end.
   */
  replayDeliveries(
    endpoint: string,
    range: { from: number; to: number; status: DeliveryStatus | undefined },
    now: number,
    page: PageRequest,
  ): Promise<{ deliveries: number; next: string | null }>;
  /** For metrics: open deliveries, the creation of the oldest, and how many endpoints are disabled. */
  deliveryState(): Promise<{ open: number; oldestAt: number | null; dead: number; disabledEndpoints: number }>;

  /** The keys that sign, the newest first, and those that have been retired since. */
  signingKeys(purpose: SigningKey['purpose'], retiredSince: number): Promise<SigningKey[]>;
  /** Adds a key unless there is one that signs (`unlessAny`), and retires the others. Returns the keys that sign then. */
  addSigningKey(key: SigningKey, unlessAny: boolean, audit: AuditEntry | undefined): Promise<SigningKey[]>;
}
