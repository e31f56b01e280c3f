// The rows that a store is given and returns, its filters, and its pages.
import type { AuditEntry } from '../domain/audit.ts';
import type { Caller, CallerKey, Scope } from '../domain/caller.ts';
import type {
  Account,
  Ciphertext,
  Connection,
  ConnectionStatus,
  EncryptedCredentials,
  RefreshError,
  WrittenCredentials,
} from '../domain/connection.ts';
import type { ReauthReason } from '../domain/errors.ts';
import type { Integration, SessionStatus } from '../domain/integration.ts';

export interface PageRequest {
  /** Between 1 and 500. */
  limit: number;
  /** The cursor: the id of the last row of the page before. */
  after: string | undefined;
}

export interface Page<T> {
  data: T[];
  /** The cursor of the next page; null on the last one. A page with a cursor may be shorter than its limit, or empty. */
  next: string | null;
}

export interface ConnectionFilter {
  integration?: string | undefined;
  owner?: string | undefined;
  status?: ConnectionStatus | undefined;
  reason?: Connection['reason'] | undefined;
  /** Active, and the last refresh failed. */
  failing?: true | undefined;
  /** Active, and due for a refresh before this, in ms. */
  refreshDueBefore?: number | undefined;
  /** Active, and the grant ends before this, in ms. */
  grantEndsBefore?: number | undefined;
  /**
   * The id, or that of the account of a live one; or with what the owner, the label, or the account's name (ASCII letters in
   * either case) begins. Not empty, and without NUL.
   */
  text?: string | undefined;
  /** Only connections in one of these scopes; undefined: all. */
  within?: Scope[] | undefined;
}

export interface ConnectSessionFilter {
  integration?: string | undefined;
  owner?: string | undefined;
  /** Sessions whose time is over count as `expired`. `open`: `pending`, `awaiting_finish`, or failed and open to another try. */
  status?: SessionStatus | 'open' | undefined;
  /** Only sessions in one of these scopes; undefined: all. */
  within?: Scope[] | undefined;
  /** What is over by now, in ms. */
  now: number;
}

export interface AuditFilter {
  integration?: string | undefined;
  owner?: string | undefined;
  connectionId?: string | undefined;
  actor?: string | undefined;
  action?: string | undefined;
  outcome?: AuditEntry['outcome'] | undefined;
  /** An agent session. */
  session?: string | undefined;
  /** Of our own making. No index finds it: name a time as well. */
  requestId?: string | undefined;
  /** All but reads: of tokens, through the proxy, and of connections. */
  changes?: true | undefined;
  /** Inclusive, ms. */
  from?: number | undefined;
  /** Exclusive, ms. */
  to?: number | undefined;
  /** Only entries of these integrations and owners; undefined: all. An entry of neither is of all of them. */
  within?: Scope[] | undefined;
  /** The same as bounds of ids, which have an index; the first inclusive, the second exclusive. */
  fromId?: string | undefined;
  beforeId?: string | undefined;
}

/** An undefined secret: the stored one stays. */
export type IntegrationSettings = Omit<Integration, 'version' | 'clientSecret' | 'privateKey' | 'isAuthentic'> & {
  clientSecret: Ciphertext | null | undefined;
  privateKey: Ciphertext | null | undefined;
};

/** How an integration receives: encrypted JSON records. */
export interface ReceiverSettings {
  integration: string;
  webhook: Ciphertext | null;
  signals: Ciphertext | null;
  updatedAt: number;
}

/** Undefined members stay. */
export interface ReceiverChange {
  settings: Pick<ReceiverSettings, 'integration' | 'updatedAt'> & Partial<ReceiverSettings>;
  audit: AuditEntry | undefined;
}

/** What a change of an integration was decided on. Version 0: there was none; without `createdAt`: it may have been made again since. */
export interface ExpectedIntegration {
  version: number;
  createdAt?: number | undefined;
}

/** Tells an integration that was read from another one that is made under its id after it was deleted. */
export type ReadIntegration = Pick<Integration, 'createdAt'>;

/** The declarative file as rows, each with its audit entry. */
export interface DeclaredRows {
  /** Deleted first. Those that are not there are passed over, without an entry. */
  deleted?: { integrations: { id: string; audit: AuditEntry }[]; callers: { id: string; audit: AuditEntry }[] };
  integrations: { settings: IntegrationSettings; audit: AuditEntry; expected?: ExpectedIntegration | undefined }[];
  /** How integrations receive. */
  receivers?: readonly ReceiverChange[] | undefined;
  /** Undefined keys: the stored ones stay; otherwise the caller has exactly these. */
  callers: {
    caller: Caller;
    keys: CallerKey[] | undefined;
    audit: AuditEntry;
    expected?: ExpectedCaller | undefined;
  }[];
}

/** What a change of a caller was decided on, as it was read: it is replaced by nothing else, nor is one of these keys given back. */
export interface ExpectedCaller {
  caller: Caller;
  keys: readonly CallerKey[];
}

/** What keeps an integration from being deleted. */
export interface IntegrationInUse {
  integration: string;
  connections: number;
  pendingRevocations: number;
}

/** The credentials of a renewal. Undefined: the stored one stays. */
export type RenewedCredentials = {
  [Secret in keyof EncryptedCredentials]: EncryptedCredentials[Secret] | undefined;
} & Pick<WrittenCredentials, 'tokenDigests'>;

/** A connection and its access token, which is null when revoked, or imported without one. */
export interface ServedRow {
  connection: Connection;
  accessToken: Ciphertext | null;
}

/** The same with the credentials, which hold the key that the token is bound to. */
export interface BoundRow extends ServedRow {
  credentials: Ciphertext | null;
}

/** Decides whether a cached token is still the one to serve. */
export type ConnectionVersion = Pick<Connection, 'id' | 'status' | 'generation' | 'issuedAt'>;

/** A request for the refresh lease of a connection. */
export interface Claim {
  /** `att_…`, in every log line of this refresh. */
  attempt: string;
  /** The generation that is to be replaced. */
  generation: number;
  /** Milliseconds since the epoch. */
  now: number;
  /** The same instant by the monotonic clock of the process. */
  monotonic: number;
  /** How long the provider is known to answer a spent refresh token again, in milliseconds. Undefined: 0, not known to. */
  reuseWindowMs?: number | undefined;
  /**
   * An earlier claim of this process, under which nothing was sent for certain: its intent is not inherited, only what it had
   * inherited itself.
   */
  unsent?: Pick<Claimed, 'fence' | 'unresolved'> | undefined;
}

export interface Claimed {
  connection: Connection;
  credentials: EncryptedCredentials;
  /** The fencing token: it grows with each claim of the connection, and only the newest may write. */
  fence: number;
  /**
   * The intent of an earlier attempt that was neither committed nor resolved: it may have spent the refresh token. Of
   * several in a row, `startedAt` is that of the first, which may have spent it first.
   */
  unresolved: { attempt: string; startedAt: number } | null;
  /**
   * Synchronous, without I/O: whether it is certain, now, that no other process has taken the lease over since. Asked when
   * the refresh token is about to be sent; false: claim again.
   */
  isStillHeld(): boolean;
}

/** A lease as its holder knows it, compared with the stored one before anything is written. */
export interface HeldLease {
  fence: number;
  generation: number;
  /** Of the credentials that were claimed: an answer replaces no others, which may have the same generation after a failover. */
  issuedAt?: number | undefined;
  /** The refresh leaves what webhooks find the connection by as it was claimed (`keepsCapturedValues`): it is not written. */
  keepsValues?: boolean | undefined;
  /** The refresh replaces tokens and their times only: all else that a refresh may change is as it was claimed. */
  isRoutine?: boolean | undefined;
}

/** The fields of a connection that a committed refresh replaces. */
export type RefreshedFields = Pick<
  Connection,
  | 'scopes'
  | 'tokenType'
  | 'issuedAt'
  | 'expiresAt'
  | 'nextRefreshAt'
  | 'reauthDueAt'
  | 'lastRefreshedAt'
  | 'captured'
  | 'identity'
  | 'account'
  | 'updatedAt'
>;

export interface RefreshFailure {
  /** Why the owner must connect again; null: the status stays, and the refresh is tried again. */
  reason: ReauthReason | null;
  error: RefreshError;
  nextRefreshAt: number | null;
  /** Undefined: `error.at`. */
  updatedAt?: number;
  /**
   * True: the provider never saw the refresh token, or refused it for certain, so the intent is cleared. False keeps the
   * intent on record.
   */
  resolved: boolean;
}

/** What a token endpoint answered with a 2xx in which no token was found: the tokens may be in it nevertheless. */
export interface UnreadableResponse {
  id: string;
  integration: string;
  /** Of a refresh. */
  connectionId: string | null;
  /** Of a code exchange: the connect session. */
  sessionId: string | null;
  status: number;
  contentType: string | null;
  /** `partial`: the provider sent more, or its connection ended early. */
  extent: 'whole' | 'partial';
  receivedAt: number;
  body: Ciphertext;
}

/** For lists. */
export type UnreadableResponseHead = Omit<UnreadableResponse, 'body'>;

/** A revocation that the provider has not confirmed. Its secrets are bound to the row of the connection. */
export interface PendingRevocation {
  id: string;
  connectionId: string;
  integration: string;
  /** Null: stored by a release that did not know them, as `account`. */
  owner: string | null;
  /** Null: stored by a release that did not know it. */
  label: string | null;
  account: Account | null;
  params: Record<string, string>;
  captured: Record<string, unknown>;
  accessToken: Ciphertext | null;
  refreshToken: Ciphertext | null;
  /** Where the grant comes from, if that was found at a protected resource: as `credentials` of the connection. */
  credentials: Ciphertext | null;
  attempts: number;
  nextAt: number;
  /** Until then at most, a process may be delivering it; null: none is. */
  claimedUntil: number | null;
  createdAt: number;
}
