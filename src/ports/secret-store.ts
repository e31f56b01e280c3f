// The secrets of a store: which keys encrypt them, their re-encryption, and what token endpoints answered that could not be read.
import type { AuditEntry } from '../domain/audit.ts';
import type { Ciphertext } from '../domain/connection.ts';
import type { ConnectSession } from '../domain/integration.ts';
import type { EncryptedSecret, KeyUse, ReencryptedBatch, RowMac, SecretRowKey } from './reencryption.ts';
import type { Page, PageRequest, UnreadableResponse, UnreadableResponseHead } from './rows.ts';
import type { KeyCheck } from './vault.ts';

export interface SecretStore {
  keyChecks(): Promise<KeyCheck[]>;
  /** Without effect when there is one for the key. */
  addKeyCheck(check: KeyCheck): Promise<void>;
  /** For a key that protects nothing any more. Without effect when there is none. */
  removeKeyCheck(kid: string, audit: AuditEntry): Promise<void>;
  /**
   * Replaces the check of its key if that is still `before` (null: there is none), and returns whether it was. Processes that follow
   * the changes then read their callers again.
   */
  replaceKeyCheck(check: KeyCheck, before: Ciphertext | null, audit: AuditEntry): Promise<boolean>;
  /**
   * How many secrets each key protects. Reads every secret, in steps where others would wait. A secret that moves from table to table
   * meanwhile is counted once, or twice, and never missed.
   */
  keysInUse(): Promise<KeyUse[]>;
  /** Sessions that are pending or await their finish, and whose code is not of this key; those of the lowest ids. */
  sessionsToAuthenticate(kid: string, limit: number): Promise<ConnectSession[]>;
  /** Sets the code of a row that still has the code `before`. False: it has another one by now, or is gone. */
  replaceMac(row: RowMac, before: string | null): Promise<boolean>;
  /**
   * Replaces the secrets that are not encrypted with this key, or not in the present form, in the next rows by table and id, at
   * most `limit` rows.
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
  /** Deletes those that were received before this, up to `limit`. True: there may be more. */
  deleteUnreadableResponses(before: number, limit: number): Promise<boolean>;
}
