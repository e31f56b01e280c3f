// The page of an owner's connections in a browser.
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { EXAMPLE } from '../../api/index.ts';
import type { PortalPages, PortalRequest, PortalStep } from '../../broker/portal/index.ts';
import type { Env } from '../env.ts';
import { isFromElsewhere } from '../middleware/navigation.ts';
import { createPortalCookie } from '../middleware/portal-cookie.ts';
import { PORTAL_ANSWERS } from '../openapi/pages.ts';
import { idOf, router } from '../openapi/route-parts.ts';
import { type BrowserPages, FORM_LIMIT, filledIn } from '../pages/browser-pages.ts';
import { disconnectPage, portalPage, portalWelcomePage } from '../pages/portal.ts';
import { TOKEN_FIELD } from '../pages/retry.ts';
import { allowFormToLeadAway } from '../pages/security.ts';

const common = { tags: ['browser'], security: [] };
const secret = z.object({
  secret: z.string().openapi({
    description: 'The last path segment of the `url` of a portal session',
    example: 'pR4nZ7qXv2mLc9bTs6wKd1yHg8fJu5eA0oIiV3xBkNU',
  }),
});
const connection = z.object({ id: idOf('connection', EXAMPLE.connection) });
const body = {
  required: true,
  content: { 'application/x-www-form-urlencoded': { schema: z.record(z.string(), z.string()) } },
};
const query = z.object({
  after: z.string().optional().openapi({ description: 'The id of the connection after which the page begins' }),
  status: z.string().optional().openapi({ description: 'As a connect session of this page came back' }),
  connect_session_id: z.string().optional().openapi({ description: 'The connect session that has ended' }),
  connection_id: z.string().optional().openapi({ description: 'The connection that it has made or renewed' }),
  finish_code: z.string().optional().openapi({ description: 'What finishes it, which the portal does itself' }),
  error: z.string().optional().openapi({ description: 'Why it has connected nothing' }),
});

const routes = [
  createRoute({
    ...common,
    operationId: 'openPortal',
    method: 'get',
    path: '/connect/portal/{secret}',
    summary: "Open the link to an owner's connections",
    description: 'A page that says what the link opens. Opening it binds nothing.',
    request: { params: secret },
    responses: PORTAL_ANSWERS.open,
  }),
  createRoute({
    ...common,
    operationId: 'enterPortal',
    method: 'post',
    path: '/connect/portal/{secret}',
    summary: "Enter the page of an owner's connections",
    description: 'The form of that page: gives the session to this browser, once, for an hour.',
    request: { params: secret, body },
    responses: PORTAL_ANSWERS.enter,
  }),
  createRoute({
    ...common,
    operationId: 'showPortal',
    method: 'get',
    path: '/connect/portal',
    summary: "Show an owner's connections",
    description:
      'Those that the portal session names and the grants of its caller cover with `connections:write`, to be renewed or ended.',
    request: { query },
    responses: PORTAL_ANSWERS.show,
  }),
  createRoute({
    ...common,
    operationId: 'askToDisconnect',
    method: 'get',
    path: '/connect/portal/connections/{id}',
    summary: 'Ask whether to disconnect an account',
    description: 'A page with one form.',
    request: { params: connection },
    responses: PORTAL_ANSWERS.ask,
  }),
  createRoute({
    ...common,
    operationId: 'disconnect',
    method: 'post',
    path: '/connect/portal/connections/{id}/disconnect',
    summary: 'Disconnect an account',
    description: 'Revokes the connection, as `DELETE /v1/connections/{id}` does.',
    request: { params: connection, body },
    responses: PORTAL_ANSWERS.act,
  }),
  createRoute({
    ...common,
    operationId: 'reconnect',
    method: 'post',
    path: '/connect/portal/connections/{id}/reconnect',
    summary: 'Connect an account again',
    description: 'Begins a connect session for this connection, which comes back to the page.',
    request: { params: connection, body },
    responses: PORTAL_ANSWERS.act,
  }),
];

interface Parts {
  portal: PortalPages;
  publicUrl: string;
  browserPages: BrowserPages;
}

export function portalRoutes({ portal, publicUrl, browserPages }: Parts): OpenAPIHono<Env> {
  const { base, siteOf, refused, protect } = browserPages;
  const cookie = createPortalCookie(publicUrl, base);
  const home = `${base}/connect/portal`;

  const visit = (c: Context<Env>): PortalRequest => ({
    cookie: cookie.read(c),
    address: c.get('address'),
    requestId: c.get('requestId'),
    client: c.get('client'),
    about: ({ uiLocales }) => c.set('appearance', { integration: '', uiLocales }),
  });

  async function answer(c: Context<Env>, step: PortalStep): Promise<Response> {
    const site = await siteOf(c);
    switch (step.kind) {
      case 'welcome': {
        cookie.set(c, step.cookie);
        const action = `${home}/${encodeURIComponent(c.req.param('secret') ?? '')}`;
        return c.html(portalWelcomePage(site, { ...step, action }), c.req.method === 'POST' ? 400 : 200);
      }
      case 'entered':
        cookie.set(c, step.cookie);
        return c.redirect(home, 303);
      case 'connections':
        // The form that connects again leads to the provider.
        allowFormToLeadAway(c);
        return c.html(portalPage(site, step));
      case 'confirm':
        return c.html(disconnectPage(site, step), c.req.method === 'POST' ? 400 : 200);
      case 'redirect':
        return c.redirect(step.url, 303);
      case 'back':
        return c.redirect(step.notice ? `${home}?${new URLSearchParams(step.notice)}` : home, 303);
      case 'refused':
        return refused(c, step.error, step.provider);
    }
  }

  /** Undefined: not a form, or posted by another site's page. */
  async function tokenOf(c: Context<Env>): Promise<string | undefined> {
    const form = await filledIn(c);
    return isFromElsewhere((name) => c.req.header(name)) ? undefined : form?.[TOKEN_FIELD];
  }

  const app = router();
  for (const route of routes) app.openAPIRegistry.registerPath(route);
  protect(app, ['/connect/portal', '/connect/portal/*']);
  const bounded = bodyLimit({ maxSize: FORM_LIMIT, onError: (c) => refused(c, 'invalid_form') });

  app.get('/connect/portal', async (c) => {
    const outcome = new URL(c.req.url).searchParams;
    return answer(c, await portal.show(visit(c), { after: c.req.query('after'), outcome }));
  });
  app.get('/connect/portal/connections/:id', async (c) => answer(c, await portal.ask(c.req.param('id'), visit(c))));
  app.post('/connect/portal/connections/:id/disconnect', bounded, async (c) =>
    answer(c, await portal.disconnect(c.req.param('id'), visit(c), await tokenOf(c))),
  );
  app.post('/connect/portal/connections/:id/reconnect', bounded, async (c) =>
    answer(c, await portal.reconnect(c.req.param('id'), visit(c), await tokenOf(c))),
  );
  app.get('/connect/portal/:secret', async (c) => answer(c, await portal.open(c.req.param('secret'), visit(c))));
  app.post('/connect/portal/:secret', bounded, async (c) =>
    answer(c, await portal.enter(c.req.param('secret'), visit(c), await tokenOf(c))),
  );
  return app;
}
