// Webhooks and signals of third parties, as a store keeps them: the inbox, and what they find their connections by.
import type { AuditEntry } from '../domain/audit.ts';
import type { Scope } from '../domain/caller.ts';
import type { Connection } from '../domain/connection.ts';
import type { ReauthReason } from '../domain/errors.ts';
import type { NewEvent } from '../domain/events.ts';
import type { ReceivedItem, ReceivedStatus, ReceivedWebhook } from '../domain/received-webhook.ts';
import type { Page, PageRequest, ReceiverChange, ReceiverSettings } from './rows.ts';

export interface ReceivedWebhookFilter {
  integration?: string | undefined;
  status?: ReceivedStatus | undefined;
  connectionId?: string | undefined;
  /** Only of integrations that one of these covers; undefined: all. */
  within?: Scope[] | undefined;
}

export interface ReceivedWebhookStore {
  /** All settings; they are few, and read into memory. */
  receiverSettings(): Promise<ReceiverSettings[]>;
  /** Writes the change of the integration for the change feed. */
  putReceiverSettings(settings: ReceiverChange['settings'], audit: AuditEntry | undefined): Promise<void>;

  /**
   * Stores a webhook, and of its items those whose key was not received before (`keys`, by `item.index`; kept for deduplication).
   * Group commit. Returns the items that are new; with none, nothing is stored. `full`: its integration has as many unprocessed ones
   * as are left of `maxOpen`, which all integrations share.
   */
  receive(webhook: ReceivedWebhook, keys: Record<number, string>, maxOpen: number): Promise<ReceivedItem[] | 'full'>;
  receivedWebhook(id: string): Promise<ReceivedWebhook | undefined>;
  /** Newest first, without their bodies. */
  receivedWebhooks(filter: ReceivedWebhookFilter, page: PageRequest): Promise<Page<Omit<ReceivedWebhook, 'body'>>>;
  connectionsOfWebhook(id: string): Promise<string[]>;
  /**
   * Due for processing, the oldest first of each integration. All that have any share the limit evenly, so that less than that may
   * come, and others are left; none: nothing is due. Pushes `nextAt` and counts the attempt in the same commit.
   */
  claimReceived(now: number, pushTo: number, limit: number): Promise<ReceivedWebhook[]>;
  /** One commit: its status, its connections, and its events with their deliveries (events that are stored are skipped). */
  settleReceived(
    id: string,
    outcome: Pick<ReceivedWebhook, 'status' | 'reason' | 'processedAt' | 'nextAt'>,
    connections: string[],
    events: NewEvent[],
  ): Promise<void>;
  /** Makes it due for processing again. False: it is not there, or its body is not kept. */
  reprocessReceived(id: string, now: number, audit: AuditEntry): Promise<boolean>;
  /** Deletes up to `limit` older ones, and ids for deduplication that are older than theirs. Returns how many. */
  pruneReceived(before: number, idsBefore: number, limit: number): Promise<number>;
  /** For metrics: how many wait, and since when. */
  inboxState(): Promise<{ open: number; oldestAt: number | null }>;

  /** Live connections of the integration with this value, exact: those whose grant is usable (active or on hold) first. */
  connectionsByValue(integration: string, key: string, value: string, limit: number): Promise<Connection[]>;
  /** Those of them whose grant is usable, in pages: with ids above `after`, in their order. */
  usableConnectionsByValue(
    integration: string,
    key: string,
    value: string,
    page: { after: string; limit: number },
  ): Promise<Connection[]>;
  /** Whether the outbox has a revocation of this connection: the provider may be telling of it. */
  hasPendingRevocation(connectionId: string): Promise<boolean>;
  /**
   * Ends a grant because its provider has said so, or a check: no answer of a refresh that is under way lifts that. `unchanged`:
   * neither active nor on hold, or of another generation.
   */
  deauthorize(
    id: string,
    generation: number,
    reason: ReauthReason,
    audit: AuditEntry,
  ): Promise<'deauthorized' | 'unchanged'>;
  /** Makes an active connection due for a refresh at once. */
  makeDue(id: string, now: number): Promise<void>;
}
