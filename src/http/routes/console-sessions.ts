// Links that sign in to the browser console, and its sessions, for callers.
import { createRoute, z } from '@hono/zod-openapi';
import { ConsoleLinkPost, ConsoleLinkView, ConsoleSessionView, EXAMPLE, pageOf } from '../../api/index.ts';
import type { Console } from '../../broker/console/index.ts';
import type { ConsoleSession } from '../../domain/console.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { time, timeOrNull } from '../presenters/times.ts';

const common = { tags: ['console'], security: SECURITY };

const createLink = createRoute({
  ...common,
  operationId: 'createConsoleLink',
  method: 'post',
  path: '/v1/console-links',
  summary: 'Create a link to the console',
  description:
    'Signs in to the browser console the first who opens it within ten minutes. For the first set-up, before people sign in with an integration. Takes `admin` on everything, and all permissions of the role.',
  request: { body: body(ConsoleLinkPost) },
  responses: {
    201: json(ConsoleLinkView, 'The link, which is shown once'),
    ...problems('forbidden'),
  },
});

const list = createRoute({
  ...common,
  operationId: 'listConsoleSessions',
  method: 'get',
  path: '/v1/console-sessions',
  summary: 'List the sessions of the console',
  description: 'Those that last, and links that no one has opened, the newest first. Takes `admin:read` on everything.',
  responses: {
    200: json(pageOf(ConsoleSessionView), 'At most 500, on one page'),
    ...problems('forbidden'),
  },
});

const end = createRoute({
  ...common,
  operationId: 'endConsoleSession',
  method: 'delete',
  path: '/v1/console-sessions/{id}',
  summary: 'End a session of the console',
  description: 'At once, on every replica. Takes `admin` on everything.',
  request: { params: z.object({ id: idOf('console session', EXAMPLE.consoleSession) }) },
  responses: { 204: { description: 'It is over' }, ...problems('forbidden', 'not_found') },
});

export function consoleSessionRoutes({ sessions, url: consoleUrl }: Console) {
  return router()
    .openapi(createLink, async (c) => {
      const { role } = c.req.valid('json');
      const made = await sessions.createLink(c.get('call'), role);
      return respond(c, made, ({ secret, session: { id, expiresAt } }) =>
        c.json({ id, url: `${consoleUrl}/console/link/${secret}`, role, expires_at: time(expiresAt) }, 201),
      );
    })
    .openapi(list, async (c) =>
      respond(c, await sessions.list(c.get('call')), (data) =>
        c.json({ data: data.map(presentSession), next_cursor: null }, 200),
      ),
    )
    .openapi(end, async (c) =>
      respond(c, await sessions.end(c.get('call'), c.req.valid('param').id), () => c.body(null, 204)),
    );
}

const presentSession = (session: ConsoleSession): z.infer<typeof ConsoleSessionView> => ({
  id: session.id,
  issuer: session.issuer,
  subject: session.subject,
  name: session.name,
  role: session.role,
  address: session.address,
  created_at: time(session.createdAt),
  opened_at: timeOrNull(session.openedAt),
  last_seen_at: time(session.lastSeenAt),
  expires_at: time(session.expiresAt),
});
