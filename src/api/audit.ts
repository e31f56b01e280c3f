// The audit log.
import { z } from '@hono/zod-openapi';
import { AUDIT_ACTIONS } from '../domain/audit-actions.ts';
import { Id, PageQuery, Time } from './common.ts';
import { EXAMPLE } from './examples.ts';

const ACTIONS = Object.keys(AUDIT_ACTIONS)
  .map((action) => `\`${action}\``)
  .join(', ');

const Outcome = z.enum(['ok', 'denied', 'failed']);
export const AuditQuery = PageQuery.extend({
  integration: z
    .string()
    .max(64)
    .optional()
    .openapi({ description: 'Only entries of this integration', example: 'slack' }),
  owner: z.string().max(255).optional().openapi({ description: 'Only entries of this owner', example: 'user_42' }),
  connection_id: Id.optional().openapi({ description: 'Only entries of this connection', example: EXAMPLE.connection }),
  actor: Id.optional().openapi({
    description: 'Only entries of this actor: a caller id, `system`, `browser` (an owner), or `stranger`',
  }),
  action: z
    .string()
    .max(64)
    .optional()
    .openapi({ description: `Only entries of this action: ${ACTIONS}`, example: 'connection.revoked' }),
  outcome: Outcome.optional().openapi({ description: 'Only entries with this outcome' }),
  session: Id.optional().openapi({
    description: 'Only entries of this agent session',
    example: EXAMPLE.agentSession,
  }),
  request_id: Id.optional().openapi({
    description: 'Only entries of this request. Say a time as well: all entries within it are looked through',
    example: EXAMPLE.request,
  }),
  from: Time.optional().openapi({ description: 'Only entries at or after this time', example: EXAMPLE.made }),
  to: Time.optional().openapi({ description: 'Only entries before this time', example: EXAMPLE.ends }),
});
export const AuditView = z
  .object({
    id: z.string(),
    at: Time,
    action: z.string().openapi({ description: 'What was done; more actions may come with later versions' }),
    outcome: Outcome,
    actor: z.string().openapi({
      description: 'A caller id, `system`, `browser` (an owner), or `stranger` (someone who is not known)',
    }),
    key_id: z
      .string()
      .nullable()
      .openapi({ description: 'The key or workload identity that authenticated the caller' }),
    subject: z.string().nullable().openapi({ description: 'The `sub` of the workload token' }),
    integration: z.string().nullable(),
    owner: z.string().nullable(),
    connection_id: z.string().nullable(),
    address: z.string().nullable(),
    request_id: z.string().nullable().openapi({ description: 'The id that the broker gave the request' }),
    client_request_id: z
      .string()
      .nullable()
      .openapi({ description: 'The `X-Request-Id` of the client, if it sent a plain one' }),
    trace_id: z
      .string()
      .nullable()
      .openapi({ description: 'The trace of the request, from `traceparent` (W3C Trace Context)' }),
    detail: z.string().nullable(),
    changed: z
      .array(z.string())
      .nullable()
      .openapi({ description: 'Of a change of an integration or a caller: the members that were changed, by name' }),
    session: z.string().nullable().openapi({ description: 'The agent session that acted, or that was made or ended' }),
    agent: z
      .object({ id: z.string(), name: z.string().nullable() })
      .nullable()
      .openapi({ description: 'Who acts with the session: its `actor`' }),
    purpose: z.string().nullable().openapi({ description: 'What the session is for' }),
    count: z.int().openapi({
      description:
        'How many identical events within one second, or of strangers within one minute, this entry stands for',
    }),
  })
  .openapi('AuditEntry', {
    example: {
      id: EXAMPLE.event,
      at: EXAMPLE.changed,
      action: 'token.read',
      outcome: 'ok',
      actor: EXAMPLE.caller,
      key_id: EXAMPLE.key,
      subject: null,
      integration: EXAMPLE.integration,
      owner: EXAMPLE.owner,
      connection_id: EXAMPLE.connection,
      address: '10.1.2.3',
      request_id: EXAMPLE.request,
      client_request_id: 'order-1742',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      detail: null,
      changed: null,
      session: EXAMPLE.agentSession,
      agent: { id: 'release-notes', name: 'Release notes agent' },
      purpose: 'Summarise the channel of the release',
      count: 3,
    },
  });
