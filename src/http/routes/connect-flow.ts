// The connect flow in the owner's browser: the connect link, the redirect back from the provider, and the session's own page.
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { EXAMPLE } from '../../api/index.ts';
import type { BrowserRequest, ConnectFlow, ConnectStep } from '../../broker/connections/index.ts';
import type { Themes } from '../../broker/integrations/index.ts';
import { WAITING_PAGE_RELOAD_MS } from '../../domain/time-limits.ts';
import type { Env } from '../env.ts';
import { createBrowserCookies } from '../middleware/browser-cookies.ts';
import { boundedPairs, isForm } from '../middleware/form.ts';
import { isFromElsewhere } from '../middleware/navigation.ts';
import { BROWSER_ANSWERS } from '../openapi/pages.ts';
import { idOf, router } from '../openapi/route-parts.ts';
import { assets, themeAssets } from '../pages/assets.ts';
import { type BrowserPages, FORM_LIMIT, filledIn } from '../pages/browser-pages.ts';
import { confirmPage, pickerPage } from '../pages/confirm.ts';
import { connectedPage, waitingPage } from '../pages/connected.ts';
import { popupPage } from '../pages/popup.ts';
import { CHOICE_FIELD, CREDENTIAL_PREFIX, TOKEN_FIELD } from '../pages/retry.ts';
import { allowFormToLeadAway, allowScript } from '../pages/security.ts';

/** Bytes of a posted authorization response. */
const RESPONSE_LIMIT = 16_384;

const common = { tags: ['browser'], security: [] };
const secret = z.object({
  secret: z.string().openapi({
    description: 'The last path segment of the `url` of a connect session',
    example: 'pR4nZ7qXv2mLc9bTs6wKd1yHg8fJu5eA0oIiV3xBkNU',
  }),
});

const open = createRoute({
  ...common,
  operationId: 'openConnectSession',
  method: 'get',
  path: '/connect/{secret}',
  summary: 'Open a connect session',
  description:
    'The first step of the connect flow: a page that says which app asks, for whom and at which provider, and asks for missing parameters. A two-phase session that has nothing to ask redirects to the provider at once. Opening the link binds nothing.',
  request: { params: secret },
  responses: BROWSER_ANSWERS.open,
});

const fill = createRoute({
  ...common,
  operationId: 'confirmConnectSession',
  method: 'post',
  path: '/connect/{secret}',
  summary: 'Confirm a connect session',
  description:
    'The form of its page, with the parameters that it asks for. Binds the session to this browser, and redirects to the provider.',
  request: {
    params: secret,
    body: {
      required: true,
      content: { 'application/x-www-form-urlencoded': { schema: z.record(z.string(), z.string()) } },
    },
  },
  responses: BROWSER_ANSWERS.fill,
});

const query = z.object({
  state: z.string().optional().openapi({ description: 'The `state` of the authorization request' }),
  code: z.string().optional().openapi({ description: 'The authorization code (RFC 6749 4.1.2)' }),
  iss: z.string().optional().openapi({ description: 'The issuer identifier of the provider (RFC 9207)' }),
  error: z.string().optional().openapi({ description: 'The error code, when authorization failed (RFC 6749 4.1.2.1)' }),
});
const integration = z.object({ integration: idOf('integration', EXAMPLE.integration) });
const ISSUER_HASH = z.string().openapi({
  description: 'The first 16 hexadecimal digits of the SHA-256 of the issuer',
  example: '1f3870be274f6c49',
});

const callback = createRoute({
  ...common,
  operationId: 'handleOAuthCallback',
  method: 'get',
  path: '/oauth2/callback/{integration}',
  summary: 'Handle the authorization response',
  description:
    'The redirect URI of the integration (RFC 6749 4.1.2). Checks `state`, the browser and the issuer, exchanges the code, and stores the connection. The same browser that comes again is shown the outcome again.',
  request: { params: integration, query },
  responses: BROWSER_ANSWERS.callback,
});

const callbackOfIssuer = createRoute({
  ...common,
  operationId: 'handleOAuthCallbackOfIssuer',
  method: 'get',
  path: '/oauth2/callback/{integration}/{issuer}',
  summary: 'Handle the authorization response of one issuer',
  description:
    'The redirect URI of an integration whose connections say which server it is: one for each issuer, so that a code of one is never taken for one of another (RFC 9700 4.4.2).',
  request: { params: integration.extend({ issuer: ISSUER_HASH }), query },
  responses: BROWSER_ANSWERS.callback,
});

const callbackForm = createRoute({
  ...common,
  operationId: 'handleOAuthCallbackForm',
  method: 'post',
  path: '/oauth2/callback/{integration}',
  summary: 'Handle a posted authorization response',
  description:
    'The redirect URI for providers that answer with `response_mode=form_post`. Redirects to itself, with the response encrypted: browsers send the cookie of the flow with that request only.',
  request: {
    params: integration,
    body: { required: true, content: { 'application/x-www-form-urlencoded': { schema: query } } },
  },
  responses: BROWSER_ANSWERS.callback,
});

const callbackFormOfIssuer = createRoute({
  ...common,
  operationId: 'handleOAuthCallbackFormOfIssuer',
  method: 'post',
  path: '/oauth2/callback/{integration}/{issuer}',
  summary: 'Handle a posted authorization response of one issuer',
  description: 'As for a posted authorization response, at the redirect URI for one issuer.',
  request: { ...callbackForm.request, params: callbackOfIssuer.request.params },
  responses: BROWSER_ANSWERS.callback,
});

const sessionId = z.object({ id: idOf('connect session', EXAMPLE.session) });

const outcome = createRoute({
  ...common,
  operationId: 'showConnectSession',
  method: 'get',
  path: '/connect/sessions/{id}',
  summary: 'Show how a connect session ended',
  description: 'The last page of the connect flow, for the browser that the session is bound to.',
  request: { params: sessionId },
  responses: BROWSER_ANSWERS.outcome,
});

const retry = createRoute({
  ...common,
  operationId: 'retryConnectSession',
  method: 'post',
  path: '/connect/sessions/{id}',
  summary: 'Try again',
  description: 'The form of the page of a session that ended with the wrong account.',
  request: {
    params: sessionId,
    body: {
      required: true,
      content: { 'application/x-www-form-urlencoded': { schema: z.record(z.string(), z.string()) } },
    },
  },
  responses: BROWSER_ANSWERS.retry,
});

interface Parts {
  connectFlow: ConnectFlow;
  publicUrl: string;
  browserPages: BrowserPages;
  themes: Pick<Themes, 'stylesheet'>;
}

export function browserRoutes({ connectFlow, publicUrl, browserPages, themes }: Parts): OpenAPIHono<Env> {
  const { base, siteOf, refused } = browserPages;
  const cookies = createBrowserCookies(publicUrl, base);
  const linkOf = (c: Context<Env>) => `${base}/connect/${encodeURIComponent(c.req.param('secret') ?? '')}`;
  const pageOf = (session: string) => `${base}/connect/sessions/${session}`;

  const visit = (c: Context<Env>): BrowserRequest => ({
    cookies: cookies.read(c),
    address: c.get('address'),
    requestId: c.get('requestId'),
    client: c.get('client'),
    about: (session) => c.set('appearance', session),
  });

  /** `at`: where the browser is, which says what is left to be cleared from its address bar. */
  async function answer(c: Context<Env>, at: 'link' | 'callback' | 'page', step: ConnectStep) {
    if ('cookie' in step && step.cookie) cookies.set(c, step.cookie);
    const site = await siteOf(c);
    const seeOther = c.req.method === 'POST' || at === 'callback' ? 303 : 302;
    switch (step.kind) {
      case 'redirect':
        return c.redirect(step.url, seeOther);
      case 'confirm': {
        allowFormToLeadAway(c);
        const { provider: providerName, asked } = step;
        const status = asked?.trouble === 'unavailable' ? 503 : step.isAgain ? 400 : 200;
        return c.html(confirmPage(site, { ...step, providerName, action: linkOf(c) }), status);
      }
      case 'choose': {
        allowFormToLeadAway(c);
        return c.html(pickerPage(site, { ...step, action: linkOf(c) }), c.req.method === 'POST' ? 400 : 200);
      }
      case 'popup': {
        // The URL of the callback has a code.
        if (at === 'callback') return c.redirect(pageOf(step.session), seeOther);
        allowScript(c);
        return c.html(popupPage(site, step));
      }
      case 'connected':
        if (at !== 'page' || c.req.method === 'POST') return c.redirect(pageOf(step.session), seeOther);
        return c.html(connectedPage(site, { providerName: step.provider, label: step.label || undefined }));
      case 'waiting':
        if (at !== 'page' || c.req.method === 'POST') return c.redirect(pageOf(step.session), seeOther);
        c.header('Refresh', String(WAITING_PAGE_RELOAD_MS / 1_000));
        allowFormToLeadAway(c);
        return c.html(waitingPage(site, { action: pageOf(step.session), token: step.retryToken }));
      case 'refused': {
        // An error has an error status, also at the redirect URI: the browser goes on to the page all the same.
        if (at === 'callback' && step.session) c.header('Refresh', `0; url=${pageOf(step.session)}`);
        const action = step.session && pageOf(step.session);

        if (step.retryToken) allowFormToLeadAway(c);
        return refused(c, step.error, step.provider, {
          wanted: step.wanted ?? undefined,
          ...(step.retryToken && action && { retry: { action, token: step.retryToken } }),
        });
      }
    }
  }

  const routes = router();
  for (const step of [open, fill, callback, callbackOfIssuer, callbackForm, callbackFormOfIssuer, outcome, retry])
    routes.openAPIRegistry.registerPath(step);
  routes.route('/', assets);
  routes.route('/', themeAssets({ themes }));
  browserPages.protect(routes, ['/connect/*', '/oauth2/callback/*']);
  const within = (maxSize: number) => bodyLimit({ maxSize, onError: (c) => refused(c, 'invalid_form') });
  const bounded = within(FORM_LIMIT);

  /** The token of the form and its other fields; undefined: the body is not a form. */
  async function posted(c: Context<Env>) {
    const form = await filledIn(c);
    if (!form) return undefined;
    const { [TOKEN_FIELD]: token, [CHOICE_FIELD]: choice, ...fields } = form;
    const isCredential = ([name]: [string, string]) => name.startsWith(CREDENTIAL_PREFIX);
    const entries = Object.entries(fields);
    const credentials = entries
      .filter(isCredential)
      .map(([name, value]) => [name.slice(CREDENTIAL_PREFIX.length), value]);
    return {
      token: isFromElsewhere((name) => c.req.header(name)) ? undefined : token,
      choice,
      params: Object.fromEntries(entries.filter((entry) => !isCredential(entry))),
      credentials: Object.fromEntries(credentials),
    };
  }

  routes.get('/connect/sessions/:id', async (c) =>
    answer(c, 'page', await connectFlow.outcome(c.req.param('id'), visit(c))),
  );
  routes.post('/connect/sessions/:id', bounded, async (c) => {
    const form = await posted(c);
    if (!form) return refused(c, 'invalid_form');
    return answer(c, 'page', await connectFlow.retry(c.req.param('id'), visit(c), form.token));
  });
  routes.get('/connect/:secret', async (c) =>
    answer(c, 'link', await connectFlow.open(c.req.param('secret'), visit(c))),
  );
  routes.post('/connect/:secret', bounded, async (c) => {
    const form = await posted(c);
    if (!form) return refused(c, 'invalid_form');
    return answer(c, 'link', await connectFlow.submit(c.req.param('secret'), visit(c), form));
  });
  for (const path of ['/oauth2/callback/:integration', '/oauth2/callback/:integration/:issuer'] as const) {
    const placeOf = (c: Context<Env>) => ({ id: c.req.param('integration') ?? '', issuer: c.req.param('issuer') });
    routes.get(path, async (c) => {
      const { id, issuer } = placeOf(c);
      const response = boundedPairs(new URL(c.req.url).search.slice(1));
      if (!response) return refused(c, 'invalid_state');
      return answer(c, 'callback', await connectFlow.callback(id, response, visit(c), issuer));
    });
    routes.post(path, within(RESPONSE_LIMIT), async (c) => {
      const { id, issuer } = placeOf(c);
      const response = isForm(c.req.header('content-type')) ? boundedPairs(await c.req.text()) : undefined;
      if (!response) return refused(c, 'invalid_form');
      const carried = connectFlow.carryOver(id, response, issuer);
      if (carried === undefined)
        return answer(c, 'callback', await connectFlow.callback(id, response, visit(c), issuer));
      const place = [id, ...(issuer === undefined ? [] : [issuer])].map(encodeURIComponent).join('/');
      return c.redirect(`${base}/oauth2/callback/${place}?${new URLSearchParams({ form_post: carried })}`, 303);
    });
  }
  return routes;
}
