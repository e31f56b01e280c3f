// Key rotation, as the store sees it: where the secrets are, and one batch of re-encrypting them.
import type { Ciphertext } from '../domain/connection.ts';
import type { ReauthenticatedTable } from './vault.ts';

/** A row that holds secrets. */
export interface SecretRowKey {
  /** By its name in the database. */
  table:
    | 'integrations'
    | 'grants'
    | 'flows'
    | 'candidates'
    | 'portal_sessions'
    | 'outbox_revocations'
    | 'client_registrations'
    | 'unreadable_responses'
    | 'captured_calls'
    | 'audit_seals'
    | 'events'
    | 'webhook_endpoints'
    | 'deliveries'
    | 'received_webhooks'
    | 'receiver_settings'
    | 'signing_keys';
  /** Of the row; for grants, the connection's. */
  id: string;
}

/** A column of a row. */
export interface SecretColumn extends SecretRowKey {
  column: string;
}

export interface EncryptedSecret extends SecretColumn {
  /** The row in its encryption context: its own, or for tokens in the outbox, the connection's. */
  boundTo: string;
  /** The other values in its encryption context (`EncryptionContext.bound`). */
  bound: readonly (string | null)[];
  ciphertext: Ciphertext;
}

/** How many secrets a key protects. `kid` null: the texts name no key. `outdated`: in the form of the first releases. */
export interface KeyUse {
  kid: string | null;
  secrets: number;
  outdated: number;
}

/** The message authentication code of a row. */
export interface RowMac {
  table: ReauthenticatedTable;
  id: string;
  mac: string | null;
}

export interface ReencryptedBatch {
  /** Secrets that were replaced. */
  reencrypted: number;
  /** Secrets that could not be re-encrypted, and stay as they are. */
  left: EncryptedSecret[];
  /** Rows that were passed over: locked by another operation, or deleted meanwhile. */
  skipped: number;
  /** The row to continue after; null at the end. */
  next: SecretRowKey | null;
}
