// The public keys of the JWTs that the broker signs (RFC 7517), for those who verify them.
import { createRoute, type z } from '@hono/zod-openapi';
import { JwkSet } from '../../api/index.ts';
import type { Signing } from '../../broker/signing/index.ts';
import { JWKS_MAX_AGE_S } from '../../domain/time-limits.ts';
import { oauthErrors } from '../openapi/oauth-errors.ts';
import { HEADERS_TOO_LARGE, json, router } from '../openapi/route-parts.ts';

export const JWKS_PATH = '/oauth2/jwks';

const route = createRoute({
  operationId: 'getJwks',
  method: 'get',
  path: JWKS_PATH,
  tags: ['oauth'],
  summary: 'Get the public keys of signed JWTs',
  description:
    'The keys of the JWTs that the broker signs: the one that signs first, then the next one, if it is published already, and those that have signed tokens that may still be valid. Verifiers may cache them for `max-age`: a new key is published for longer than that before it signs.',
  security: [],
  responses: {
    200: json(JwkSet, 'The keys'),
    ...HEADERS_TOO_LARGE,
    ...oauthErrors('internal', 'store_unavailable'),
  },
});

export function jwksRoutes({ published }: Pick<Signing, 'published'>) {
  const routes = router();
  routes.openAPIRegistry.registerPath(route);
  routes.get(JWKS_PATH, async (c) => {
    const keys = (await published()) as z.infer<typeof JwkSet>;
    c.header('Cache-Control', `public, max-age=${JWKS_MAX_AGE_S}`);
    return c.json(keys, 200);
  });
  return routes;
}
