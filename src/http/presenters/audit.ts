// Presents the audit log.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { StoredAuditEntry } from '../../domain/audit.ts';
import { time } from './times.ts';

export const presentAuditEntry = (e: StoredAuditEntry): z.infer<typeof api.AuditView> => ({
  id: e.id,
  at: time(e.at),
  action: e.action,
  outcome: e.outcome,
  actor: e.actor,
  key_id: e.keyId,
  subject: e.subject,
  integration: e.integration,
  owner: e.owner,
  connection_id: e.connectionId,
  address: e.address,
  request_id: e.requestId,
  client_request_id: e.clientRequestId,
  trace_id: e.traceId,
  detail: e.detail,
  changed: e.changed?.split(' ') ?? null,
  session: e.session,
  agent: e.agentId === null ? null : { id: e.agentId, name: e.agentName },
  purpose: e.purpose,
  count: e.count,
});
