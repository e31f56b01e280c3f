// What a store is asked with, and the rows that it answers with.
import type { AuditEntry } from '../domain/audit.ts';
import type { Caller, CallerKey, Scope } from '../domain/caller.ts';
import type {
  Ciphertext,
  Connection,
  ConnectionStatus,
  EncryptedCredentials,
  RefreshError,
} from '../domain/connection.ts';
import type { ReauthReason } from '../domain/errors.ts';
import type { Integration } from '../domain/integration.ts';

export interface Page<T> {
  data: T[];
  /** The id to go on after; null at the end. */
  next: string | null;
}

export interface PageRequest {
  /** Between 1 and 500. */
  limit: number;
  /** Go on after this id. */
  after: string | undefined;
}

export interface ConnectionFilter {
  integration?: string | undefined;
  owner?: string | undefined;
  status?: ConnectionStatus | undefined;
  /** Only what lies in one of these; undefined means no limit. */
  within?: Scope[] | undefined;
}

export interface AuditFilter {
  integration?: string | undefined;
  owner?: string | undefined;
  connectionId?: string | undefined;
  actor?: string | undefined;
  action?: string | undefined;
  outcome?: AuditEntry['outcome'] | undefined;
  /** Inclusive, ms. */
  from?: number | undefined;
  /** Exclusive, ms. */
  to?: number | undefined;
}

/** A connection and what a read of it needs. `accessToken` is null when revoked, or imported without one. */
export interface ServedRow {
  connection: Connection;
  accessToken: Ciphertext | null;
}

/** The same with what holds the key that the token is bound to. */
export interface BoundRow extends ServedRow {
  credentials: Ciphertext | null;
}

/** What tells whether a token in memory is still the one to be served. */
export type ConnectionVersion = Pick<Connection, 'id' | 'status' | 'generation'>;

/** What a refresh may not begin without: the lease and the intent, durable, in one commit. */
export interface Claim {
  /** `att_…`, told in every log line of this refresh. */
  attempt: string;
  /** The generation that is to be replaced. */
  generation: number;
  now: number;
  /** The same moment by the claimant's monotonic clock, which nobody sets. */
  monotonic: number;
}

export interface Claimed {
  connection: Connection;
  grant: EncryptedCredentials;
  /** Grows with each claim of this connection: only the newest one may write. */
  fence: number;
  /**
   * The intent of an earlier attempt that neither kept an answer nor gave up: it may have spent the refresh token.
   * `startedAt` is that of the first of those that followed one another, which may have spent it first.
   */
  unresolved: { attempt: string; startedAt: number } | null;
}

/** What a kept refresh changes on the connection. */
export type Rotation = Pick<
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
  | 'updatedAt'
>;

/** What a failed refresh changes. Without `reason` the connection stays as it is, to be tried again. */
export interface RefreshFailure {
  reason: ReauthReason | null;
  error: RefreshError;
  nextRefreshAt: number | null;
  /** The provider never saw, or surely refused, the refresh token: the intent is resolved. False keeps it on record. */
  resolved: boolean;
}

/** A revocation that the provider has not confirmed. Its secrets are bound to the row of the connection. */
export interface PendingRevocation {
  id: string;
  connectionId: string;
  integration: string;
  params: Record<string, string>;
  captured: Record<string, unknown>;
  accessToken: Ciphertext | null;
  refreshToken: Ciphertext | null;
  attempts: number;
  nextAt: number;
  createdAt: number;
}

/** A row that holds secrets. */
export interface SecretRowKey {
  /** By its name in the database. */
  table: 'integrations' | 'grants' | 'flows' | 'outbox_revocations';
  /** Of the row; for grants, the connection's. */
  id: string;
}

/** A secret where it stands: which column of which row. */
export interface SecretColumn extends SecretRowKey {
  column: string;
}

export interface EncryptedSecret extends SecretColumn {
  /** Which row it was sealed for: the one it stands in, but for tokens that wait in the outbox: their connection. */
  sealedFor: string;
  sealed: Ciphertext;
}

/** What came of one step of sealing anew. */
export interface ReencryptedBatch {
  /** Texts that were replaced. */
  reencrypted: number;
  /** Those that stay as they are. */
  left: EncryptedSecret[];
  /** Rows that were passed over: somebody else is changing them, or they are gone. */
  skipped: number;
  /** The row to go on after; null at the end. */
  next: SecretRowKey | null;
}

/** The key ring's proof, one row a key id: text that only the right key opens. */
export interface KeyCheck {
  kid: string;
  sealed: Ciphertext;
}

/** An undefined secret is the one that is stored. */
export type IntegrationSettings = Omit<Integration, 'version' | 'clientSecret' | 'privateKey'> & {
  clientSecret: Ciphertext | null | undefined;
  privateKey: Ciphertext | null | undefined;
};

/** Something that a memory of the store may hold is not as it was. */
export type Change =
  /** `generation`: the one that is there now. */
  | { kind: 'connection'; id: string; generation: number }
  | { kind: 'integration'; id: string }
  /** Who they are, what they may do, and their keys. */
  | { kind: 'callers' }
  /**
   * The store can be reached again, and may be another one than before, that lacks the last commits: what was kept
   * lately may have to be kept once more.
   */
  | { kind: 'back' }
  /** It is not known what: nothing that is remembered may be relied on. */
  | { kind: 'everything' };
/** What a sentence does; the others befall the store. */
export type StoreChange = Exclude<Change, { kind: 'back' | 'everything' }>;
export type ChangeKind = StoreChange['kind'];

export interface ChangeFeed {
  /** `notified`: at once, by the store; `polled`: by asking for what is new every `everyMs`. */
  delivery: 'notified' | 'polled';
  /** How late news may be at the most, while the store can be reached; when notified, where a notification was lost. */
  everyMs: number;
  /** Milliseconds since the store was last looked at for news, with success. */
  lagMs(): number;
  /** Nothing is told any more once it is fulfilled. */
  stop(): Promise<void>;
}

/** What a deployment declares, as rows, each with the record of who declared it. */
export interface DeclaredRows {
  integrations: { settings: IntegrationSettings; by: AuditEntry }[];
  /** Undefined keys are those that are stored; otherwise the caller has exactly these. */
  callers: { caller: Caller; keys: CallerKey[] | undefined; by: AuditEntry }[];
}

/** The answer of a refresh, sealed, on its way into the store. */
export interface PendingCommit {
  attempt: string;
  connectionId: string;
  integration: string;
  owner: string;
  params: Record<string, string>;
  captured: Record<string, unknown>;
  held: { fence: number; generation: number };
  change: Rotation;
  grant: EncryptedCredentials;
}

/** Where answers wait that the store would not take. Fulfilled when durable; rejected when that failed too. */
export interface Rescue {
  add(answer: PendingCommit): Promise<void>;
  remove(attempt: string): Promise<void>;
  all(): Promise<PendingCommit[]>;
}

export class StoreError extends Error {
  override name = 'StoreError';
}
