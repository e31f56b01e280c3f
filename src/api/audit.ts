// The audit log.
import { z } from '@hono/zod-openapi';
import { Id, PageQuery, Time } from './common.ts';

const Outcome = z.enum(['ok', 'denied', 'failed']);
export const AuditQuery = PageQuery.extend({
  integration: z.string().max(64).optional(),
  owner: z.string().max(255).optional(),
  connection_id: Id.optional(),
  actor: Id.optional(),
  action: z.string().max(64).optional(),
  outcome: Outcome.optional(),
  from: Time.optional(),
  to: Time.optional(),
});
export const AuditView = z
  .object({
    id: z.string(),
    at: Time,
    action: z.string(),
    outcome: Outcome,
    actor: z.string().openapi({ description: "A caller's id; `system`, or `browser` for an owner" }),
    key_id: z.string().nullable().openapi({ description: 'Of the key or workload identity that the caller came with' }),
    subject: z.string().nullable().openapi({ description: "The `sub` of a workload's token" }),
    integration: z.string().nullable(),
    owner: z.string().nullable(),
    connection_id: z.string().nullable(),
    address: z.string().nullable(),
    request_id: z.string().nullable(),
    detail: z.string().nullable(),
    count: z.int().openapi({ description: 'How many alike events of one second it stands for' }),
  })
  .openapi('AuditEntry');
