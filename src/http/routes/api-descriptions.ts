// How the API of a connection is called.
import { createRoute, z } from '@hono/zod-openapi';
import { ApiDescriptionView, EXAMPLE, OwnerApiQuery } from '../../api/index.ts';
import type { ApiDescriptions } from '../../broker/proxy/index.ts';
import { respond } from '../errors/respond.ts';
import { idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { presentDescribedApi } from '../presenters/connections.ts';

const REFUSED = [
  'forbidden',
  'not_found',
  'reauthorization_required',
  'connection_on_hold',
  'connection_revoked',
  'integration_misconfigured',
  'provider_unavailable',
] as const;

const described = json(ApiDescriptionView, 'Its base URLs, how its lists go on, and where an idempotency key goes');
const WHY =
  'For clients: with it, they map links in the answers of the API back to the proxy. Takes `proxy`, for any method and path.';

const byId = createRoute({
  operationId: 'describeApi',
  method: 'get',
  path: '/v1/connections/{id}/api',
  tags: ['proxy'],
  summary: 'Describe the API of a connection',
  description: WHY,
  security: SECURITY,
  request: { params: z.object({ id: idOf('connection', EXAMPLE.connection) }) },
  responses: { 200: described, ...problems(...REFUSED) },
});

const byOwner = createRoute({
  operationId: 'describeApiByOwner',
  method: 'get',
  path: '/v1/api',
  tags: ['proxy'],
  summary: 'Describe the API of a connection, by owner',
  description: WHY,
  security: SECURITY,
  request: { query: OwnerApiQuery },
  responses: { 200: described, ...problems(...REFUSED, 'ambiguous_connection') },
});

export function apiDescriptionRoutes({ proxy }: { proxy: ApiDescriptions }) {
  return router()
    .openapi(byId, async (c) =>
      respond(c, await proxy.describe(c.get('call'), c.req.valid('param').id), (api) =>
        c.json(presentDescribedApi(api), 200),
      ),
    )
    .openapi(byOwner, async (c) =>
      respond(c, await proxy.describe(c.get('call'), c.req.valid('query')), (api) =>
        c.json(presentDescribedApi(api), 200),
      ),
    );
}
