// Who did what to which connection, when, from where, with what outcome. Never a secret.

export interface AuditEntry {
  /** `evt_…`, ordered by time. */
  id: string;
  at: number;
  /** `connection.token_read`, `integration.put`, `connection.refreshed`, … */
  action: string;
  outcome: 'ok' | 'denied' | 'failed';
  /** The caller's id; `system` for what the broker does of itself, `browser` for what an owner does. */
  actor: string;
  /** Of the key, or of the workload identity, that the caller came with. */
  keyId: string | null;
  /** The `sub` of a workload's token. */
  subject: string | null;
  integration: string | null;
  owner: string | null;
  connectionId: string | null;
  /** The address of the client. */
  address: string | null;
  requestId: string | null;
  /** A code or a few words: why it was denied, what was changed. */
  detail: string | null;
  /** How many alike events of one second this stands for. */
  count: number;
}
