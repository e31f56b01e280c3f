// The audit log.
import { z } from '@hono/zod-openapi';
import { Id, PageQuery, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

const Outcome = z.enum(['ok', 'denied', 'failed']);
export const AuditQuery = PageQuery.extend({
  integration: z.string().max(64).optional().openapi({ description: 'At this integration', example: 'slack' }),
  owner: z.string().max(255).optional().openapi({ description: 'Of this owner', example: 'user_42' }),
  connection_id: Id.optional().openapi({ description: 'Of this connection', example: EXAMPLE.connection }),
  actor: Id.optional().openapi({ description: "A caller's id; `system`, or `browser` for an owner" }),
  action: z.string().max(64).optional().openapi({ description: 'What was done', example: 'connection.revoked' }),
  outcome: Outcome.optional().openapi({ description: 'How it ended' }),
  from: Time.optional().openapi({ description: 'Not before this time', example: EXAMPLE.made }),
  to: Time.optional().openapi({ description: 'Before this time', example: EXAMPLE.ends }),
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
  .openapi('AuditEntry', {
    example: {
      id: EXAMPLE.event,
      at: EXAMPLE.changed,
      action: 'connection.token_read',
      outcome: 'ok',
      actor: EXAMPLE.caller,
      key_id: EXAMPLE.key,
      subject: null,
      integration: EXAMPLE.integration,
      owner: EXAMPLE.owner,
      connection_id: EXAMPLE.connection,
      address: '10.1.2.3',
      request_id: EXAMPLE.request,
      detail: null,
      count: 3,
    },
  });
