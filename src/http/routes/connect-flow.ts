// The connect flow in the owner's browser: the connect link, and the redirect back from the provider.
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { getCookie, setCookie } from 'hono/cookie';
import { EXAMPLE } from '../../api/index.ts';
import type { BrowserRequest, ConnectFlow, ConnectStep } from '../../broker/connections/index.ts';
import { SESSION_TTL_MS } from '../../domain/time-limits.ts';
import { StoreError } from '../../ports/index.ts';
import type { Env } from '../env.ts';
import { boundedPairs, isForm } from '../middleware/form.ts';
import { BROWSER_ANSWERS } from '../openapi/pages.ts';
import { idOf, router } from '../openapi/route-parts.ts';
import { assets } from '../pages/assets.ts';
import { connectedPage } from '../pages/connected.ts';
import { browserMessage } from '../pages/messages.ts';
import { continuePage, paramsPage } from '../pages/params.ts';
import { refusedPage } from '../pages/refused.ts';
import { browserSecurity } from '../pages/security.ts';

const FORM_LIMIT = 16_384;

/** The form of the values that we set. Any other value counts as no cookie. */
const BROWSER_SECRET = /^[\w-]{43}$/;

const ignoreHead: MiddlewareHandler = async (c, next) => (c.req.method === 'HEAD' ? c.body(null) : next());

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
    'The first step of the connect flow. Binds the connect session to this browser and redirects to the provider.',
  request: { params: secret },
  responses: BROWSER_ANSWERS.open,
});

const fill = createRoute({
  ...common,
  operationId: 'submitConnectSessionParams',
  method: 'post',
  path: '/connect/{secret}',
  summary: 'Submit connection parameters',
  description: 'The form of the page that asks for parameters of the provider, such as a subdomain.',
  request: {
    params: secret,
    body: {
      required: true,
      content: { 'application/x-www-form-urlencoded': { schema: z.record(z.string(), z.string()) } },
    },
  },
  responses: BROWSER_ANSWERS.fill,
});

const callback = createRoute({
  ...common,
  operationId: 'handleOAuthCallback',
  method: 'get',
  path: '/oauth2/callback/{integration}',
  summary: 'Handle the authorization response',
  description:
    'The redirect URI of the integration (RFC 6749 4.1.2). Checks `state`, the browser and the issuer, exchanges the code, and stores the connection.',
  request: {
    params: z.object({ integration: idOf('integration', EXAMPLE.integration) }),
    query: z.object({
      state: z.string().optional().openapi({ description: 'The `state` of the authorization request' }),
      code: z.string().optional().openapi({ description: 'The authorization code (RFC 6749 4.1.2)' }),
      iss: z.string().optional().openapi({ description: 'The issuer identifier of the provider (RFC 9207)' }),
      error: z
        .string()
        .optional()
        .openapi({ description: 'The error code, when authorization failed (RFC 6749 4.1.2.1)' }),
    }),
  },
  responses: BROWSER_ANSWERS.callback,
});

interface Parts {
  connectFlow: ConnectFlow;
  publicUrl: string;
}

export function browserRoutes({ connectFlow, publicUrl }: Parts): OpenAPIHono<Env> {
  const secure = publicUrl.startsWith('https:');
  // `__Host-`: only from this host, and only over https (RFC 6265bis 4.1.3). Plain http, in development, allows neither.
  const cookie = secure ? '__Host-valetkey' : 'valetkey';

  const visit = (c: Context<Env>): BrowserRequest => ({
    browser: getCookie(c, cookie)?.match(BROWSER_SECRET)?.[0],
    address: c.get('address'),
    requestId: c.get('requestId'),
    client: c.get('client'),
  });

  function refused(c: Context<Env>, code: string, provider?: string) {
    const { status, ...words } = browserMessage(code, provider);
    return c.html(refusedPage({ ...words, code, status, requestId: c.get('requestId') }), status);
  }

  async function answer(c: Context<Env>, step: ConnectStep) {
    switch (step.kind) {
      case 'redirect':
        if (step.browser !== undefined) {
          const maxAge = SESSION_TTL_MS / 1_000;
          setCookie(c, cookie, step.browser, { path: '/', httpOnly: true, sameSite: 'Lax', secure, maxAge });
        }
        // A submitted form is never answered with a redirect: see pages/params.ts.
        if (c.req.method === 'POST') return c.html(continuePage({ providerName: step.provider, href: step.url }));
        return c.redirect(step.url, 302);
      case 'ask': {
        const { provider, fields, values, issues } = step;
        const view = {
          action: c.req.path,
          providerName: provider,
          fields,
          values,
          issues,
        };
        return c.html(paramsPage(view), issues.length > 0 ? 400 : 200);
      }
      case 'connected':
        return c.html(connectedPage({ providerName: step.provider, label: step.label || undefined }));
      case 'refused':
        return refused(c, step.error, step.provider ?? undefined);
    }
  }

  const routes = router();
  for (const step of [open, fill, callback]) routes.openAPIRegistry.registerPath(step);
  routes.route('/', assets);
  routes.use('/connect/*', browserSecurity(publicUrl));
  routes.use('/oauth2/callback/*', browserSecurity(publicUrl));
  // A client that only looks at a link, such as a mail scanner, must not use it up or bind it to its own browser.
  routes.use('/connect/*', ignoreHead);
  routes.use('/oauth2/callback/*', ignoreHead);
  routes.get('/connect/:secret', async (c) => answer(c, await connectFlow.begin(c.req.param('secret'), visit(c))));
  routes.post(
    '/connect/:secret',
    bodyLimit({ maxSize: FORM_LIMIT, onError: (c) => refused(c, 'invalid_form') }),
    async (c) => {
      const fields = await filledIn(c);
      return fields
        ? answer(c, await connectFlow.begin(c.req.param('secret'), visit(c), fields))
        : refused(c, 'invalid_form');
    },
  );
  routes.get('/oauth2/callback/:integration', async (c) => {
    const response = boundedPairs(new URL(c.req.url).search.slice(1));
    if (!response) return refused(c, 'invalid_state');
    return answer(c, await connectFlow.callback(c.req.param('integration'), response, visit(c)));
  });
  routes.onError((error, c) => {
    c.get('logFailure')(error, c.get('requestId'));
    return refused(c, error instanceof StoreError ? 'unavailable' : 'internal');
  });
  return routes;
}

/** The fields that were filled in. Undefined: the body is not a form, or far too large a one. */
async function filledIn(c: Context): Promise<Record<string, string> | undefined> {
  if (!isForm(c.req.header('content-type'))) return undefined;
  const form = boundedPairs(await c.req.text());
  return form && Object.fromEntries([...form].filter(([, value]) => value !== ''));
}
