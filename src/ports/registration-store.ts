// Clients that the broker has registered at authorization servers of others (RFC 7591), as a store keeps them: one for each
// integration and issuer, whatever the number of its connections and of the processes.
import type { AuditEntry } from '../domain/audit.ts';
import type { Ciphertext } from '../domain/connection.ts';

export interface ClientRegistration {
  /** `{integration}/{SHA-256 of the issuer}`. */
  id: string;
  integration: string;
  issuer: string;
  /** An encrypted record: the client, its secret, and what it was registered with. Null: it is being registered. */
  client: Ciphertext | null;
  /** Counts the clients that there were. */
  version: number;
  /** Who registers the next one; null: no one. */
  claimedBy: string | null;
  /** Until then at most, in ms. */
  claimedUntil: number | null;
  createdAt: number;
  /** When it was registered or claimed, or began a connection, to within an hour. Connections that it has made keep it themselves. */
  updatedAt: number;
}

/** Of one integration: resources that owners name may name any number of authorization servers. */
export interface RegistrationBounds {
  /** At most so many: the one that has begun no connection for the longest time makes room. */
  most: number;
  /** At most so many of those that have begun since then. */
  mostNew: number;
  since: number;
}

export interface RegistrationStore {
  clientRegistration(id: string): Promise<ClientRegistration | undefined>;
  /**
   * The claim to register the next client, which ends by itself: of several processes, one has it. `taken`: another one has it,
   * or there is another version by now (0: there is none), or the integration is not there. `too_many`: it would be a new one
   * beyond the bounds.
   */
  claimRegistration(
    place: Pick<ClientRegistration, 'id' | 'integration' | 'issuer' | 'version'>,
    claim: { by: string; now: number; until: number },
    bounds: RegistrationBounds,
  ): Promise<'claimed' | 'taken' | 'too_many'>;
  /** The next client, by who holds the claim, which ends. False: it holds the claim no longer, and nothing was stored. */
  storeRegistration(id: string, by: string, client: Ciphertext, now: number, audit: AuditEntry): Promise<boolean>;
  /** Ends the claim without a client; where there never was one, nothing stays. Without effect where another one has it. */
  releaseRegistration(id: string, by: string): Promise<void>;
  /** It has begun a connection now. */
  touchRegistration(id: string, now: number): Promise<void>;
  /** Deletes those that have begun no connection since then, up to `limit`. True: there may be more. */
  deleteRegistrations(before: number, limit: number): Promise<boolean>;
}
