// Connect sessions: invite an owner, then look up the outcome.
import { createRoute, z } from '@hono/zod-openapi';
import { EXAMPLE, SessionCreated, SessionPost, SessionView } from '../../api/index.ts';
import type { ConnectSessions } from '../../broker/connections/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { presentConnectSession, time } from '../presenters.ts';

const common = { tags: ['connect sessions'], security: SECURITY };

const create = createRoute({
  ...common,
  operationId: 'createConnectSession',
  method: 'post',
  path: '/v1/connect-sessions',
  summary: 'Create a connect session',
  description:
    "Creates a single-use link with which an owner's browser creates or renews one connection. It expires after ten minutes.",
  request: { body: body(SessionPost) },
  responses: {
    201: json(SessionCreated, 'The connect session. Send the owner to `url`, which only this response shows'),
    ...problems('forbidden', 'not_found', 'connection_revoked', 'integration_misconfigured'),
  },
});

const get = createRoute({
  ...common,
  operationId: 'getConnectSession',
  method: 'get',
  path: '/v1/connect-sessions/{id}',
  summary: 'Get a connect session',
  description: 'Its status, and the connection or the error that it ended with.',
  request: { params: z.object({ id: idOf('connect session', EXAMPLE.session) }) },
  responses: { 200: json(SessionView, 'The connect session'), ...problems('forbidden', 'not_found') },
});

export function sessionRoutes({ sessions }: { sessions: ConnectSessions }) {
  return router()
    .openapi(create, async (c) => {
      const { return_url, connection_id, replace_scopes, display_owner, code_challenge, ...rest } = c.req.valid('json');
      const wanted = {
        ...rest,
        returnUrl: return_url,
        connectionId: connection_id,
        replaceScopes: replace_scopes,
        displayOwner: display_owner,
        codeChallenge: code_challenge,
      };
      return respond(c, await sessions.create(c.get('call'), wanted), ({ session, url }) =>
        c.json({ id: session.id, url, status: 'pending' as const, expires_at: time(session.expiresAt) }, 201),
      );
    })
    .openapi(get, async (c) => {
      const session = await sessions.get(c.get('call'), c.req.valid('param').id);
      return respond(c, session, (found) => c.json(presentConnectSession(found), 200));
    });
}
