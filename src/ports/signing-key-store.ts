// Keys that the deployment signs with, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { SigningKey } from '../domain/signing-key.ts';

export interface SigningKeyStore {
  /** All of a purpose, the newest first. */
  signingKeys(purpose: SigningKey['purpose']): Promise<SigningKey[]>;
  /**
   * Compare and swap: if the keys of this purpose are still those that were `read`, in the same states, they are those of
   * `next` from now on: keys are added and deleted, and of the others the states are changed. False: they are not, and
   * nothing has changed. The change feed reports it.
   */
  swapSigningKeys(
    purpose: SigningKey['purpose'],
    read: readonly SigningKey[],
    next: readonly SigningKey[],
    audit: readonly AuditEntry[],
  ): Promise<boolean>;
}
