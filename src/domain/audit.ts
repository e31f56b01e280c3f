// Who did what to which connection, when, from where, with what outcome. Never a secret.
import type { AuditAction } from './audit-actions.ts';

/** An entry as this version writes it. */
export interface AuditEntry {
  /** `evt_…`, ordered by time. */
  id: string;
  /** ms since the epoch. */
  at: number;
  action: AuditAction;
  outcome: 'ok' | 'denied' | 'failed';
  /** The caller's id; `system` for the broker itself, `browser` for an owner, `stranger` for who is not known. */
  actor: string;
  /** The id of the key or workload identity that authenticated the caller. */
  keyId: string | null;
  /** The `sub` of a workload's token. */
  subject: string | null;
  integration: string | null;
  owner: string | null;
  connectionId: string | null;
  /** The address of the client. */
  address: string | null;
  /** Of our own making. */
  requestId: string | null;
  /** What the client calls its request (`X-Request-Id`). */
  clientRequestId: string | null;
  /** Of the trace that the request belongs to (W3C Trace Context). */
  traceId: string | null;
  /** A code or a few words: why it was denied, what changed. */
  detail: string | null;
  /** The names of the members that were changed, separated by spaces. */
  changed: string | null;
  /** The agent session that acted, or that was made or ended. */
  session: string | null;
  /** Who acts with it, as its caller named them. */
  agentId: string | null;
  agentName: string | null;
  /** What it is for. */
  purpose: string | null;
  /** The number of equal events within one second that this entry stands for. */
  count: number;
}

/** An entry as it is read: another version may have written it, with actions that this one does not know. */
export interface StoredAuditEntry extends Omit<AuditEntry, 'action'> {
  action: string;
}

/** Which refreshes are recorded in the audit log: of those that changed nothing but tokens, all or none. */
export type RecordedRefreshes = 'all' | 'changes';
