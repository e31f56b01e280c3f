// Token reads, refreshes and DPoP proofs.
import { createRoute, z } from '@hono/zod-openapi';
import { EXAMPLE, OwnerTokenQuery, ProofPost, ProofView, RefreshPost, TokenQuery, TokenView } from '../../api/index.ts';
import type { ServedToken } from '../../broker/cache/index.ts';
import type { RequestedScopes } from '../../broker/integrations/index.ts';
import type { Tokens } from '../../broker/tokens/index.ts';
import { Refusal } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { presentProof, presentToken } from '../presenters/tokens.ts';
import { toChallenge } from '../setups.ts';

const params = z.object({ id: idOf('connection', EXAMPLE.connection) });
/** What every request for the token of one connection may be refused with. */
const REFUSED = [
  'forbidden',
  'not_found',
  'reauthorization_required',
  'connection_on_hold',
  'connection_revoked',
  'integration_misconfigured',
  'provider_unavailable',
] as const;
const token = json(TokenView, 'An access token that is valid for at least `min_ttl` seconds');

const byId = createRoute({
  operationId: 'getToken',
  method: 'get',
  path: '/v1/connections/{id}/token',
  tags: ['tokens'],
  summary: 'Get a token by connection id',
  description: 'Returns a valid access token, refreshing it first if it expires within `min_ttl` seconds.',
  security: SECURITY,
  request: { params, query: TokenQuery },
  responses: { 200: token, ...problems(...REFUSED) },
});

const byOwner = createRoute({
  operationId: 'getTokenByOwner',
  method: 'get',
  path: '/v1/token',
  tags: ['tokens'],
  summary: 'Get a token by owner',
  description:
    "Returns a valid access token of an owner's connection at an integration. Fails with `ambiguous_connection` if the owner has several and no `label` is given.",
  security: SECURITY,
  request: { query: OwnerTokenQuery },
  responses: { 200: token, ...problems(...REFUSED, 'ambiguous_connection') },
});

const refresh = createRoute({
  operationId: 'refreshToken',
  method: 'post',
  path: '/v1/connections/{id}/refresh',
  tags: ['tokens'],
  summary: 'Refresh a token',
  description:
    'Refreshes the access token at the provider and returns the new one. With `rejected_token`, if another token is stored by now, returns that one without calling the provider. The rejected token is never returned: if there is no other one, the answer is 503. For a caller with `admin` on the connection, the provider is called even while it asks to wait or its circuit breaker is open.',
  security: SECURITY,
  request: { params, body: { ...body(RefreshPost), required: false } },
  responses: { 200: token, ...problems(...REFUSED) },
});

const prove = createRoute({
  operationId: 'createDpopProof',
  method: 'post',
  path: '/v1/connections/{id}/dpop-proof',
  tags: ['tokens'],
  summary: 'Create a DPoP proof',
  description:
    'Signs a DPoP proof for one request to an API (RFC 9449), and returns the access token that it is bound to.',
  security: SECURITY,
  request: { params, body: body(ProofPost) },
  responses: { 200: json(ProofView, 'The proof and its access token'), ...problems(...REFUSED) },
});

interface Parts extends Pick<Tokens, 'reader' | 'dpopProofs'> {
  requestedScopes: Pick<RequestedScopes, 'find'>;
  clock: Clock;
}

export function tokenRoutes({ reader, dpopProofs, requestedScopes, clock }: Parts) {
  /** What the integration of the token asks for. */
  const requestedFor = async (read: ServedToken | Refusal) =>
    read instanceof Refusal ? [] : requestedScopes.find(read.connection.integration);
  const msOf = (seconds: number | undefined) => (seconds === undefined ? undefined : seconds * 1_000);
  return router()
    .openapi(byId, async (c) => {
      const read = await reader.read(c.get('call'), c.req.valid('param').id, msOf(c.req.valid('query').min_ttl));
      const requested = await requestedFor(read);
      return respond(c, read, (served) => c.json(presentToken(served, requested, clock), 200));
    })
    .openapi(byOwner, async (c) => {
      const { integration, owner, label, min_ttl } = c.req.valid('query');
      const read = await reader.read(c.get('call'), { integration, owner, label }, msOf(min_ttl));
      const requested = await requestedFor(read);
      return respond(c, read, (served) => c.json(presentToken(served, requested, clock), 200));
    })
    .openapi(refresh, async (c) => {
      const { rejected_token, challenge } = c.req.valid('json');
      const why = { rejectedToken: rejected_token, challenge: toChallenge(challenge) };
      const refreshed = await reader.refresh(c.get('call'), c.req.valid('param').id, why);
      const requested = await requestedFor(refreshed);
      return respond(c, refreshed, (served) => c.json(presentToken(served, requested, clock), 200));
    })
    .openapi(prove, async (c) => {
      const { method, url, nonce } = c.req.valid('json');
      const made = await dpopProofs.create(c.get('call'), c.req.valid('param').id, { method, url, nonce });
      return respond(c, made, (proof) => c.json(presentProof(proof, clock), 200));
    });
}
