// Connections whose account the provider has suspended, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { HoldReason } from '../domain/errors.ts';

/**
 * `at`: when the provider suspended or enabled the account, in ms since the epoch, by the clock of its events. The latest is stored
 * with the connection, and what is older changes nothing: events arrive late, and in any order.
 */
export interface HoldStore {
  /**
   * Turns an active connection into one that is neither claimed, due nor served, with its credentials. A refresh that is in
   * flight still commits its answer. `unchanged`: it is not active, or was enabled later than `at`.
   */
  hold(id: string, reason: HoldReason, at: number, audit: AuditEntry): Promise<{ generation: number } | 'unchanged'>;
  /**
   * Makes it active again, and due at `nextRefreshAt`, without its failures. Its access token is deleted where there is another to
   * be had, so that it is refreshed before it is served: the provider may have ended the token with the account.
   * `unchanged`: it is not on hold, or was suspended later than `at`.
   */
  release(id: string, release: Release, audit: AuditEntry): Promise<{ generation: number } | 'unchanged'>;
}

export interface Release {
  at: number;
  nextRefreshAt: number;
  /** Its access tokens are minted from credentials: another is to be had without a refresh token. */
  isMinted: boolean;
}
