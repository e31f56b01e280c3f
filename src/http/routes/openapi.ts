// The OpenAPI description, and the reference page for readers. Generating either takes longer than the rest of the start: it
// is done on the first request, and so is loading the code.
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { InterfaceDescription } from '../../api/index.ts';
import { once } from '../../domain/once.ts';
import { basePath } from '../../domain/urls.ts';
import type { Env } from '../env.ts';
import type { Description } from '../openapi/document.ts';
import { HEADERS_TOO_LARGE, json, problems, router } from '../openapi/route-parts.ts';
import { browserSecurity } from '../pages/security.ts';

const common = { tags: ['operations'], security: [], method: 'get' as const };

const forMachines = createRoute({
  ...common,
  operationId: 'getOpenApiDocument',
  path: '/openapi.json',
  summary: 'Get the OpenAPI document',
  description: 'This API as OpenAPI 3.1, for machines.',
  responses: { 200: json(InterfaceDescription, 'The OpenAPI document'), ...HEADERS_TOO_LARGE, ...problems() },
});

const forReaders = createRoute({
  ...common,
  operationId: 'getApiReference',
  path: '/docs',
  summary: 'Get the API reference',
  description: 'This API as a web page, for readers.',
  responses: {
    200: { description: 'The reference page', content: { 'text/html': { schema: z.string() } } },
    ...HEADERS_TOO_LARGE,
    ...problems(),
  },
});

interface Parts {
  describe: () => Promise<Description>;
  publicUrl: string;
}

export function descriptionRoutes({ describe, publicUrl }: Parts): OpenAPIHono<Env> {
  const base = basePath(publicUrl);
  const made = once(async () => {
    const description = await describe();
    return base === '' ? description : { ...description, servers: [{ url: base }] };
  });
  const text = once(async () => JSON.stringify(await made()));
  const page = once(async () => {
    const { docsPage } = await import('../openapi/reference/page.ts');
    return String(await docsPage(await made(), base));
  });

  const routes = router();
  for (const route of [forMachines, forReaders]) routes.openAPIRegistry.registerPath(route);
  routes.get(forMachines.path, async (c) => c.body(await text(), 200, { 'content-type': 'application/json' }));
  routes.use(forReaders.path, browserSecurity(publicUrl));
  routes.get(forReaders.path, async (c) => c.html(await page()));
  return routes;
}
