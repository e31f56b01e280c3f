// The description of calls through the proxy. They are served past the framework, for every method.
import { z } from '@hono/zod-openapi';
import { EXAMPLE } from '../../api/index.ts';
import { idOf, problems, router, SECURITY } from './route-parts.ts';

/** Described one by one; every other method is passed on as well. */
const METHODS = { get: 'Get', post: 'Post', put: 'Put', patch: 'Patch', delete: 'Delete' } as const;

const REFUSED = [
  'invalid_path',
  'forbidden',
  'not_found',
  'reauthorization_required',
  'connection_on_hold',
  'connection_revoked',
  'upstream_rate_limited',
  'upgrade_not_supported',
  'integration_misconfigured',
  'provider_unavailable',
  'upstream_unavailable',
  'upstream_timeout',
] as const;

const path = z.string().openapi({
  description:
    'The path below the base URL of the API, slashes included, and the query. Normalised; a path that could be read as another one is refused.',
  example: 'user',
});

const common = {
  'Valetkey-Host': z.string().optional().openapi({
    description: 'The alias of another host of the API. Default: its base URL',
    example: 'files',
  }),
  'Valetkey-Retry': z.string().optional().openapi({
    description:
      'How often the call may be repeated, 0 to 5: only where that is safe (by its method, or by the idempotency header of the API), before the first byte of the response. Default: 0',
    example: '2',
  }),
  'Valetkey-Max-Wait': z.string().optional().openapi({
    description: 'Seconds that the call may wait for a limit of the API, at most 300. Default: 0',
    example: '10',
  }),
};

const owner = {
  'Valetkey-Owner': z.string().openapi({ description: 'The owner, percent-encoded UTF-8', example: 'user_42' }),
  'Valetkey-Label': z.string().optional().openapi({
    description: 'The label, percent-encoded UTF-8, where the owner has several connections',
    example: 'work',
  }),
};

const DESCRIPTION =
  "Sends the request to the API of the connection, with its token attached, and passes the response on as it is, redirects and errors included. Any method may be used, and any body; both bodies are streamed. Problems of the broker's own have the header `Valetkey-Error: 1`.";

const response = {
  description: 'The response of the API, with its own status, headers and body',
  headers: z.object({
    'Valetkey-Request-Id': z.string().openapi({ description: 'The id of this call in the log' }),
    'Valetkey-Attempts': z.string().openapi({ description: 'How often it was sent' }),
  }),
};

/** Serves nothing: it only describes. */
export function proxyOperations() {
  const app = router();
  for (const [method, name] of Object.entries(METHODS) as [keyof typeof METHODS, string][]) {
    const shared = {
      method,
      tags: ['proxy'],
      description: DESCRIPTION,
      security: SECURITY,
    };
    app.openAPIRegistry.registerPath({
      ...shared,
      operationId: `proxy${name}`,
      path: '/v1/connections/{id}/proxy/{path}',
      summary: `${method.toUpperCase()} at the API of a connection`,
      request: {
        params: z.object({ id: idOf('connection', EXAMPLE.connection), path }),
        headers: z.object(common),
      },
      responses: { 200: response, ...problems(...REFUSED) },
    });
    app.openAPIRegistry.registerPath({
      ...shared,
      operationId: `proxy${name}ByOwner`,
      path: '/v1/proxy/{integration}/{path}',
      summary: `${method.toUpperCase()} at the API of an owner's connection`,
      request: {
        params: z.object({ integration: idOf('integration', EXAMPLE.integration), path }),
        headers: z.object({ ...owner, ...common }),
      },
      responses: { 200: response, ...problems(...REFUSED, 'ambiguous_connection') },
    });
  }
  return app;
}
