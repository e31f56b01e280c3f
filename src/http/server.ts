// The HTTP server: the middleware that every request passes, the routes by resource, and the fast path before them.
import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import { routePath } from 'hono/route';
import type { AgentSessions, SessionIntrospection } from '../broker/agents/index.ts';
import type { Apply } from '../broker/apply/index.ts';
import type { AuditBuffer, AuditLog } from '../broker/audit/index.ts';
import type { CallerAdmin } from '../broker/callers/index.ts';
import type { ConnectFlow, ConnectionResource, ConnectSessions, Revoker } from '../broker/connections/index.ts';
import type { Console } from '../broker/console/index.ts';
import type { ReadHourlyHistory } from '../broker/counts/index.ts';
import type { Deliveries, EventFeed, WebhookEndpoints, WebhookKeys } from '../broker/events/index.ts';
import type { IntegrationAdmin, RequestedScopes, Themes } from '../broker/integrations/index.ts';
import type { JobAdmin } from '../broker/jobs/index.ts';
import type { Jwt } from '../broker/jwt/index.ts';
import type { Explanations, ReadLimits, ReadStatus, ReadSystem } from '../broker/maintenance/index.ts';
import type { Portal } from '../broker/portal/index.ts';
import type { ApiDescriptions, CallCaptures, ConnectionCheck, ProxyCalls } from '../broker/proxy/index.ts';
import type { ClientDocuments } from '../broker/resources/index.ts';
import type { Signing } from '../broker/signing/index.ts';
import type { Tokens } from '../broker/tokens/index.ts';
import type {
  Inbox,
  ReceivingAdmin,
  SignalAdmin,
  SignalReceiving,
  WebhookAdmin,
  WebhookReceiver,
} from '../broker/webhooks/index.ts';
import type { Provider } from '../domain/provider.ts';
import type { SigningAlgorithm } from '../domain/signing-key.ts';
import { basePath } from '../domain/urls.ts';
import type { Clock, Logger, Store, Telemetry, Vault } from '../ports/index.ts';
import { toResponse } from './answer.ts';
import type { AddressOf } from './client-address.ts';
import { consoleRoutes } from './console/console.ts';
import { createCursors } from './cursors.ts';
import type { Env } from './env.ts';
import { problemOfError } from './errors/problem.ts';
import { problemResponse } from './errors/respond.ts';
import { createFastRoutes, type FastRoutes } from './fast-path/index.ts';
import {
  type Admission,
  type AuthenticationParts,
  admitContext,
  authenticate,
  createAdmission,
} from './middleware/authentication.ts';
import { jsonBody } from './middleware/body-limits.ts';
import { createFailureLog, type LogFailure } from './middleware/error-logging.ts';
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

export interface HttpParts extends AuthenticationParts {
  tokens: Tokens;
  jwt: Jwt;
  connections: ConnectionResource;
  revoker: Revoker;
  sessions: ConnectSessions;
  agentSessions: AgentSessions;
  sessionIntrospection: SessionIntrospection;
  connectFlow: ConnectFlow;
  clientDocuments: ClientDocuments;
  portal: Portal;
  integrations: IntegrationAdmin;
  themes: Themes;
  requestedScopes: RequestedScopes;
  signals: SignalAdmin;
  signalReceiving: SignalReceiving;
  callers: CallerAdmin;
  webhooks: WebhookAdmin;
  receiving: ReceivingAdmin;
  webhookReceiver: WebhookReceiver;
  inbox: Inbox;
  apply: Apply;
  webhookEndpoints: WebhookEndpoints;
  deliveries: Deliveries;
  jobs: JobAdmin;
  webhookKeys: WebhookKeys;
  signing: Pick<Signing, 'signer' | 'admin' | 'published'>;
  /** Of the JWTs that are signed, as they are announced. */
  signingAlgorithm: SigningAlgorithm;
  eventFeed: EventFeed;
  connectionCheck: ConnectionCheck;
  captures: CallCaptures;
  proxy: ProxyCalls & ApiDescriptions;
  console: Console;
  auditLog: AuditLog;
  catalogue: ReadonlyMap<string, Provider>;
  auditBuffer: AuditBuffer;
  store: Pick<Store, 'ping'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  renderMetrics: () => Promise<string>;
  readStatus: ReadStatus;
  explanations: Explanations;
  readHourlyHistory: ReadHourlyHistory;
  readLimits: ReadLimits;
  readSystem: ReadSystem;
  version: string;
  proveKeys: () => void;
  telemetry: Telemetry;
  clock: Clock;
  log: Logger;
  publicUrl: string;
  /** Where callers reach the broker. */
  callersUrl: string;
  /** Callers have a port of their own, and the public one serves only what is published. */
  hasInternalPort: boolean;
  /** Who asks owners to connect, on pages. */
  appName: string;
  isStopping: () => boolean;
  addressOf: AddressOf;
  /** Refreshes in flight. */
  refreshing: () => number;
}

export interface Http {
  /** Requests that are answered before the framework sees them. */
  fastRoutes: FastRoutes;
  /** The framework, for all others. */
  fetch: ReturnType<typeof createFramework>['fetch'];
  /** The same, for a port that serves only what is published. */
  publicFetch: Http['fetch'];
}

export function createHttp(parts: HttpParts): Http {
  const logFailure = createFailureLog(parts.log, parts.clock);
  const { reader } = parts.tokens;
  const { verification } = parts.jwt;
  const admit = createAdmission(parts);
  const { fetch } = createFramework(parts, logFailure, admit);
  return {
    fastRoutes: createFastRoutes({ ...parts, reader, verification, logFailure, admit }),
    fetch,
    publicFetch: (request, bindings, context) => fetch(request, { ...bindings, isPublic: true }, context),
  };
}

/** Counted for a client that went away while it was sending, as proxies do. */
const CLIENT_GONE = 499;

/** Any other is counted as one, so that strangers cannot make up time series. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

function createFramework(parts: HttpParts, logFailure: LogFailure, admission: Admission) {
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
  app.route('/', healthRoutes(parts));
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
  return app;
}
