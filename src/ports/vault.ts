// Encryption of secrets at rest, and authentication of rows: the port of the key ring (not HashiCorp Vault).
import type { Ciphertext } from '../domain/connection.ts';

/** The place of a secret: one column of one row. A ciphertext cannot be decrypted in any other place. */
export interface EncryptionContext {
  /** `connections/con_…`, `integrations/slack`, `flows/<state digest>`. */
  row: string;
  column: string;
  /** Other values of the row that the ciphertext is bound to: with another value, it does not decrypt. */
  bound?: readonly (string | null)[] | undefined;
}

/** A row whose values are not secret and must not be changed by anyone but a broker. */
export interface AuthenticatedRow<Table extends AuthenticatedTable = AuthenticatedTable> {
  table: Table;
  id: string;
  /** Null and undefined count as absent. */
  values: Readonly<Record<string, unknown>>;
}
export type AuthenticatedTable = ReauthenticatedTable | 'console_sessions' | 'agent_sessions';
/** Those whose codes a key rotation replaces. Sessions of the console and of agents end before an old key is removed, or with it. */
export type ReauthenticatedTable = 'integrations' | 'callers' | 'caller_keys' | 'connect_sessions' | 'jobs';

/**
 * How a database protects its rows from those who can write to it.
 *
 * - `legacy`: as the first releases, which may still run beside this one: nothing is bound to more than its row and column,
 *   and no row is authenticated
 * - `migrating`: what is written is bound and authenticated; what is neither is still accepted
 * - `enforced`: only what is bound and authenticated is accepted
 */
export const PROTECTIONS = ['legacy', 'migrating', 'enforced'] as const;
export type RowProtection = (typeof PROTECTIONS)[number];

/** The forms of a ciphertext, the earliest first: what it is bound to, and by which key it is encrypted (`keyring.ts`). */
export const ENVELOPES = ['v1', 'v2', 'v3'] as const;
export type Envelope = (typeof ENVELOPES)[number];

/** What brokers write in a database, and what they accept from it. A key rotation takes both on; neither ever goes back. */
export interface EncryptionStage {
  envelope: Envelope;
  protection: RowProtection;
}
/** That of a new database. */
export const LATEST_STAGE: EncryptionStage = { envelope: 'v3', protection: 'enforced' };
export const isSameStage = (one: EncryptionStage, other: EncryptionStage): boolean =>
  one.envelope === other.envelope && one.protection === other.protection;
export const isLatest = (stage: EncryptionStage): boolean => isSameStage(stage, LATEST_STAGE);
export const laterStage = (one: EncryptionStage, other: EncryptionStage): EncryptionStage => ({
  envelope: laterOf(ENVELOPES, one.envelope, other.envelope),
  protection: laterOf(PROTECTIONS, one.protection, other.protection),
});

const laterOf = <T>(order: readonly T[], one: T, other: T): T =>
  order.indexOf(one) > order.indexOf(other) ? one : other;

/**
 * A known text encrypted by one key: it proves that a key ring holds the right key under this id, and says how far the database
 * is.
 */
export interface KeyCheck {
  kid: string;
  ciphertext: Ciphertext;
}

/** Encrypts with the primary key of its ring, and decrypts with any of them. */
export interface Vault {
  stage(): EncryptionStage;
  protection(): RowProtection;
  /** Goes on to what all of these checks say; not if one cannot be decrypted. It never goes back. */
  learn(checks: KeyCheck[]): void;
  encrypt(plaintext: string, context: EncryptionContext): Ciphertext;
  /** Throws `VaultError`. */
  decrypt(ciphertext: Ciphertext, context: EncryptionContext): string;
  /**
   * The same secret under the primary key, as it is written now; also of a release whose ciphertexts are accepted no more, so
   * only for what is not from the database. Throws `VaultError`.
   */
  reencrypt(ciphertext: Ciphertext, context: EncryptionContext): Ciphertext;
  /**
   * Digests of a secret under each key of the ring, the primary key's first: without the ring, no guess can be compared with
   * them. Those of another purpose differ.
   */
  digests(secret: string, purpose: string): string[];
  /** The message authentication code of a row under the primary key; null: rows are not authenticated yet. */
  authenticate(row: AuthenticatedRow): string | null;
  /** Whether the row may be used: it has the code of one of the keys, or none and none is required yet. */
  isAuthentic(row: AuthenticatedRow, mac: string | null | undefined): boolean;
}

export class VaultError extends Error {
  override name = 'VaultError';
  /**
   * - `unknown_key`: the key is not in the ring
   * - `not_openable`: the ciphertext was altered, or belongs to another row or column, or what it is bound to was altered
   * - `outdated`: it is of a release that bound it to less, and the database accepts no such ciphertext any more
   * - `malformed`: it is not a ciphertext of a key ring
   */
  readonly code: 'unknown_key' | 'not_openable' | 'outdated' | 'malformed';
  constructor(code: VaultError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
