// The store: the durable memory of the broker, and the contract that every database behind it fulfils.
import type { AuditEntry, StoredAuditEntry } from '../domain/audit.ts';
import type { AuditSeal } from '../domain/audit-seal.ts';
import type { Caller, CallerKey } from '../domain/caller.ts';
import type {
  Account,
  Ciphertext,
  Connection,
  ConnectionStatus,
  EncryptedCredentials,
  UpstreamRevocation,
} from '../domain/connection.ts';
import type { Candidate, ConnectSession, Flow, Integration } from '../domain/integration.ts';
import type { BucketLimits } from '../domain/token-bucket.ts';
import type { Change, ChangeFeed } from './change-feed.ts';
import type { EncryptedSecret, KeyCheck, KeyUse, ReencryptedBatch, RowMac, SecretRowKey } from './reencryption.ts';
import type {
  AuditFilter,
  BoundRow,
  Claim,
  Claimed,
  ConnectionFilter,
  ConnectionVersion,
  ConnectSessionFilter,
  DeclaredRows,
  HeldLease,
  IntegrationSettings,
  Page,
  PageRequest,
  PendingRevocation,
  RefreshedFields,
  RefreshFailure,
  RenewedCredentials,
  ServedRow,
  UnreadableResponse,
  UnreadableResponseHead,
} from './rows.ts';

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
    ConnectionStore,
    RefreshStore,
    RateBucketStore,
    RevocationStore,
    AuditStore,
    AuditSealStore,
    SecretStore,
    UnreadableResponseStore,
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
  /** Operations that are under way are finished first; later ones are rejected. */
  close(): Promise<void>;
}

/** How stores differ, for those few who must know. */
export interface StoreTraits {
  /** A standby may take over that lacks the last commits: what was committed recently may have to be repeated. */
  mayLoseCommits: boolean;
  /** How changes are delivered when nothing prevents it: a pooler in between may turn `pushed` into `polled`. */
  changeFeed: ChangeFeed['delivery'];
}

export class StoreError extends Error {
  override name = 'StoreError';
}

export interface IntegrationStore {
  /** Creates or replaces. `version` counts up from 1; `createdAt` and each undefined secret stay as they are. */
  putIntegration(integration: IntegrationSettings, audit: AuditEntry): Promise<'created' | 'updated'>;
  integration(id: string): Promise<Integration | undefined>;
  integrations(page: PageRequest): Promise<Page<Integration>>;
  /**
   * Refused, with the counts, while live connections or pending revocations need it; candidates count as the latter. Its
   * flows are deleted with it.
   */
  deleteIntegration(
    id: string,
    audit: AuditEntry,
  ): Promise<'deleted' | 'absent' | { connections: number; pendingRevocations: number }>;
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
   * with the declarative file.
   */
  updateCaller(caller: Caller, audit: AuditEntry): Promise<'updated' | 'absent'>;
  addCallerKey(key: CallerKey, audit: AuditEntry): Promise<'added' | 'absent'>;
  /** With its keys. The open connect sessions that it created are cancelled. */
  deleteCaller(id: string, audit: AuditEntry): Promise<'deleted' | 'absent'>;
  /** The open connect sessions that were created with it are cancelled. */
  deleteCallerKey(callerId: string, keyId: string, audit: AuditEntry): Promise<'deleted' | 'absent'>;
  /** Moves `lastUsedAt` forward, never back. */
  touchKeys(uses: { keyId: string; at: number }[]): Promise<void>;
}

export interface DeclarativeFileStore {
  /** All rows or none. Integrations as with `putIntegration`; callers are created, or replaced in all but `createdAt`. */
  putDeclared(rows: DeclaredRows): Promise<void>;
}

export interface SessionStore {
  /** `creator_gone`: nothing was stored, since the caller that is named, or the key, has been deleted. */
  addSession(
    session: ConnectSession,
    audit: AuditEntry,
    creator?: { callerId: string; keyId: string | null },
  ): Promise<'added' | 'creator_gone'>;
  session(id: string): Promise<ConnectSession | undefined>;
  sessionBySecret(digest: string): Promise<ConnectSession | undefined>;
  /**
   * Records a flow of a pending session. The first one that `binds` binds the session to the browser, and moves the end of
   * the session to that of the flow. One that does not bind moves the end of an unbound session so, too, but never beyond
   * twice its first lifetime. `gone`: the session is not pending, or expired; `other_browser`: it is bound to another one.
   */
  beginFlow(flow: Flow, now: number, binds?: boolean): Promise<'begun' | 'gone' | 'other_browser'>;
  /** Whose flow has this state; `isConsumed`: its response has arrived already. */
  flowOf(stateDigest: string): Promise<{ sessionId: string; browserDigest: string; isConsumed: boolean } | undefined>;
  /**
   * Deletes the flow and returns it, once: only for its state and its browser, and only before it expires. `flowOf` still
   * finds it, as consumed. Binds the session to the browser, if it is bound to none.
   */
  consumeFlow(
    stateDigest: string,
    browserDigest: string,
    now: number,
  ): Promise<{ flow: Flow; session: ConnectSession } | undefined>;
  /**
   * Ends a pending session in failure; without effect on one that is not pending. `pageError` is the code of the page that
   * tells the owner, where it is another one.
   */
  failSession(id: string, error: string, audit: AuditEntry, pageError?: string): Promise<void>;
  /** A session that failed with this error, and has time left, is pending again. False: it is none of these. */
  reopenSession(id: string, error: string, now: number, audit: AuditEntry): Promise<boolean>;
  /** Whether a session for this slot failed with this error since then. */
  hasFailedSession(
    slot: Pick<ConnectSession, 'integration' | 'owner' | 'label'>,
    error: string,
    since: number,
  ): Promise<boolean>;
  /** Those that match, their ids ascending. */
  connectSessions(filter: ConnectSessionFilter, page: PageRequest): Promise<Page<ConnectSession>>;
  /** Ends a session that is pending or awaits its finish. False: it was neither, and nothing changed. */
  endSession(
    id: string,
    end: { status: 'failed' | 'cancelled'; error: string | null },
    audit: AuditEntry,
  ): Promise<boolean>;
  /**
   * A pending two-phase session awaits its finish from now on, with the candidate. `session_over`: it is not pending.
   * Rejects when its integration is not there.
   */
  awaitFinish(
    candidate: Candidate,
    until: Pick<ConnectSession, 'expiresAt' | 'account'> & { finishDigest: string },
    audit: AuditEntry,
  ): Promise<'awaiting' | 'session_over'>;
  candidate(sessionId: string): Promise<Candidate | undefined>;
  /**
   * Counts a wrong attempt to finish a session that awaits it; the `limit`th ends it in failure. Returns how many there
   * were; undefined: it does not await its finish.
   */
  countWrongAttempt(id: string, limit: number, error: string, audit: AuditEntry): Promise<number | undefined>;
  /** Candidates of sessions that have ended otherwise than by their finish, or await it no longer. */
  endedCandidates(now: number, limit: number): Promise<{ candidate: Candidate; session: ConnectSession }[]>;
  /**
   * Deletes such a candidate, and adds the revocation of its tokens; a session that has waited too long becomes `expired`.
   * False: it is not there, or its session still awaits its finish.
   */
  destroyCandidate(
    sessionId: string,
    now: number,
    revocation: PendingRevocation | null,
    audit: AuditEntry,
  ): Promise<boolean>;
}

export interface ConnectionStore {
  /**
   * Creates a connection with its credentials, and completes the session if one is named. Without effect on `exists` (a
   * live connection of the same integration, owner and label) and `session_over`: the session is not pending or, if it is
   * two-phase, does not await its finish. Its candidate is deleted. Rejects when the integration is not there.
   */
  addConnection(
    connection: Connection,
    credentials: EncryptedCredentials,
    sessionId: string | null,
    audit: AuditEntry,
  ): Promise<'added' | 'session_over' | { exists: string }>;
  /**
   * Replaces the credentials of a live connection, and returns its new generation. It becomes `active`, generation + 1;
   * failures, error, lease and intent are cleared. The given `generation`, `createdAt`, `integration`, `owner` and `label`
   * are ignored. Without effect on `gone` (absent or revoked), `session_over`, and `refreshing`: a refresh is in flight
   * that spends the refresh token which the renewal keeps.
   */
  renewConnection(
    connection: Connection,
    credentials: RenewedCredentials,
    sessionId: string | null,
    audit: AuditEntry,
  ): Promise<{ generation: number } | 'session_over' | 'gone' | 'refreshing'>;
  /** The stored credentials of a connection; undefined: it is absent, or revoked. */
  storedCredentials(id: string): Promise<EncryptedCredentials | undefined>;
  connection(id: string): Promise<Connection | undefined>;
  connections(filter: ConnectionFilter, page: PageRequest): Promise<Page<Connection>>;
  /** Live connections that match, their ids ascending. */
  liveConnections(
    filter: Pick<ConnectionFilter, 'integration' | 'owner'>,
    page: PageRequest,
  ): Promise<Page<Pick<Connection, 'id'>>>;
  /** Live connections of the account, of any integration, the oldest first. */
  connectionsOfAccount(account: Pick<Account, 'issuer' | 'id'>, limit: number): Promise<Connection[]>;
  /** For metrics; by integration and status. */
  countConnections(): Promise<{ integration: string; status: ConnectionStatus; count: number }[]>;

  /** The cold read by id: one row. */
  servedRow(id: string): Promise<ServedRow | undefined>;
  /** The cold read by owner: live connections first, newest first, at most 20. Label undefined: any. */
  servedRowsByOwner(integration: string, owner: string, label: string | undefined): Promise<ServedRow[]>;
  /** Those of at most 1,000 connections that exist. */
  connectionVersions(ids: string[]): Promise<ConnectionVersion[]>;
  /** The token and its key for a DPoP proof, from one snapshot. */
  dpopBoundRow(id: string): Promise<BoundRow | undefined>;
}

export interface RefreshStore {
  /**
   * Takes the lease and records the intent in one durable commit, before a refresh token is spent. `busy`: another process
   * holds the lease. Its lease ends when that process dies, or once this process has observed the same claim for
   * `LEASE_MS`. A process may claim again what it holds itself. `in_doubt`: the holder has stopped answering, and may only be
   * frozen and have spent the refresh token, which the provider is not known to answer again; until it is back, known to have
   * ended, or silent for `LEASE_IN_DOUBT_MS`. `gone`: absent, not `active`, or of a newer generation.
   */
  claim(id: string, claim: Claim): Promise<Claimed | 'busy' | 'in_doubt' | 'gone'>;
  /** Gives a claim back under which nothing was sent: as if it had never been made. Without effect if it is not the newest. */
  releaseUnsent(id: string, claimed: Pick<Claimed, 'fence' | 'unresolved'>): Promise<void>;
  /**
   * Commits the answer of a refresh: generation + 1, `active`, failures and error cleared, lease and intent released.
   *
   * - `superseded`: newer credentials than the claim's generation are stored, and nothing changes.
   * - A late answer, of an older claim, is committed as long as its generation is the stored one: no other answer may come.
   *   If it reactivates a connection, that is due for its next refresh at once, which shows whether the grant lives. A newer
   *   claim that is under way keeps its lease, without its intent; should it bring an answer too, that one is newer, and
   *   replaces the late one.
   * - `gone`: revoked meanwhile.
   */
  commitRefresh(
    id: string,
    held: HeldLease,
    change: RefreshedFields,
    credentials: EncryptedCredentials,
    audit: AuditEntry,
  ): Promise<'committed' | 'superseded' | 'gone'>;
  /**
   * Records and counts a failed refresh, and releases the lease. Nothing is recorded on `superseded` (newer credentials are
   * stored, or a newer claim was made) and `gone`.
   */
  recordRefreshFailure(
    id: string,
    held: HeldLease,
    failure: RefreshFailure,
    audit: AuditEntry,
  ): Promise<'recorded' | 'superseded' | 'gone'>;
  /**
   * Connections of an integration that became `needs_reauth` since then (`updatedAt`), the newest first. From an index of
   * these alone.
   */
  recentlyDead(integration: string, since: number, limit: number): Promise<Connection[]>;
  /**
   * Makes a connection `active` again that is `needs_reauth` for this reason, with the credentials of this generation: due at
   * `nextRefreshAt`. `updatedAt` stays: it is not known yet whether anything has changed. `changed`: it is none of these.
   */
  reactivate(
    id: string,
    expected: Pick<Connection, 'generation' | 'reason'>,
    nextRefreshAt: number,
    audit: AuditEntry,
  ): Promise<'reactivated' | 'changed'>;
  /**
   * When a connection of this integration was last refreshed, as far as those that are due last show; null: none of them was.
   */
  lastRefreshAt(integration: string): Promise<number | null>;
  /**
   * Integrations with active connections whose `nextRefreshAt` has passed, and since when, the oldest first. Costs a few
   * index steps for each integration, however many connections are stored.
   */
  dueIntegrations(now: number): Promise<{ integration: string; dueAt: number }[]>;
  /** For metrics: the same, counted. Costs an index step for each connection that is due. */
  countDue(now: number): Promise<{ integration: string; dueAt: number; count: number }[]>;
  /**
   * The ids of an integration's due connections, the oldest first. Sets their `nextRefreshAt` to `pushTo` in the same
   * commit, so that no two replicas get the same.
   */
  claimDue(integration: string, now: number, pushTo: number, limit: number): Promise<string[]>;
  /** Connections with an unresolved intent that no live process holds, the oldest first; `startedAt` as in `Claimed`. */
  unresolvedRefreshes(): Promise<{ id: string; startedAt: number }[]>;
}

export interface RateBucketStore {
  /**
   * Takes up to `wanted` tokens from the bucket of an integration's token endpoint, which all processes share, by the clock
   * of the store. `inMs`: milliseconds until there may be another. Tokens that are not used are lost.
   */
  takeFromBucket(integration: string, wanted: number, limits: BucketLimits): Promise<{ taken: number; inMs: number }>;
}

export interface RevocationStore {
  /**
   * Turns a connection into a tombstone: `revoked`, its credentials, lease, intent and unreadable responses deleted. Connect
   * sessions that await the finish of another grant for it, or for its place, are cancelled. When `upstream` is
   * `pending`, its tokens move to a pending revocation due at `firstTryAt`. `already`: it was revoked before, and nothing
   * changed. Undefined: absent.
   */
  revoke(
    id: string,
    upstream: 'pending' | 'unsupported',
    firstTryAt: number,
    audit: AuditEntry,
  ): Promise<{ connection: Connection; already: boolean; pending: PendingRevocation | null } | undefined>;
  /** For tokens that arrived after their connection was revoked. */
  addPendingRevocation(revocation: PendingRevocation): Promise<void>;
  /**
   * Integrations with due revocations, those of the oldest first. Costs a few index steps for each integration, however many
   * revocations are pending.
   */
  dueRevocations(now: number): Promise<string[]>;
  /**
   * Due revocations of an integration, the oldest first. Sets their `nextAt` to `pushTo` and counts the attempt in the same
   * commit, so that no two replicas get the same.
   */
  claimRevocations(integration: string, now: number, pushTo: number, limit: number): Promise<PendingRevocation[]>;
  /** The ids of those of an integration that a process may be delivering now. */
  revocationsUnderWay(integration: string, now: number): Promise<string[]>;
  /**
   * Whether an owner may be about to get a grant at this integration: a connect session of this owner is open in a browser
   * or awaits its finish, or anyone's is past the consent, so that its code is being exchanged, or awaits its finish with
   * this account. An account that is not known is taken to be any.
   */
  isConnecting(
    integration: string,
    owner: string | null,
    account: Pick<Account, 'issuer' | 'id'> | null,
    now: number,
  ): Promise<boolean>;
  /** Deletes a pending revocation, and sets its outcome on the connection unless another of it is still pending. */
  settleRevocation(id: string, outcome: Exclude<UpstreamRevocation, 'pending'>, audit: AuditEntry): Promise<void>;
  postponeRevocation(id: string, nextAt: number): Promise<void>;
}

export interface AuditStore {
  /** All of them or none. Idempotent by id, so that it can be repeated after an unknown outcome. */
  appendAudit(entries: AuditEntry[]): Promise<void>;
  /** Newest first. */
  audit(filter: AuditFilter, page: PageRequest): Promise<Page<StoredAuditEntry>>;
  /**
   * Deletes up to `limit` entries with lower ids that are not sealed, and returns how many: without a place in the hash chain,
   * or with one after `sealedUpTo` (by default 0). Skips rows that another process is deleting.
   */
  pruneAudit(before: string, limit: number, sealedUpTo?: number): Promise<number>;
}

/** An audit entry with its place in the order in which the log is sealed. Places have gaps. */
export interface PlacedEntry {
  position: number;
  entry: StoredAuditEntry;
}

export interface AuditSealStore {
  /** All entries with places up to this one are committed: none will appear among them any more. 0: there are none. */
  auditHorizon(): Promise<number>;
  /** Entries in `(after, upTo]`, in the order of their places. */
  entriesBetween(after: number, upTo: number, limit: number): Promise<PlacedEntry[]>;
  /** `taken`: the audit log has a seal of this id, and nothing changes. */
  addAuditSeal(seal: AuditSeal): Promise<'added' | 'taken'>;
  lastAuditSeal(): Promise<AuditSeal | undefined>;
  /** The oldest first, without the anchor. `after`: the id of an audit seal. */
  auditSeals(after: string | undefined, limit: number): Promise<AuditSeal[]>;
  auditAnchor(): Promise<AuditSeal | undefined>;
  /** Replaces the anchor, unless the stored one is later. */
  putAuditAnchor(anchor: AuditSeal): Promise<void>;
  /** Deletes up to `limit` entries with places up to this one, and returns how many. */
  pruneSealedAudit(upTo: number, limit: number): Promise<number>;
  /** Deletes up to `limit` audit seals, this one and those before it, and returns how many. */
  pruneAuditSeals(upToId: string, limit: number): Promise<number>;
  /**
   * For verification. `unplaced`: entries without a place; `unsealed`: those with places after this one; `misplaced`: those
   * that the chain should cover by their ids, from this one on, but that have no place or one up to `upTo`.
   */
  auditOutside(chain: { upTo: number; fromId: string; sealedUpTo: number }): Promise<{
    unplaced: number;
    unsealed: number;
    misplaced: number;
  }>;
}

export interface SecretStore {
  keyChecks(): Promise<KeyCheck[]>;
  /** Without effect when there is one for the key. */
  addKeyCheck(check: KeyCheck): Promise<void>;
  /** For a key that protects nothing any more. Without effect when there is none. */
  removeKeyCheck(kid: string, audit: AuditEntry): Promise<void>;
  /** Replaces the check of its key, or adds it. Processes that follow the changes then read their callers again. */
  putKeyCheck(check: KeyCheck, audit: AuditEntry): Promise<void>;
  /** How many secrets each key protects, from one snapshot. Reads every secret. */
  keysInUse(): Promise<KeyUse[]>;
  /** Sessions that are pending or await their finish, and whose code is not of this key; those of the lowest ids. */
  sessionsToAuthenticate(kid: string, limit: number): Promise<ConnectSession[]>;
  /** Sets the code of a row that still has the code `before`. False: it has another one by now, or is gone. */
  replaceMac(row: RowMac, before: string | null): Promise<boolean>;
  /**
   * Replaces the secrets that are not encrypted with this key, or in the form of the first releases, in the next rows by table and id, at most `limit` rows.
   * `reencrypt` returns the same secret under this key, or undefined to leave it. Nothing else of a row changes. A row is
   * locked from its reading to its writing; rows that are locked by others are skipped. So `reencrypt` must be quick and
   * pure: it may be called twice for one text. When it throws, the batch is rolled back.
   */
  reencryptBatch(
    kid: string,
    after: SecretRowKey | null,
    limit: number,
    reencrypt: (secret: EncryptedSecret) => Ciphertext | undefined,
  ): Promise<ReencryptedBatch>;
}

export interface UnreadableResponseStore {
  /**
   * Keeps the newest of each connection and session, and of each integration, as many as `limits` says. Without effect for a
   * connection that is revoked.
   */
  addUnreadableResponse(response: UnreadableResponse, limits: { ofOne: number; ofIntegration: number }): Promise<void>;
  /** Without their bodies, newest first. Undefined: of all integrations. */
  unreadableResponses(integration: string | undefined, page: PageRequest): Promise<Page<UnreadableResponseHead>>;
  unreadableResponse(id: string): Promise<UnreadableResponse | undefined>;
  /** Deletes those that were received before this. */
  deleteUnreadableResponses(before: number): Promise<void>;
}

export interface HousekeepingStore {
  /**
   * Deletes flows, and sessions without a candidate, that expired before this, and changes that every subscriber has read: up to `limit` of each.
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
