// Connections: list, read, import, retry, revoke.
import { createRoute, z } from '@hono/zod-openapi';
import {
  BulkRevoke,
  BulkRevoked,
  CheckView,
  ConnectionPost,
  ConnectionQuery,
  ConnectionView,
  EXAMPLE,
  ExplainedConnectionView,
  pageOf,
  Revocation,
} from '../../api/index.ts';
import type { ConnectionImport, ConnectionResource, Revoker } from '../../broker/connections/index.ts';
import type { RequestedScopes } from '../../broker/integrations/index.ts';
import type { Explanations } from '../../broker/maintenance/index.ts';
import type { ConnectionCheck } from '../../broker/proxy/index.ts';
import type { GrantRetry } from '../../broker/tokens/index.ts';
import type { Connection } from '../../domain/connection.ts';
import { Refusal } from '../../domain/errors.ts';
import { problem, respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged } from '../paging.ts';
import { presentCheck, presentConnection, presentExplanation } from '../presenters/connections.ts';

const params = z.object({ id: idOf('connection', EXAMPLE.connection) });
const common = { tags: ['connections'], security: SECURITY };

const list = createRoute({
  ...common,
  operationId: 'listConnections',
  method: 'get',
  path: '/v1/connections',
  summary: 'List connections',
  description: 'Lists the connections that the grants of the caller cover, without their credentials.',
  request: { query: ConnectionQuery },
  responses: { 200: json(pageOf(ConnectionView), 'A page of connections, oldest first'), ...problems('forbidden') },
});

const get = createRoute({
  ...common,
  operationId: 'getConnection',
  method: 'get',
  path: '/v1/connections/{id}',
  summary: 'Get a connection',
  description:
    'Without its credentials. If it does not work, `explanation` says why, since when, and who can fix it and how, as far as the replica knows that answers.',
  request: { params },
  responses: { 200: json(ExplainedConnectionView, 'The connection'), ...problems('forbidden', 'not_found') },
});

const add = createRoute({
  ...common,
  operationId: 'importConnection',
  method: 'post',
  path: '/v1/connections',
  summary: 'Import a connection',
  description:
    'Stores credentials that were obtained elsewhere: tokens, an API key, or whatever the auth mode needs. With `connection_id`, or when a live connection has that integration, owner and label, renews that connection. An import can be repeated: a refresh token that the connection was imported with does not replace its successor.',
  request: { body: body(ConnectionPost) },
  responses: {
    201: json(ConnectionView, 'The imported connection'),
    ...problems(
      'forbidden',
      'not_found',
      'connection_exists',
      'identity_mismatch',
      'connection_revoked',
      'integration_misconfigured',
      'provider_unavailable',
    ),
  },
});

const retry = createRoute({
  ...common,
  operationId: 'retryConnection',
  method: 'post',
  path: '/v1/connections/{id}/retry',
  summary: 'Retry a dead grant',
  description:
    'Refreshes a connection with status `needs_reauth` once more, with the credentials that it has, and returns it. Fails with `reauthorization_required` if the grant is still dead, or if there is nothing to try, and with `connection_on_hold` while the provider has suspended the account. An `active` connection is returned as it is.',
  request: { params },
  responses: {
    200: json(ConnectionView, 'The connection, `active`'),
    ...problems(
      'forbidden',
      'not_found',
      'reauthorization_required',
      'connection_on_hold',
      'connection_revoked',
      'integration_misconfigured',
      'provider_unavailable',
    ),
  },
});

const check = createRoute({
  ...common,
  operationId: 'checkConnection',
  method: 'post',
  path: '/v1/connections/{id}/check',
  summary: 'Check a connection',
  description:
    'Calls its API with the token, in the way that the catalogue has for it, and says whether the token works and whose account it is. Takes `connections:write`. A token that is not accepted is renewed once. A check that fails ends nothing, unless the token is of another account: then the connection becomes `needs_reauth`, with the reason `identity_changed`. No check is made unless someone asks for it; where `checks` of the provider says `billed`, the vendor charges for it.',
  request: { params },
  responses: {
    200: json(CheckView, 'What the API says'),
    ...problems(
      'forbidden',
      'not_found',
      'check_unsupported',
      'reauthorization_required',
      'connection_on_hold',
      'connection_revoked',
      'integration_misconfigured',
      'provider_unavailable',
      'rate_limited',
    ),
  },
});

const revoke = createRoute({
  ...common,
  operationId: 'revokeConnection',
  method: 'delete',
  path: '/v1/connections/{id}',
  summary: 'Revoke a connection',
  description:
    'Deletes its credentials on every replica at once, and revokes its tokens at the provider. A failed upstream revocation is retried for a week.',
  request: { params },
  responses: {
    200: json(Revocation, 'Revoked here; `upstream_revocation` is the state at the provider'),
    ...problems('forbidden', 'not_found'),
  },
});

const bulk = createRoute({
  ...common,
  operationId: 'revokeConnections',
  method: 'post',
  path: '/v1/connections/revoke',
  summary: 'Revoke connections',
  description: 'Revokes all connections of an integration, of an owner, or of both.',
  request: { body: body(BulkRevoke) },
  responses: {
    200: json(BulkRevoked, 'Revoked here; upstream revocations follow in the background'),
    ...problems('forbidden', 'not_found'),
  },
});

const replicas = (pending: number) => (pending > 0 ? { replicas_pending: pending } : {});

/** From the public names to the internal ones. What else a token response has is ignored (RFC 6749 5.1). */
function importedCredentials(given: z.infer<typeof ConnectionPost>['credentials']): ConnectionImport['credentials'] {
  const { refresh_token, access_token, id_token, token_type, expires_at, expires_in, scopes, scope, ...more } = given;
  return {
    refreshToken: refresh_token,
    accessToken: access_token,
    idToken: id_token,
    tokenType: token_type,
    expiresAt: expires_at,
    expiresIn: expires_in,
    scopes,
    scope,
    fields: typeof token_type === 'string' ? {} : (more as Record<string, string>),
  };
}

interface Parts {
  connections: ConnectionResource;
  revoker: Revoker;
  grantRetry: GrantRetry;
  check: ConnectionCheck;
  explanations: Pick<Explanations, 'ofConnection'>;
  requestedScopes: Pick<RequestedScopes, 'find'>;
}

export function connectionRoutes(parts: Parts) {
  const { connections, revoker, grantRetry, check: checks, explanations, requestedScopes } = parts;
  async function presented(connection: Connection) {
    return presentConnection(connection, await requestedScopes.find(connection.integration));
  }
  return router()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const found = await paged(c, { limit, cursor }, (request) => connections.list(c.get('call'), filter, request));
      const requested = new Map<string, readonly string[]>();
      for (const { integration } of found instanceof Refusal ? [] : found.data)
        if (!requested.has(integration)) requested.set(integration, await requestedScopes.find(integration));
      const present = (one: Connection) => presentConnection(one, requested.get(one.integration) ?? []);
      return respond(c, found, (some) => c.json(page(c, some, present), 200));
    })
    .openapi(get, async (c) => {
      const connection = await connections.get(c.get('call'), c.req.valid('param').id);
      if (connection instanceof Refusal) return problem(c, connection.fault) as never;
      const explanation = await explanations.ofConnection(connection);
      const view = { ...(await presented(connection)), explanation: explanation && presentExplanation(explanation) };
      return c.json(view, 200);
    })
    .openapi(add, async (c) => {
      const { credentials, connection_id: connectionId, ...slot } = c.req.valid('json');
      const connection = await connections.add(c.get('call'), {
        ...slot,
        connectionId,
        credentials: importedCredentials(credentials),
      });
      if (connection instanceof Refusal) return problem(c, connection.fault) as never;
      return c.json(await presented(connection), 201);
    })
    .openapi(retry, async (c) => {
      const retried = await grantRetry.retry(c.get('call'), c.req.valid('param').id);
      if (retried instanceof Refusal) return problem(c, retried.fault) as never;
      return c.json(await presented(retried), 200);
    })
    .openapi(check, async (c) => {
      const checked = await checks.check(c.get('call'), c.req.valid('param').id);
      return respond(c, checked, (found) => c.json(presentCheck(found), 200));
    })
    .openapi(revoke, async (c) => {
      const revoked = await revoker.revoke(c.get('call'), c.req.valid('param').id);
      return respond(c, revoked, ({ connection, upstream, replicasPending }) => {
        const body = { id: connection.id, status: 'revoked' as const, upstream_revocation: upstream };
        return c.json({ ...body, ...replicas(replicasPending) }, 200);
      });
    })
    .openapi(bulk, async (c) => {
      const revoked = await revoker.revokeAll(c.get('call'), c.req.valid('json'));
      return respond(c, revoked, ({ replicasPending, ...counts }) => {
        const body = { revoked: counts.pending + counts.unsupported, upstream_revocation: counts };
        return c.json({ ...body, ...replicas(replicasPending) }, 200);
      });
    });
}
