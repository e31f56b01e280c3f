// Revocations, here and at the provider, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { Account, Connection, UpstreamRevocation } from '../domain/connection.ts';
import type { PageRequest, PendingRevocation, ReadIntegration } from './rows.ts';

export interface RevocationStore {
  /**
   * Turns a connection into a tombstone: `revoked`, its credentials, lease, intent, unreadable responses and captured calls deleted. Connect
   * sessions that await the finish of another grant for it, or for its place, are cancelled. When `upstream` is
   * `pending`, its tokens move to a pending revocation due at `firstTryAt`. `already`: it was revoked before, and nothing
   * changed. Undefined: absent. `movesSource`: so does where its grant comes from (`credentials`).
   */
  revoke(
    id: string,
    upstream: 'pending' | 'unsupported',
    firstTryAt: number,
    audit: AuditEntry,
    movesSource?: boolean,
  ): Promise<{ connection: Connection; already: boolean; pending: PendingRevocation | null } | undefined>;
  /**
   * For tokens that arrived after their connection was revoked. False: nothing was stored, since the integration is not there, or
   * is not the one that was read (`of`), and leads elsewhere.
   */
  addPendingRevocation(revocation: PendingRevocation, of?: ReadIntegration): Promise<boolean>;
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
  /**
   * Deletes tombstones that have not changed since `before` and have no revocation pending, with whatever else is stored of
   * these connections but audit entries and events. Each page examines `limit` tombstones, and names the next one's cursor;
   * one that another operation is changing is left out.
   */
  purgeTombstones(before: number, page: PageRequest): Promise<{ purged: number; next: string | null }>;
}
