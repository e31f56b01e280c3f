// Which audit entry is an event, and what the event says.
import type { AuditEntry } from './audit.ts';
import type { AuditAction } from './audit-actions.ts';
import type { Connection } from './connection.ts';
import type { EventType, NewEvent } from './events.ts';

const EVENT_OF: ReadonlyMap<AuditAction, EventType> = new Map<AuditAction, EventType>([
  ['connection.created', 'connection.created'],
  ['connection.imported', 'connection.created'],
  ['connection.renewed', 'connection.reconnected'],
  ['connection.reactivated', 'connection.reactivated'],
  ['connection.retried', 'connection.reactivated'],
  ['connection.released', 'connection.reactivated'],
  ['connection.needs_reauth', 'connection.needs_reauth'],
  ['connection.deauthorized', 'connection.needs_reauth'],
  ['connection.held', 'connection.on_hold'],
  ['connection.revoked', 'connection.revoked'],
  ['connection.reauth_due', 'connection.reauth_due'],
  ['connection.check_failed', 'connection.check_failed'],
  ['integration.misconfigured', 'integration.misconfigured'],
  ['integration.recovered', 'integration.recovered'],
]);

/** Undefined: no one is told. What was refused changed nothing. */
export const eventTypeOf = ({ action, outcome }: Pick<AuditEntry, 'action' | 'outcome'>): EventType | undefined =>
  outcome === 'denied' ? undefined : EVENT_OF.get(action);

type EventConnection = Pick<
  Connection,
  'id' | 'integration' | 'owner' | 'label' | 'status' | 'reason' | 'account' | 'reauthDueAt'
>;

/** `connection` of the data of every event that means one. */
export const connectionData = ({ id, integration, owner, label, status, reason, account }: EventConnection) => ({
  id,
  integration,
  owner,
  label: label === '' ? null : label,
  status,
  reason,
  account,
});

/** One event for one audit entry: the id is as unique, and as ordered. */
const eventIdOf = ({ id }: Pick<AuditEntry, 'id'>): string => id.replace(/^(evt_)?/, 'msg_');

const timeOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** The event of an audit entry, from the connection as the entry's commit leaves it. */
export function eventOfConnection(type: EventType, audit: AuditEntry, connection: EventConnection): NewEvent {
  const { id, integration, owner, reason, reauthDueAt } = connection;
  return {
    id: eventIdOf(audit),
    type,
    at: audit.at,
    integration,
    owner,
    connectionId: id,
    callerId: null,
    endpointId: null,
    data: {
      connection: connectionData(connection),
      ...(type === 'connection.needs_reauth' && { reason }),
      ...(type === 'connection.on_hold' && { reason }),
      ...(type === 'connection.reauth_due' && { reauth_due_at: timeOf(reauthDueAt) }),
      ...(type === 'connection.check_failed' && { reason: audit.detail }),
    },
    body: null,
  };
}

/** The event of an audit entry that concerns an integration and all of its owners. */
export const eventOfIntegration = (type: EventType, audit: AuditEntry): NewEvent => ({
  id: eventIdOf(audit),
  type,
  at: audit.at,
  integration: audit.integration,
  owner: null,
  connectionId: null,
  callerId: null,
  endpointId: null,
  data: { integration: { id: audit.integration }, error: audit.detail },
  body: null,
});
