// Client id metadata documents: authorization servers read here who the broker is, where its client id is the URL of a document.
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { ClientDocument, EXAMPLE } from '../../api/index.ts';
import type { ClientDocuments, DocumentMethod } from '../../broker/resources/index.ts';
import { CLIENT_DOCUMENT_MAX_AGE_MS } from '../../domain/time-limits.ts';
import type { Env } from '../env.ts';
import { respond } from '../errors/respond.ts';
import { HEADERS_TOO_LARGE, idOf, json, problems, router } from '../openapi/route-parts.ts';

const common = { method: 'get' as const, tags: ['integrations'], security: [] };
const integration = z.object({ integration: idOf('integration', EXAMPLE.integration) });
const responses = {
  200: json(ClientDocument, 'The document'),
  ...HEADERS_TOO_LARGE,
  ...problems('not_found'),
};

const ofIntegration = createRoute({
  ...common,
  operationId: 'getClientMetadataDocument',
  path: '/oauth2/clients/{integration}.json',
  summary: 'Get a client id metadata document',
  description:
    'What the broker is, for authorization servers at which its client id is the URL of this document. Of integrations whose authorization server is found at a protected resource.',
  request: { params: integration },
  responses,
});

const ofIssuer = createRoute({
  ...common,
  operationId: 'getClientMetadataDocumentOfIssuer',
  path: '/oauth2/clients/{integration}/{issuer}.json',
  summary: 'Get the client id metadata document for one issuer',
  description: 'The same of an integration whose connections say which server it is: one client for each issuer.',
  request: {
    params: integration.extend({
      issuer: z.string().openapi({
        description: 'The first 16 hexadecimal digits of the SHA-256 of the issuer',
        example: '1f3870be274f6c49',
      }),
    }),
  },
  responses,
});

/** The same client where it proves itself by the keys of the broker. */
const signing = (route: typeof ofIntegration | typeof ofIssuer) =>
  createRoute({
    ...route,
    operationId: route.operationId.replace('Client', 'SigningClient'),
    path: route.path.replace(/\.json$/, `${SIGNING}.json`),
    summary: `${route.summary}, of a client that signs`,
    description: `${route.description} For servers that take no public clients: \`token_endpoint_auth_method\` is \`private_key_jwt\`.`,
  });

export function clientDocumentRoutes({ clientDocuments }: { clientDocuments: ClientDocuments }) {
  async function answer(c: Context<Env>, file: string, integration?: string) {
    const { id, method } = named(file);
    const read =
      integration === undefined
        ? clientDocuments.read(id, undefined, method)
        : clientDocuments.read(integration, id, method);
    return respond(c, await read, (document) => {
      c.header('Cache-Control', `max-age=${CLIENT_DOCUMENT_MAX_AGE_MS / 1_000}`);
      return c.json(document, 200);
    });
  }

  const routes = router();
  for (const route of [ofIntegration, ofIssuer, signing(ofIntegration), signing(ofIssuer)])
    routes.openAPIRegistry.registerPath(route);
  routes.get('/oauth2/clients/:file{[^/]+\\.json}', (c) => answer(c, c.req.param('file')));
  routes.get('/oauth2/clients/:integration/:file{[^/]+\\.json}', (c) =>
    answer(c, c.req.param('file'), c.req.param('integration')),
  );
  return routes;
}

const SIGNING = '.private_key_jwt';

function named(file: string): { id: string; method: DocumentMethod } {
  const id = file.slice(0, -'.json'.length);
  return id.endsWith(SIGNING)
    ? { id: id.slice(0, -SIGNING.length), method: 'private_key_jwt' }
    : { id, method: 'none' };
}
