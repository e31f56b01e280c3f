// The description of the interface, generated from the routes that are served.
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Env } from './env.ts';

const DESCRIPTION =
  'Keeps OAuth and OpenID Connect grants alive and serves always-valid access tokens to internal services.';

export function describe(app: OpenAPIHono<Env>) {
  app.openAPIRegistry.registerComponent('securitySchemes', 'caller_key', {
    type: 'http',
    scheme: 'bearer',
    description: 'A caller key: `Authorization: Bearer vk_…`',
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'caller_basic', {
    type: 'http',
    scheme: 'basic',
    description: "A caller's id and one of its keys (RFC 6749 2.3.1)",
  });
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Valetkey',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: '/' }],
  });
}
