// Events, webhook endpoints and deliveries, as a store keeps them. An event of a connection or integration is written by the
// operation that causes it, in its commit, together with a delivery for each endpoint that hears it
// (`src/domain/event-audience.ts`): `AuditEntry.action` says which event, if any.
import type { AuditEntry } from '../domain/audit.ts';
import type { Caller } from '../domain/caller.ts';
import type { Ciphertext, Connection } from '../domain/connection.ts';
import type { EventType, NewEvent, StoredEvent } from '../domain/events.ts';
import type { Delivery, DeliveryStatus, DisabledReason, WebhookEndpoint } from '../domain/webhook-endpoint.ts';
import type { Page, PageRequest } from './rows.ts';

export interface EventStore {
  /**
   * Stores events with their deliveries, for what no operation on a connection causes. Those whose id is stored are skipped,
   * so it can be repeated.
   */
  addEvents(events: NewEvent[], audit: AuditEntry | undefined): Promise<void>;
  /** Who hears an event is decided by stored rows of callers: those that are not authentic hear none. Until then, all count. */
  judgeCallersBy(isAuthentic: (caller: Caller) => boolean): void;
  event(id: string): Promise<StoredEvent | undefined>;
  /** Calls the listener after each commit of this process that has written events. Returns what ends that. */
  onEvents(listener: (types: EventType[]) => void): () => void;
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
  /** The integrations that have a fault, its code, and since when. */
  integrationFaults(): Promise<IntegrationFault[]>;
  /**
   * Active connections whose grant ends before this time, the first to end first, after this place in the list; and what
   * their owners were told last.
   */
  endingConnections(before: number, after: EndingConnection | undefined, limit: number): Promise<EndingConnection[]>;
  /**
   * Notes what the owner of a connection is told: of the end that it has, with the event of the audit entry; without one, only
   * that the end has moved. `gone`: it is not active, ends at another time, or was told something else meanwhile.
   */
  putReauthNotice(ending: EndingConnection, stage: number, audit: AuditEntry | undefined): Promise<'stored' | 'gone'>;
  /** Deletes up to `limit` events, with their deliveries, that are older; the newest event stays. Returns how many. */
  pruneEvents(before: number, limit: number): Promise<number>;
}

export interface IntegrationFault {
  integration: string;
  code: string;
  since: number;
}

export interface EndingConnection extends Pick<Connection, 'id' | 'integration' | 'owner'> {
  dueAt: number;
  /** What its owner was told last, and about which end; null: nothing since it was connected. */
  told: { stage: number; dueAt: number } | null;
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
  /** Replaces these members. False: it is not there, or its URL or secret is not as it was `read`. */
  updateWebhookEndpoint(
    id: string,
    change: Partial<Omit<WebhookEndpoint, 'id' | 'callerId'>>,
    audit: AuditEntry,
    read?: Pick<WebhookEndpoint, 'url' | 'secret'>,
  ): Promise<boolean>;
  /** With its deliveries: if they are many, they are deleted after it, in several commits. */
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
   * Due deliveries of an endpoint, the oldest first; of an `ordered` one, at most the first that is open of each connection:
   * the others have the `nextAt` `HELD` until it is delivered or dead.
   * Sets `claimedUntil` and `nextAt` to `pushTo` and counts the attempt in the same commit, so that no two replicas get the
   * same.
   */
  claimDeliveries(endpoint: string, now: number, pushTo: number, limit: number): Promise<ClaimedDelivery[]>;
  /** Records what an attempt came to, and `failingSince` of its endpoint. One commit for all of them. */
  settleDeliveries(outcomes: { id: string; outcome: DeliveryOutcome }[]): Promise<void>;
  delivery(id: string): Promise<Delivery | undefined>;
  /** Newest first. */
  deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<Delivery>>;
  /**
   * Makes a delivery due at once, whatever became of it, as if none had been attempted; one that is under way goes on. False:
   * it is not there.
   */
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
}
