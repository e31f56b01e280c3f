// The durable memory: what the broker asks of a store.
import type { AuditEntry, StoredAuditEntry } from '../domain/audit.ts';
import type { Caller, CallerKey } from '../domain/caller.ts';
import type {
  Ciphertext,
  Connection,
  ConnectionStatus,
  EncryptedCredentials,
  UpstreamRevocation,
} from '../domain/connection.ts';
import type { ConnectSession, Flow, Integration } from '../domain/integration.ts';
import type { BucketLimits } from '../domain/token-bucket.ts';
import type {
  AuditFilter,
  BoundRow,
  Change,
  ChangeFeed,
  Claim,
  Claimed,
  ConnectionFilter,
  ConnectionVersion,
  DeclaredRows,
  EncryptedSecret,
  IntegrationSettings,
  KeyCheck,
  Page,
  PageRequest,
  PendingRevocation,
  ReencryptedBatch,
  RefreshFailure,
  Rotation,
  SecretRowKey,
  ServedRow,
} from './rows.ts';

/**
 * The durable memory. Each method is one atomic sentence: when its promise is fulfilled, the change is on the disk
 * (or with the database's quorum); when it is rejected, nothing of it happened, or, if the connection was lost on
 * commit, it is not known. Each rejection is a `StoreError`: the store is full, locked, unreachable or broken.
 */
export interface Store {
  /**
   * Creates or replaces; `version` counts up from 1, `createdAt` stays, and so does a secret that is undefined.
   */
  putIntegration(integration: IntegrationSettings, by: AuditEntry): Promise<'created' | 'updated'>;
  integration(id: string): Promise<Integration | undefined>;
  integrations(page: PageRequest): Promise<Page<Integration>>;
  /** Refused (with counts) while live connections or pending revocations need it. */
  deleteIntegration(
    id: string,
    by: AuditEntry,
  ): Promise<'deleted' | 'absent' | { connections: number; pendingRevocations: number }>;

  /** Every caller with its keys: few enough to live in memory. */
  callers(): Promise<{ caller: Caller; keys: CallerKey[] }[]>;
  /** Without a key, it comes with the token of a workload. */
  addCaller(caller: Caller, key: CallerKey | null, by: AuditEntry): Promise<void>;
  /** Replaces all but `createdAt`; its keys stay. */
  updateCaller(caller: Caller, by: AuditEntry): Promise<'updated' | 'absent'>;
  addCallerKey(key: CallerKey, by: AuditEntry): Promise<'added' | 'absent'>;
  deleteCaller(id: string, by: AuditEntry): Promise<'deleted' | 'absent'>;
  deleteCallerKey(callerId: string, keyId: string, by: AuditEntry): Promise<'deleted' | 'absent'>;
  /**
   * All of it or nothing. An integration as `putIntegration` has it; a caller is created, or replaced in all but
   * `createdAt`.
   */
  putDeclared(rows: DeclaredRows): Promise<void>;
  /** Moves `lastUsedAt` forward, never back. */
  touchKeys(uses: { keyId: string; at: number }[]): Promise<void>;

  addSession(session: ConnectSession, by: AuditEntry): Promise<void>;
  session(id: string): Promise<ConnectSession | undefined>;
  sessionBySecret(digest: string): Promise<ConnectSession | undefined>;
  /**
   * Binds the session to the browser (the first time, its end then moves to the flow's), and records the flow. `gone`: not pending any more, or expired;
   * `other_browser`: bound to another one.
   */
  beginFlow(flow: Flow, now: number): Promise<'begun' | 'gone' | 'other_browser'>;
  /** Takes the flow away, once: only with the state and the browser that began it, and not when expired. */
  consumeFlow(
    stateDigest: string,
    browserDigest: string,
    now: number,
  ): Promise<{ flow: Flow; session: ConnectSession } | undefined>;
  /** Ends a pending session in failure; without effect on one that has ended. */
  failSession(id: string, error: string, by: AuditEntry): Promise<void>;

  /**
   * Makes a connection and its grant, and completes the session if one is named. `exists`: a live connection of the same
   * integration, owner and label is there; `session_over`: the session is not pending any more. Then nothing happened.
   */
  addConnection(
    connection: Connection,
    grant: EncryptedCredentials,
    sessionId: string | null,
    by: AuditEntry,
  ): Promise<'added' | 'session_over' | { exists: string }>;
  /**
   * Gives a live connection a new grant under its id: `active`, generation + 1, failures, error and any lease or intent
   * cleared; tells the generation that it has now. `gone`: absent or revoked. The given connection's `generation` and `createdAt` are ignored.
   */
  renewConnection(
    connection: Connection,
    grant: EncryptedCredentials,
    sessionId: string | null,
    by: AuditEntry,
  ): Promise<{ generation: number } | 'session_over' | 'gone'>;
  connection(id: string): Promise<Connection | undefined>;
  connections(filter: ConnectionFilter, page: PageRequest): Promise<Page<Connection>>;
  /** For metrics; by integration and status. */
  countConnections(): Promise<{ integration: string; status: ConnectionStatus; count: number }[]>;

  /** The cold read, by id: one row. */
  servedRow(id: string): Promise<ServedRow | undefined>;
  /** The cold read, by owner: every connection that fits, live ones first, at most 20. Label undefined: any. */
  servedRowsByOwner(integration: string, owner: string, label: string | undefined): Promise<ServedRow[]>;
  /** Of at most 1,000 connections, those that are there. */
  connectionVersions(ids: string[]): Promise<ConnectionVersion[]>;
  /** What a proof is made of: the token and its key, as of one moment. */
  dpopBoundRow(id: string): Promise<BoundRow | undefined>;

  /**
   * Takes the lease and records the intent in one durable commit, before a refresh token is spent. `busy`: another
   * process holds it and lives, and this one has not seen it hold this very claim for `LEASE_MS` yet (a dead one's may be
   * taken at once, and its own, which a process never claims twice at a time); `gone`: not there, not `active`, or of a
   * newer generation.
   */
  claim(id: string, claim: Claim): Promise<Claimed | 'busy' | 'gone'>;
  /**
   * Keeps the answer of a refresh: generation + 1, failures and error cleared, lease and intent released. Compares
   * fence and generation: `superseded` means somebody else's grant is newer, `gone` that it was revoked meanwhile.
   */
  rotate(
    id: string,
    held: { fence: number; generation: number },
    change: Rotation,
    grant: EncryptedCredentials,
    by: AuditEntry,
  ): Promise<'kept' | 'superseded' | 'gone'>;
  /** Records why a refresh failed, counts it, and releases the lease. The same comparisons. */
  refreshFailed(
    id: string,
    held: { fence: number; generation: number },
    failure: RefreshFailure,
    by: AuditEntry,
  ): Promise<'kept' | 'superseded' | 'gone'>;
  /**
   * Which integrations have active connections whose `nextRefreshAt` has come, and since when, the oldest first. Costs a
   * few index steps for each integration, whatever is stored.
   */
  dueIntegrations(now: number): Promise<{ integration: string; dueAt: number }[]>;
  /** For metrics: the same, counted. Costs an index step for each that is due. */
  countDue(now: number): Promise<{ integration: string; dueAt: number; count: number }[]>;
  /**
   * The ids of an integration's due connections, oldest first; pushes their `nextRefreshAt` forward to `pushTo` as it
   * takes them, so that two replicas never take the same.
   */
  claimDue(integration: string, now: number, pushTo: number, limit: number): Promise<string[]>;
  /**
   * Takes up to so many of the requests that may go to an integration's token endpoint now, from whichever process, by the
   * clock of the store. What is taken and not used is lost. `inMs`: when there may be more.
   */
  takeFromBucket(integration: string, wanted: number, limits: BucketLimits): Promise<{ taken: number; inMs: number }>;
  /** Connections with an unresolved intent that no living process holds, the oldest first; `startedAt` as in `Claimed`. */
  unresolvedRefreshes(): Promise<{ id: string; startedAt: number }[]>;

  /**
   * The tombstone: `revoked`, its grant, lease and intent destroyed, and (when `upstream` is `pending`) the sealed tokens
   * moved to a pending revocation due at `firstTryAt`. `already`: it was one before; nothing changed.
   */
  revoke(
    id: string,
    upstream: 'pending' | 'unsupported',
    firstTryAt: number,
    by: AuditEntry,
  ): Promise<{ connection: Connection; already: boolean; pending: PendingRevocation | null } | undefined>;
  /** Ids of live connections that fit, ascending. */
  liveConnections(filter: Pick<ConnectionFilter, 'integration' | 'owner'>, limit: number): Promise<string[]>;
  /** Tokens that arrived for a connection that was revoked meanwhile: to be revoked too. */
  addPendingRevocation(revocation: PendingRevocation): Promise<void>;
  /** Due revocations; pushes their `nextAt` to `pushTo` and counts the attempt as it takes them. */
  claimRevocations(now: number, pushTo: number, limit: number): Promise<PendingRevocation[]>;
  /** Destroys the pending one and shows the outcome on the connection, unless others of it are still pending. */
  settleRevocation(id: string, outcome: Exclude<UpstreamRevocation, 'pending'>, by: AuditEntry): Promise<void>;
  postponeRevocation(id: string, nextAt: number): Promise<void>;

  /** All of them or none. One that is there already stays as it is: its answer was lost, and it is brought again. */
  appendAudit(entries: AuditEntry[]): Promise<void>;
  /** Newest first. */
  audit(filter: AuditFilter, page: PageRequest): Promise<Page<StoredAuditEntry>>;
  /**
   * Forgets the entries whose ids are below this one, `limit` of them at most, and says how many. Waits for nobody who does
   * the same.
   */
  pruneAudit(before: string, limit: number): Promise<number>;

  keyChecks(): Promise<KeyCheck[]>;
  addKeyCheck(check: KeyCheck): Promise<void>;
  /** Forgets the proof of a key that protects nothing any more. Without effect when there is none. */
  removeKeyCheck(kid: string, by: AuditEntry): Promise<void>;
  /** How many secrets each key protects, all as of one moment; null: the text names no key. Looks at every secret. */
  keysInUse(): Promise<{ kid: string | null; secrets: number }[]>;
  /**
   * Replaces the secrets that are not sealed by this key, of the next rows, ordered by table and id, `limit` of them at most.
   * Each text is given to `anew`, which returns the same secret under this key, or undefined: then it is left. Nothing
   * else of the row changes. Nobody else can change a row, or seal it anew, between its being read and its being written;
   * rows that somebody else is changing just now are passed over, and not waited for. `anew` keeps them locked while it
   * runs: it is quick, and changes nothing, since it may be asked twice for one text. What it throws undoes the step.
   */
  reencryptBatch(
    kid: string,
    after: SecretRowKey | null,
    limit: number,
    anew: (text: EncryptedSecret) => Ciphertext | undefined,
  ): Promise<ReencryptedBatch>;
  /** Forgets flows and sessions that ended before this, and changes that everybody has heard of. */
  deleteExpired(before: number): Promise<void>;
  /**
   * Tells what this and every other process changes from now on, after it is committed: each change at least once, those
   * of one connection in their order. What was missed while the store could not be reached is told as soon as it can be.
   */
  subscribe(told: (changes: Change[]) => void): Promise<ChangeFeed>;
  /** Proves that the store can be written to. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
