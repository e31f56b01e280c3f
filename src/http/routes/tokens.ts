// Reading tokens: what internal services do all day.
import { createRoute, z } from '@hono/zod-openapi';
import { EXAMPLE, OwnerTokenQuery, ProofPost, ProofView, RefreshPost, TokenQuery, TokenView } from '../../api/index.ts';
import type { DpopProofs, TokenReader } from '../../broker/tokens/index.ts';
import type { Clock } from '../../ports/index.ts';
import { granted } from '../errors/problem.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { presentProof, presentToken } from '../presenters.ts';

const params = z.object({ id: idOf('connection', EXAMPLE.connection) });
/** Of whatever has to do with the token of one connection. */
const REFUSED = [
  'forbidden',
  'not_found',
  'reauthorization_required',
  'connection_revoked',
  'integration_misconfigured',
  'provider_unavailable',
] as const;
const token = json(TokenView, 'A token that is valid for as long as asked');

const byId = createRoute({
  operationId: 'getToken',
  method: 'get',
  path: '/v1/connections/{id}/token',
  tags: ['tokens'],
  summary: 'A valid token of a connection',
  security: SECURITY,
  request: { params, query: TokenQuery },
  responses: { 200: token, ...problems(...REFUSED) },
});

const byOwner = createRoute({
  operationId: 'getTokenByOwner',
  method: 'get',
  path: '/v1/token',
  tags: ['tokens'],
  summary: "A valid token of an owner's connection",
  security: SECURITY,
  request: { query: OwnerTokenQuery },
  responses: { 200: token, ...problems(...REFUSED, 'ambiguous_connection') },
});

const refresh = createRoute({
  operationId: 'refreshToken',
  method: 'post',
  path: '/v1/connections/{id}/refresh',
  tags: ['tokens'],
  summary: 'A token after a refresh, or the newer one that is there already',
  security: SECURITY,
  request: { params, body: { ...body(RefreshPost), required: false } },
  responses: { 200: token, ...problems(...REFUSED) },
});

const prove = createRoute({
  operationId: 'createDpopProof',
  method: 'post',
  path: '/v1/connections/{id}/dpop-proof',
  tags: ['tokens'],
  summary: 'A proof for one request to an API, and the token that it goes with',
  security: SECURITY,
  request: { params, body: body(ProofPost) },
  responses: { 200: json(ProofView, 'A proof for one request (RFC 9449)'), ...problems(...REFUSED) },
});

export function tokenRoutes({
  tokens,
  dpopProofs,
  clock,
}: {
  tokens: TokenReader;
  dpopProofs: DpopProofs;
  clock: Clock;
}) {
  const seconds = (value: number | undefined) => (value === undefined ? undefined : value * 1_000);
  return router()
    .openapi(byId, async (c) => {
      const served = granted(
        await tokens.byId(c.get('call'), c.req.valid('param').id, seconds(c.req.valid('query').min_ttl)),
      );
      return c.json(presentToken(served, clock.monotonic()), 200);
    })
    .openapi(byOwner, async (c) => {
      const { integration, owner, label, min_ttl } = c.req.valid('query');
      const served = granted(await tokens.byOwner(c.get('call'), { integration, owner, label }, seconds(min_ttl)));
      return c.json(presentToken(served, clock.monotonic()), 200);
    })
    .openapi(refresh, async (c) => {
      const { rejected_token } = c.req.valid('json');
      const served = granted(await tokens.refresh(c.get('call'), c.req.valid('param').id, rejected_token));
      return c.json(presentToken(served, clock.monotonic()), 200);
    })
    .openapi(prove, async (c) => {
      const { method, url, nonce } = c.req.valid('json');
      const made = granted(await dpopProofs.make(c.get('call'), c.req.valid('param').id, { method, url, nonce }));
      return c.json(presentProof(made, clock.monotonic()), 200);
    });
}
