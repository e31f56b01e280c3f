// The store: the durable memory of the broker, and the contract that every database behind it fulfils.
import type { AuditEntry } from '../domain/audit.ts';
import type { Caller, CallerKey } from '../domain/caller.ts';
import type { Integration } from '../domain/integration.ts';
import type { AgentSessionStore } from './agent-session-store.ts';
import type { AuditSealStore, AuditStore } from './audit-store.ts';
import type { CaptureStore } from './capture-store.ts';
import type { Change, ChangeFeed } from './change-feed.ts';
import type { ConnectionStore } from './connection-store.ts';
import type { ConsoleSessionStore } from './console-session-store.ts';
import type { CounterStore } from './counter-store.ts';
import type { EventStore, WebhookEndpointStore } from './event-store.ts';
import type { HoldStore } from './hold-store.ts';
import type { JobStore } from './job-store.ts';
import type { PortalStore } from './portal-store.ts';
import type { RateBucketStore } from './rate-bucket-store.ts';
import type { ReceivedWebhookStore } from './received-webhook-store.ts';
import type { RefreshStore } from './refresh-store.ts';
import type { RegistrationStore } from './registration-store.ts';
import type { RevocationStore } from './revocation-store.ts';
import type {
  DeclaredRows,
  ExpectedIntegration,
  IntegrationInUse,
  IntegrationSettings,
  Page,
  PageRequest,
  ReceiverChange,
} from './rows.ts';
import type { SecretStore, UnreadableResponseStore } from './secret-store.ts';
import type { SessionStore } from './session-store.ts';
import type { SigningKeyStore } from './signing-key-store.ts';

/**
 * Each method is one atomic operation.
 *
 * - When its promise is fulfilled, the change is durable: on the disk, or with the database's quorum.
 * - When it is rejected, it is with `StoreError` (the store is full, locked, unreachable or broken), and nothing of it
 *   happened; but where the connection was lost during the commit, the outcome is unknown.
 * - `audit` is the entry that is committed with the change. An operation that changes nothing writes none.
 * - Times are milliseconds since the epoch, by the clock of the caller.
 */
export interface Store
  extends IntegrationStore,
    CallerStore,
    DeclarativeFileStore,
    SessionStore,
    PortalStore,
    AgentSessionStore,
    ConnectionStore,
    RefreshStore,
    HoldStore,
    RateBucketStore,
    RevocationStore,
    RegistrationStore,
    AuditStore,
    AuditSealStore,
    SecretStore,
    UnreadableResponseStore,
    CaptureStore,
    ConsoleSessionStore,
    ReceivedWebhookStore,
    EventStore,
    WebhookEndpointStore,
    SigningKeyStore,
    CounterStore,
    JobStore,
    MisdatedStore,
    HousekeepingStore {
  readonly traits: StoreTraits;
  /**
   * Reports what this and every other process commits from now on: each change at least once, those of one connection in
   * their order. Rejects when the feed cannot be read at all. The listener may return a promise, to be fulfilled once the
   * changes are applied: until then, other processes count this one as one that has not applied them.
   */
  subscribe(listener: (changes: Change[]) => unknown): Promise<ChangeFeed>;
  /**
   * Waits until every other live subscriber has applied what was committed before the call, for `ms` at most; returns how
   * many have not. Those that are not heard of any more are counted for a while, and not waited for.
   */
  untilApplied(ms: number): Promise<number>;
  /** For metrics. */
  databaseWaits(): DatabaseWaits;
  /** Operations that are under way are finished first; later ones are rejected. */
  close(): Promise<void>;
}

/** How stores differ, for those few who must know. */
export interface StoreTraits {
  /** A standby may take over that lacks the last commits: what was committed recently may have to be repeated. */
  mayLoseCommits: boolean;
  /**
   * True: changes that are refreshes which changed nothing but tokens say so, and a later one may stand for several. False: none is
   * missing, and the generations show it.
   */
  marksRefreshes: boolean;
  /** How changes are delivered when nothing prevents it: a pooler in between may turn `pushed` into `polled`. */
  changeFeed: ChangeFeed['delivery'];
}

export class StoreError extends Error {
  override name = 'StoreError';
}

/** Every connection to the database stayed in use for as long as an operation may wait for one: it has not begun. */
export class StoreBusyError extends StoreError {
  override name = 'StoreBusyError';
}

/** The store was closed: to try again is of no use. */
export class StoreClosedError extends StoreError {
  override name = 'StoreClosedError';
  constructor() {
    super('the store is closed');
  }
}

/** What operations of this process have waited for connections to the database; where they need none of their own, zeros. */
export interface DatabaseWaits {
  /** Operations that wait now. */
  waiting: number;
  /** Those that have waited since the start, for how long together, and those that were refused in the end. */
  waited: number;
  waitedMs: number;
  timedOut: number;
}

export interface IntegrationStore {
  /**
   * Creates or replaces. `version` counts up from 1; `createdAt` and each undefined secret stay as they are. `receivers`: how it
   * receives, in the same commit. `changed`: what is there is not what was `expected`, and nothing was stored.
   */
  putIntegration(
    integration: IntegrationSettings,
    audit: AuditEntry,
    receivers?: readonly ReceiverChange[],
    expected?: ExpectedIntegration,
  ): Promise<'created' | 'updated' | 'changed'>;
  integration(id: string): Promise<Integration | undefined>;
  integrations(page: PageRequest): Promise<Page<Integration>>;
  /**
   * Refused, with the counts, while live connections or pending revocations need it; candidates count as the latter. Its
   * flows are deleted with it.
   */
  deleteIntegration(id: string, audit: AuditEntry): Promise<'deleted' | 'absent' | IntegrationInUse>;
}

export interface CallerStore {
  /** Every caller with its keys: few enough to stay in memory. */
  callers(): Promise<{ caller: Caller; keys: CallerKey[] }[]>;
  /** Those of these digests that are a key's. One look-up in an index for each. */
  storedKeys(digests: readonly string[]): Promise<string[]>;
  /** Without a key, it authenticates by its workload identity alone. */
  addCaller(caller: Caller, key: CallerKey | null, audit: AuditEntry): Promise<void>;
  /**
   * Replaces all but `createdAt`; the keys stay. Open connect sessions that it could not create any more are cancelled, as
   * with the declarative file. `expected`: the caller that this was decided on, as it was read; another one is not replaced
   * (`changed`). Undefined: any.
   */
  updateCaller(caller: Caller, audit: AuditEntry, expected?: Caller): Promise<'updated' | 'absent' | 'changed'>;
  addCallerKey(key: CallerKey, audit: AuditEntry): Promise<'added' | 'absent'>;
  /**
   * With its keys, webhook endpoints and their deliveries. The open connect sessions that it created are cancelled, and its agent
   * sessions end.
   */
  deleteCaller(id: string, audit: AuditEntry): Promise<'deleted' | 'absent'>;
  /** The open connect sessions that were created with it are cancelled, and agent sessions that were made with it end. */
  deleteCallerKey(callerId: string, keyId: string, audit: AuditEntry): Promise<'deleted' | 'absent'>;
  /** Moves `lastUsedAt` forward, never back; also of agent sessions, by their ids. */
  touchKeys(uses: { keyId: string; at: number }[]): Promise<void>;
}

export interface DeclarativeFileStore {
  /**
   * All rows or none, deletions included. Integrations as with `putIntegration`; callers are created, or replaced in all but
   * `createdAt`. Refused where an integration that is to be deleted is needed, as with `deleteIntegration`, or one that is to be
   * put, or a caller, is not what was expected.
   */
  putDeclared(rows: DeclaredRows): Promise<'stored' | 'changed' | IntegrationInUse>;
}

/** A clock that was ahead has stored times for which what waits would wait too long. Each method may be repeated. */
export interface MisdatedStore {
  /**
   * Jobs, received webhooks, upstream revocations, claims to register a client and blocked buckets whose time is further away than any
   * is given: that is over now. A webhook endpoint that fails since a time to come fails since now. Returns how many. From indexes, but
   * for the few endpoints.
   */
  correctTimes(now: number): Promise<number>;
  /**
   * The same for connections that are due for a refresh and were put off: each page examines `limit` connections, by id. Those
   * whose refresh failed in the future: `retryFailed`.
   */
  correctDueTimes(now: number, page: PageRequest): Promise<{ corrected: number; next: string | null }>;
  /**
   * The same for deliveries of events, of which each page examines `limit` that are open. `after` is the `next` of a page. One that was
   * attempted in the future keeps its wait, counted from `now`.
   */
  correctDeliveries(now: number, page: PageRequest): Promise<{ corrected: number; next: string | null }>;
}

export interface HousekeepingStore {
  /**
   * Deletes flows, console sessions, portal sessions, agent sessions, and sessions without a candidate, that expired before this,
   * and changes that every subscriber has read: up to `limit` of each.
   * True: there may be more.
   */
  deleteExpired(before: number, limit: number): Promise<boolean>;
  /**
   * Removes from the disk what was deleted or replaced before, as far as the store controls that. False: not now, since
   * others use the database.
   */
  wipeDeleted(): Promise<boolean>;
  /** Proves that the store accepts writes. */
  ping(): Promise<void>;
}
