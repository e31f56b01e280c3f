// The provider catalogue, and the integrations of this deployment.
import { createRoute, z } from '@hono/zod-openapi';
import { EXAMPLE, IntegrationPut, IntegrationView, PageQuery, ProviderView, pageOf, Slug } from '../../api/index.ts';
import type { IntegrationAdmin } from '../../broker/integrations/index.ts';
import { redirectUriToRegister } from '../../broker/resources/index.ts';
import type { ReceivingAdmin, SignalAdmin, WebhookAdmin } from '../../broker/webhooks/index.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { Integration } from '../../domain/integration.ts';
import type { Provider } from '../../domain/provider.ts';
import { respond } from '../errors/respond.ts';
import { body, idOf, json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { page, paged, sliceOf } from '../paging.ts';
import { presentIntegration } from '../presenters/integrations.ts';
import { presentProvider } from '../presenters/providers.ts';
import { presentWebhook } from '../presenters/webhooks.ts';
import { setupOf, webhookSetupOf } from '../setups.ts';

const params = z.object({ id: idOf('integration', EXAMPLE.integration) });
const integration = { tags: ['integrations'], security: SECURITY };
const provider = { tags: ['providers'], security: SECURITY };

const providers = createRoute({
  ...provider,
  operationId: 'listProviders',
  method: 'get',
  path: '/v1/providers',
  summary: 'List providers',
  description: 'Lists the provider catalogue.',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(ProviderView), 'A page of providers, by id'), ...problems() },
});

const oneProvider = createRoute({
  ...provider,
  operationId: 'getProvider',
  method: 'get',
  path: '/v1/providers/{id}',
  summary: 'Get a provider',
  description: 'With the parameters and credentials that each auth mode needs.',
  request: { params: z.object({ id: idOf('provider', EXAMPLE.provider) }) },
  responses: { 200: json(ProviderView, 'The provider'), ...problems('not_found') },
});

const put = createRoute({
  ...integration,
  operationId: 'putIntegration',
  method: 'put',
  path: '/v1/integrations/{id}',
  summary: 'Create or replace an integration',
  description: 'Secrets that are left out stay as they are.',
  request: { params: z.object({ id: Slug }), body: body(IntegrationPut) },
  responses: {
    200: json(IntegrationView, 'Replaced'),
    201: json(IntegrationView, 'Created'),
    ...problems('forbidden', 'not_found'),
  },
});

const get = createRoute({
  ...integration,
  operationId: 'getIntegration',
  method: 'get',
  path: '/v1/integrations/{id}',
  summary: 'Get an integration',
  description: 'Without its secrets.',
  request: { params },
  responses: {
    200: json(IntegrationView, 'The integration'),
    ...problems('forbidden', 'not_found', 'integration_misconfigured'),
  },
});

const list = createRoute({
  ...integration,
  operationId: 'listIntegrations',
  method: 'get',
  path: '/v1/integrations',
  summary: 'List integrations',
  description: 'Lists the integrations that the grants of the caller cover.',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(IntegrationView), 'A page of integrations, by id'), ...problems() },
});

const remove = createRoute({
  ...integration,
  operationId: 'deleteIntegration',
  method: 'delete',
  path: '/v1/integrations/{id}',
  summary: 'Delete an integration',
  description: 'Fails while it has connections that are not revoked.',
  request: { params },
  responses: { 204: { description: 'Deleted' }, ...problems('forbidden', 'not_found', 'integration_in_use') },
});

interface Parts {
  integrations: IntegrationAdmin;
  receiving: Pick<ReceivingAdmin, 'put'>;
  webhooks: WebhookAdmin;
  signals: SignalAdmin;
  catalogue: ReadonlyMap<string, Provider>;
  publicUrl: string;
}

export function integrationRoutes(parts: Parts) {
  const { integrations, receiving, webhooks, signals, catalogue, publicUrl } = parts;
  const redirectUriOf = (one: Integration) => redirectUriToRegister(publicUrl, one, catalogue.get(one.provider));
  async function view(one: Integration) {
    const webhook = await webhooks.view(one);
    return presentIntegration(one, webhook && presentWebhook(webhook), await signals.view(one.id), redirectUriOf(one));
  }
  const sorted = () => [...catalogue.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return router()
    .openapi(providers, (c) => {
      const found = paged(c, c.req.valid('query'), (request) => sliceOf(sorted(), request));
      return respond(c, found, (some) => c.json(page(c, some, presentProvider), 200));
    })
    .openapi(oneProvider, (c) => {
      const { id } = c.req.valid('param');
      const found = catalogue.get(id) ?? refuse({ code: 'not_found', what: 'provider', id });
      return respond(c, found, (one) => c.json(presentProvider(one), 200));
    })
    .openapi(put, async (c) => {
      const body = c.req.valid('json');
      const webhook = webhookSetupOf(body);
      const put = async (wanted: Exclude<typeof webhook, Refusal>) => {
        const { id } = c.req.valid('param');
        const both = { webhook: wanted, signals: body.signals };
        const saved = await receiving.put(c.get('call'), id, setupOf(body), both);
        if (saved instanceof Refusal) return saved;
        // With the hook, if one was made: it is shown this once.
        const shown = saved.webhook && presentWebhook(saved.webhook);
        const one = saved.integration;
        const view = presentIntegration(one, shown, await signals.view(id), redirectUriOf(one));
        return { view, created: saved.created };
      };
      const saved = webhook instanceof Refusal ? webhook : await put(webhook);
      return respond(c, saved, ({ view, created }) => c.json(view, created ? 201 : 200));
    })
    .openapi(get, async (c) => {
      const integration = await integrations.get(c.get('call'), c.req.valid('param').id);
      const found = integration instanceof Refusal ? integration : await view(integration);
      return respond(c, found, (shown) => c.json(shown, 200));
    })
    .openapi(list, async (c) => {
      const found = await paged(c, c.req.valid('query'), (request) => integrations.list(c.get('call'), request));
      const views = found instanceof Refusal ? found : { ...found, data: await Promise.all(found.data.map(view)) };
      return respond(c, views, (some) =>
        c.json(
          page(c, some, (one) => one),
          200,
        ),
      );
    })
    .openapi(remove, async (c) => {
      const removed = await integrations.remove(c.get('call'), c.req.valid('param').id);
      return respond(c, removed, () => c.body(null, 204));
    });
}
