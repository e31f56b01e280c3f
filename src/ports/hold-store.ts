// Connections whose account the provider has suspended, as a store keeps them.
import type { AuditEntry } from '../domain/audit.ts';
import type { HoldReason } from '../domain/errors.ts';

export interface HoldStore {
  /**
   * Turns an active connection into one that is neither claimed, due nor served, with its credentials. A refresh that is in
   * flight still commits its answer. `unchanged`: it is not active.
   */
  hold(id: string, reason: HoldReason, audit: AuditEntry): Promise<{ generation: number } | 'unchanged'>;
  /**
   * Makes it active again, and due at `nextRefreshAt`, without its failures. Its access token is deleted where it can be
   * refreshed, so that it is refreshed before it is served: the provider may have ended the token with the account.
   * `unchanged`: it is not on hold.
   */
  release(id: string, nextRefreshAt: number, audit: AuditEntry): Promise<{ generation: number } | 'unchanged'>;
}
