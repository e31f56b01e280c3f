// Agent sessions: credentials for the processes beside a model.
import { createRoute, z } from '@hono/zod-openapi';
import {
  AgentSessionCreated,
  AgentSessionPost,
  AgentSessionQuery,
  AgentSessionsEnd,
  AgentSessionsEnded,
  AgentSessionView,
  EXAMPLE,
  pageOf,
} from '../../api/index.ts';
import type { AgentSessionRequest, AgentSessions } from '../../broker/agents/index.ts';
import type { Clock } from '../../ports/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { presentAgentSession } from '../presenters/callers.ts';

const params = z.object({ id: idOf('session', EXAMPLE.agentSession) });
const common = { tags: ['sessions'], security: SECURITY };

const create = createRoute({
  ...common,
  operationId: 'createSession',
  method: 'post',
  path: '/v1/sessions',
  summary: 'Create a session',
  description:
    'A short-lived credential of one owner at a few integrations, for a process that should not hold a caller key, such as an agent. The caller needs `sessions`, and all that the session is to do. It is within the grants that the caller has at each use: they can only make it narrower. It ends by itself, with the caller, with the key or the session that made it, and when the owner is signed out or suspended at the provider.',
  request: { body: body(AgentSessionPost) },
  responses: {
    201: json(AgentSessionCreated, 'The session. Only this response shows its `token`'),
    ...problems('forbidden', 'not_found'),
  },
});

const list = createRoute({
  ...common,
  operationId: 'listSessions',
  method: 'get',
  path: '/v1/sessions',
  summary: 'List sessions',
  description:
    'Those that were made with the caller, and those whose owner and integrations its grants cover with `sessions`, the newest first; who may read everything sees all. Sessions that are over are shown for a day.',
  request: { query: AgentSessionQuery },
  responses: { 200: json(pageOf(AgentSessionView), 'A page of sessions'), ...problems() },
});

const get = createRoute({
  ...common,
  operationId: 'getSession',
  method: 'get',
  path: '/v1/sessions/{id}',
  summary: 'Get a session',
  request: { params },
  responses: { 200: json(AgentSessionView, 'The session'), ...problems('not_found') },
});

const end = createRoute({
  ...common,
  operationId: 'endSession',
  method: 'delete',
  path: '/v1/sessions/{id}',
  summary: 'End a session',
  description:
    'With all sessions that were made with it. Takes effect at once, and on every replica within half a second: calls that run are broken off. One that is over stays as it is. A session may end itself.',
  request: { params },
  responses: { 200: json(AgentSessionView, 'The session'), ...problems('forbidden', 'not_found') },
});

const endAll = createRoute({
  ...common,
  operationId: 'endSessionsOfOwner',
  method: 'delete',
  path: '/v1/sessions',
  summary: 'End all sessions of an owner',
  description: 'Those that the caller may end, such as when the owner signs out.',
  request: { query: AgentSessionsEnd },
  responses: { 200: json(AgentSessionsEnded, 'How many were ended'), ...problems('forbidden') },
});

/** From the public names to the internal ones. */
export const sessionRequestOf = ({
  max_uses: maxUses,
  actor,
  format: _,
  ...rest
}: z.infer<typeof AgentSessionPost>): AgentSessionRequest => ({
  ...rest,
  agent: actor && { id: actor.id, name: actor.name ?? null },
  maxUses,
});

export function agentSessionRoutes({ agentSessions, clock }: { agentSessions: AgentSessions; clock: Clock }) {
  const present = (session: Parameters<typeof presentAgentSession>[0]) => presentAgentSession(session, clock.now());
  return router()
    .openapi(create, async (c) => {
      const created = await agentSessions.create(c.get('call'), sessionRequestOf(c.req.valid('json')));
      return respond(c, created, ({ session, token }) => c.json({ ...present(session), token }, 201));
    })
    .openapi(list, async (c) => {
      const { limit, cursor, owner, status, caller_id: callerId } = c.req.valid('query');
      const filter = { owner, callerId, isLive: status === 'active' };
      const found = await paged(c, { limit, cursor }, (request) => agentSessions.list(c.get('call'), filter, request));
      return respond(c, found, (some) => c.json(page(c, some, present), 200));
    })
    .openapi(get, async (c) => {
      const session = await agentSessions.get(c.get('call'), c.req.valid('param').id);
      return respond(c, session, (found) => c.json(present(found), 200));
    })
    .openapi(end, async (c) => {
      const session = await agentSessions.end(c.get('call'), c.req.valid('param').id);
      return respond(c, session, (found) => c.json(present(found), 200));
    })
    .openapi(endAll, async (c) => {
      const ended = await agentSessions.endOf(c.get('call'), c.req.valid('query').owner);
      return respond(c, ended, (count) => c.json({ ended: count }, 200));
    });
}
