// Encryption of secrets at rest: the port of the key ring (not HashiCorp Vault).
import type { Ciphertext } from '../domain/connection.ts';

/** The place of a secret: one column of one row. A ciphertext cannot be decrypted in any other place. */
export interface EncryptionContext {
  /** `connections/con_…`, `integrations/slack`, `flows/<state digest>`. */
  row: string;
  column: string;
}

/** Encrypts with the primary key of its ring, and decrypts with any of them. */
export interface Vault {
  encrypt(plaintext: string, context: EncryptionContext): Ciphertext;
  /** Throws `VaultError`. */
  decrypt(ciphertext: Ciphertext, context: EncryptionContext): string;
}

export class VaultError extends Error {
  override name = 'VaultError';
  /**
   * - `unknown_key`: the key is not in the ring
   * - `not_openable`: the ciphertext was altered, or belongs to another row or column
   * - `malformed`: it is not a ciphertext of a key ring
   */
  readonly code: 'unknown_key' | 'not_openable' | 'malformed';
  constructor(code: VaultError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
