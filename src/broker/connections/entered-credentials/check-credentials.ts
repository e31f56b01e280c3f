// What the room needs of the check of credentials: the proxy room has it, which calls APIs.
import type { Account, Connection } from '../../../domain/connection.ts';
import type { ReceivedCredentials } from '../received-grant/new-connection.ts';

/**
 * - `accepted`: they work
 * - `unchecked`: the catalogue has no call that tells, or one that these may not make, which says nothing of them
 * - `rejected`: they do not work
 * - `unexpected`: an answer that the catalogue does not know, such as that of another server
 * - `unavailable`: none, or one that limits
 */
export type CredentialVerdict = 'accepted' | 'unchecked' | 'rejected' | 'unexpected' | 'unavailable';

export interface CheckedCredentials {
  verdict: CredentialVerdict;
  /** Whose they are, as far as it was told. */
  account: Account | null;
  /** The API has answered with what its call asks for. `accepted` alone may be a refusal that only a key that works gets. */
  isProved: boolean;
}

/** Sends them to the provider, once. `connection`: as it would be stored. Rejects with `StoreError`. */
export type CheckCredentials = (
  connection: Connection,
  credentials: ReceivedCredentials['credentials'],
) => Promise<CheckedCredentials>;
