// Connect sessions: invite an owner, finish what was consented, look up the outcome, cancel.
import { createRoute, z } from '@hono/zod-openapi';
import {
  EXAMPLE,
  pageOf,
  SessionCreated,
  SessionFinish,
  SessionFinished,
  SessionPost,
  SessionQuery,
  SessionView,
} from '../../api/index.ts';
import type { ConnectSessions } from '../../broker/connections/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { presentConnectSession } from '../presenters/connections.ts';
import { time } from '../presenters/times.ts';
import { toChallenge } from '../setups.ts';

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
    ...problems(
      'forbidden',
      'not_found',
      'connection_revoked',
      'reauthorization_required',
      'step_up_exhausted',
      'integration_misconfigured',
      'provider_unavailable',
    ),
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

const finish = createRoute({
  ...common,
  operationId: 'finishConnectSession',
  method: 'post',
  path: '/v1/connect-sessions/{id}/finish',
  summary: 'Finish a connect session',
  description:
    'The second phase of a session with `finish`: connects the account if `owner`, who is signed in now, is the owner of the session. Answers the same again for the same code. Another owner, and the third wrong code or verifier, end the session; its grant is then destroyed and revoked at the provider.',
  request: { params: z.object({ id: idOf('connect session', EXAMPLE.session) }), body: body(SessionFinish) },
  responses: {
    200: json(SessionFinished, 'The account is connected'),
    ...problems(
      'invalid_finish_code',
      'invalid_code_verifier',
      'forbidden',
      'owner_mismatch',
      'not_found',
      'not_ready',
      'identity_mismatch',
      'session_expired',
      'connection_revoked',
      'integration_misconfigured',
      'provider_unavailable',
    ),
  },
});

const list = createRoute({
  ...common,
  operationId: 'listConnectSessions',
  method: 'get',
  path: '/v1/connect-sessions',
  summary: 'List connect sessions',
  description:
    'Lists the connect sessions of the last day that the grants of the caller cover, without their links and codes.',
  request: { query: SessionQuery },
  responses: { 200: json(pageOf(SessionView), 'A page of connect sessions, oldest first'), ...problems('forbidden') },
});

const cancel = createRoute({
  ...common,
  operationId: 'cancelConnectSession',
  method: 'delete',
  path: '/v1/connect-sessions/{id}',
  summary: 'Cancel a connect session',
  description:
    'Its link stops working at once, and a grant that waits for its finish is destroyed and revoked at the provider. A session that failed and that its owner may still try again is cancelled, too. One that has ended otherwise stays as it is: `status` says how it ended.',
  request: { params: z.object({ id: idOf('connect session', EXAMPLE.session) }) },
  responses: { 200: json(SessionView, 'The connect session'), ...problems('forbidden', 'not_found') },
});

export function sessionRoutes({ sessions }: { sessions: ConnectSessions }) {
  return router()
    .openapi(create, async (c) => {
      const {
        return_url,
        connection_id,
        replace_scopes,
        display_owner,
        code_challenge,
        ui_locales,
        challenge,
        ...rest
      } = c.req.valid('json');
      const wanted = {
        ...rest,
        returnUrl: return_url,
        connectionId: connection_id,
        replaceScopes: replace_scopes,
        displayOwner: display_owner,
        codeChallenge: code_challenge,
        uiLocales: ui_locales,
        challenge: toChallenge(challenge),
      };
      return respond(c, await sessions.create(c.get('call'), wanted), ({ session, url }) =>
        c.json({ id: session.id, url, status: 'pending' as const, expires_at: time(session.expiresAt) }, 201),
      );
    })
    .openapi(get, async (c) => {
      const session = await sessions.get(c.get('call'), c.req.valid('param').id);
      return respond(c, session, (found) => c.json(presentConnectSession(found), 200));
    })
    .openapi(finish, async (c) => {
      const { finish_code: finishCode, code_verifier: codeVerifier, owner } = c.req.valid('json');
      const wanted = { finishCode, codeVerifier, owner };
      const finished = await sessions.finish(c.get('call'), c.req.valid('param').id, wanted);
      return respond(c, finished, ({ connectionId, account }) =>
        c.json({ status: 'completed' as const, connection_id: connectionId, account }, 200),
      );
    })
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const found = await paged(c, { limit, cursor }, (request) => sessions.list(c.get('call'), filter, request));
      return respond(c, found, (some) => c.json(page(c, some, presentConnectSession), 200));
    })
    .openapi(cancel, async (c) => {
      const session = await sessions.cancel(c.get('call'), c.req.valid('param').id);
      return respond(c, session, (found) => c.json(presentConnectSession(found), 200));
    });
}
