// The framework: the middleware that every request passes but those of the fast path, and the routes by resource.
import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import { routePath } from 'hono/route';
import { basePath } from '../domain/urls.ts';
import { toResponse } from './answer.ts';
import { consoleRoutes } from './console/console.ts';
import { createCursors } from './cursors.ts';
import type { Env } from './env.ts';
import { problemOfError } from './errors/problem.ts';
import { problemResponse } from './errors/respond.ts';
import type { Health } from './health.ts';
import type { HttpParts } from './http-parts.ts';
import { type Admission, admitContext, authenticate } from './middleware/authentication.ts';
import { jsonBody } from './middleware/body-limits.ts';
import type { LogFailure } from './middleware/error-logging.ts';
import { requestContext } from './middleware/request-context.ts';
import { wellFormed } from './middleware/well-formed.ts';
import { proxyOperations } from './openapi/proxy-operations.ts';
import { router } from './openapi/route-parts.ts';
import { createBrowserPages } from './pages/browser-pages.ts';
import { createSites } from './pages/sites.ts';
import { isPublished } from './published-paths.ts';
import { agentSessionRoutes } from './routes/agent-sessions.ts';
import { apiDescriptionRoutes } from './routes/api-descriptions.ts';
import { applyRoutes } from './routes/apply.ts';
import { auditRoutes } from './routes/audit.ts';
import { callerRoutes } from './routes/callers.ts';
import { captureRoutes } from './routes/captures.ts';
import { clientDocumentRoutes } from './routes/client-documents.ts';
import { browserRoutes } from './routes/connect-flow.ts';
import { sessionRoutes } from './routes/connect-sessions.ts';
import { connectionRoutes } from './routes/connections.ts';
import { consoleSessionRoutes } from './routes/console-sessions.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { eventRoutes } from './routes/events.ts';
import { healthRoutes } from './routes/health.ts';
import { integrationRoutes } from './routes/integrations.ts';
import { jobRoutes } from './routes/jobs.ts';
import { jwtRoutes } from './routes/jwt.ts';
import { oauthRoutes } from './routes/oauth.ts';
import { descriptionRoutes } from './routes/openapi.ts';
import { portalRoutes } from './routes/portal.ts';
import { portalSessionRoutes } from './routes/portal-sessions.ts';
import { signalRoutes } from './routes/signals.ts';
import { signingKeyRoutes } from './routes/signing-keys.ts';
import { statusRoutes } from './routes/status.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { webhookEndpointRoutes } from './routes/webhook-endpoints.ts';
import { webhookReceiverRoutes } from './routes/webhook-receiver.ts';
import { webhookRoutes } from './routes/webhooks.ts';

/** Counted for a client that went away while it was sending, as proxies do. */
const CLIENT_GONE = 499;

/** Any other is counted as one, so that strangers cannot make up time series. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

interface Parts extends HttpParts {
  health: Health;
  logFailure: LogFailure;
  admission: Admission;
}

/** Answers a request. */
export type App = ReturnType<typeof router>['fetch'];

export function createApp({ logFailure, admission, ...parts }: Parts): App {
  const { telemetry, clock, log, tokens, jwt, publicUrl, appName } = parts;
  const app = router();
  const cursors = createCursors(parts.vault);
  const base = basePath(publicUrl);

  app.use(requestContext());
  app.use(
    createMiddleware<Env>(async (c, next) => {
      const started = clock.monotonic();
      const { incoming } = c.env;
      /** Left while it was sending: no one's defect, and no answer arrives. */
      const isGone = () => incoming?.destroyed === true && !incoming.complete;
      c.set('logFailure', (error, id) => {
        if (!isGone()) logFailure(error, id);
      });
      c.set('address', incoming ? parts.addressOf(incoming) : null);
      await next();
      // Browser paths contain secrets: only the route's pattern is counted and logged.
      const route = routePath(c, -1);
      const seconds = (clock.monotonic() - started) / 1_000;
      const status = isGone() ? CLIENT_GONE : c.res.status;
      telemetry.request(route, METHODS.has(c.req.method) ? c.req.method : 'other', status, seconds);
      const line = {
        route,
        method: c.req.method,
        status,
        ms: Math.round(seconds * 1e4) / 10,
        request_id: c.get('requestId'),
        client_request_id: c.get('client')?.requestId,
        trace_id: c.get('client')?.traceId,
      };
      log.debug(line, 'request');
    }),
  );

  app.use((c, next) => (c.env.isPublic && !isPublished(c.req.path) ? Promise.resolve(c.notFound()) : next()));

  app.route('/', webhookReceiverRoutes(parts));

  const api = '/v1/*';
  app.use(api, async (c, next) => {
    c.header('Cache-Control', 'no-store');
    c.set('cursors', cursors);
    return next();
  });
  const admit = admitContext(admission);
  app.use(api, authenticate(admit));
  app.use(api, jsonBody());
  app.use(api, wellFormed(api));

  app.route('/', tokenRoutes({ ...tokens, requestedScopes: parts.requestedScopes, clock }));
  app.route('/', proxyOperations());
  app.route('/', connectionRoutes({ ...parts, ...tokens, check: parts.connectionCheck }));
  app.route('/', apiDescriptionRoutes(parts));
  app.route('/', captureRoutes(parts));
  app.route('/', sessionRoutes(parts));
  app.route('/', portalSessionRoutes(parts));
  app.route('/', agentSessionRoutes(parts));
  app.route('/', integrationRoutes(parts));
  app.route('/', webhookRoutes(parts));
  app.route('/', callerRoutes(parts));
  app.route('/', applyRoutes(parts));
  app.route('/', jwtRoutes(jwt));
  app.route('/', webhookEndpointRoutes(parts));
  app.route('/', deliveryRoutes(parts));
  app.route('/', jobRoutes(parts));
  app.route('/', signingKeyRoutes(parts));
  app.route('/', eventRoutes(parts));
  app.route('/', auditRoutes(parts));
  app.route('/', statusRoutes(parts));
  app.route('/', consoleSessionRoutes(parts.console));
  app.route('/', oauthRoutes({ ...parts, ...tokens, ...jwt, admit }));
  app.route('/', clientDocumentRoutes(parts));
  app.route('/', signalRoutes({ signals: parts.signalReceiving }));
  app.route('/', healthRoutes(parts.health));
  app.route(
    '/',
    descriptionRoutes({ ...parts, describe: async () => (await import('./openapi/generate.ts')).describe(app) }),
  );
  const browserPages = createBrowserPages({ publicUrl, sites: createSites({ themes: parts.themes, base, appName }) });
  app.route('/', portalRoutes({ portal: parts.portal.pages, publicUrl, browserPages }));
  app.route('/', browserRoutes({ ...parts, browserPages }));
  const consoleSite = { base: basePath(parts.console.url), appName };
  app.route('/', consoleRoutes({ ...parts, ...tokens, cursors, site: consoleSite }));

  app.notFound((c) =>
    problemResponse(
      c,
      'not_found',
      `There is no ${c.req.method} ${c.req.path.replace(/^\/connect\/.*/, '/connect/…')} here.`,
    ),
  );
  app.onError((error, c) => {
    if (error instanceof HTTPException && error.status < 500)
      return problemResponse(c, 'invalid_request', error.message);
    const requestId = c.get('requestId');
    c.get('logFailure')(error, requestId);
    return toResponse(c, problemOfError(error, requestId));
  });
  return app.fetch;
}
