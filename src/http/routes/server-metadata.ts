// The metadata of the OAuth interfaces (RFC 8414), which name only what the port that they are read at serves.
import { createRoute, type z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { ServerMetadata } from '../../api/index.ts';
import type { SigningAlgorithm } from '../../domain/signing-key.ts';
import type { Env } from '../env.ts';
import { oauthErrors } from '../openapi/oauth-errors.ts';
import { HEADERS_TOO_LARGE, json, router } from '../openapi/route-parts.ts';
import { JWKS_PATH } from './jwks.ts';

const route = createRoute({
  operationId: 'getAuthorizationServerMetadata',
  method: 'get',
  path: '/.well-known/oauth-authorization-server',
  tags: ['oauth'],
  summary: 'Get authorization server metadata',
  description:
    'The endpoints and capabilities of the OAuth interfaces (RFC 8414). With `VALETKEY_INTERNAL_PORT`, the internal port names them at the address that it was asked at, and the public port names only `jwks_uri`, since it serves no other.',
  security: [],
  responses: { 200: json(ServerMetadata, 'The metadata'), ...HEADERS_TOO_LARGE, ...oauthErrors('internal') },
});

interface Parts {
  publicUrl: string;
  /** Whether callers have a port of their own. */
  hasInternalPort: boolean;
  grantTypes: readonly { name: string }[];
  tokenPath: string;
  introspectionPath: string;
  /** Of the JWTs that are signed. */
  signingAlgorithm: SigningAlgorithm;
}

const CLIENT_AUTHENTICATION = ['client_secret_basic', 'client_secret_post'];

export function serverMetadataRoutes(parts: Parts) {
  const { publicUrl, hasInternalPort, grantTypes, tokenPath, introspectionPath, signingAlgorithm } = parts;
  const none = {
    issuer: publicUrl,
    // Published on both ports: who verifies a token need not be who may ask for one.
    jwks_uri: `${publicUrl}${JWKS_PATH}`,
    response_types_supported: [],
    grant_types_supported: [],
  };
  const at = (base: string): z.infer<typeof ServerMetadata> => ({
    ...none,
    token_endpoint: `${base}${tokenPath}`,
    introspection_endpoint: `${base}${introspectionPath}`,
    grant_types_supported: grantTypes.map(({ name }) => name),
    token_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
    introspection_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
    introspection_signing_alg_values_supported: [signingAlgorithm],
    service_documentation: `${base}/docs`,
  });
  const everywhere = at(publicUrl);

  function described(c: Context<Env>) {
    if (!hasInternalPort) return c.json(everywhere, 200);
    // The internal address is in no setting: it is the one that the client has come by, and true for no other client.
    c.header('Cache-Control', 'no-store');
    if (c.env.isPublic) return c.json(none satisfies z.infer<typeof ServerMetadata>, 200);
    const { host } = new URL(c.req.url);
    const scheme = c.req.header('x-forwarded-proto') === 'https' ? 'https' : 'http';
    return c.json(at(`${scheme}://${host}`), 200);
  }

  const routes = router();
  routes.openAPIRegistry.registerPath(route);
  routes.get(route.path, described);
  // For an issuer with a path, the well-known part goes between host and path (RFC 8414 3.1).
  const { pathname } = new URL(publicUrl);
  if (pathname !== '/') routes.get(`${route.path}${pathname}`, described);
  return routes;
}
