// The audit log.
import { createRoute } from '@hono/zod-openapi';
import { AuditQuery, AuditView, pageOf } from '../../api/index.ts';
import type { AuditLog } from '../../broker/audit/index.ts';
import { respond } from '../errors/respond.ts';
import { json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { presentAuditEntry } from '../presenters/audit.ts';

const list = createRoute({
  operationId: 'listAuditEntries',
  method: 'get',
  path: '/v1/audit',
  tags: ['audit'],
  summary: 'List audit entries',
  description: 'Newest first.',
  security: SECURITY,
  request: { query: AuditQuery },
  responses: { 200: json(pageOf(AuditView), 'A page of audit entries'), ...problems('forbidden') },
});

export function auditRoutes({ auditLog }: { auditLog: AuditLog }) {
  const ms = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text));
  return router().openapi(list, async (c) => {
    const { connection_id, request_id, from, to, limit, cursor, ...rest } = c.req.valid('query');
    const filter = { ...rest, connectionId: connection_id, requestId: request_id, from: ms(from), to: ms(to) };
    const found = await paged(c, { limit, cursor }, (request) => auditLog(c.get('call'), filter, request));
    return respond(c, found, (entries) => c.json(page(c, entries, presentAuditEntry), 200));
  });
}
