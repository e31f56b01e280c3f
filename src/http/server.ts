// Everything that is served over HTTP, put together: what every request passes, then the routes by resource.
import { getConnInfo } from '@hono/node-server/conninfo';
import type { OpenAPIHono } from '@hono/zod-openapi';
import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import { requestId } from 'hono/request-id';
import { routePath } from 'hono/route';
import type { Apply } from '../broker/apply/index.ts';
import type { AuditBuffer, AuditLog } from '../broker/audit/index.ts';
import type { Callers } from '../broker/callers/index.ts';
import type { ConnectFlow, Connections, Revoker, Sessions } from '../broker/connections/index.ts';
import type { Integrations } from '../broker/integrations/index.ts';
import type { BatchVerification, JwtVerification } from '../broker/jwt/index.ts';
import type { DpopProofs, TokenExchange, TokenReader } from '../broker/tokens/index.ts';
import type { Provider } from '../domain/provider.ts';
import type { Clock, Logger, MetricsState, Store, Telemetry } from '../ports/index.ts';
import type { Env } from './env.ts';
import { onError, problem } from './errors/problem.ts';
import { type AuthenticationParts, authenticate, createAdmission } from './middleware/authentication.ts';
import { jsonBody } from './middleware/body-limits.ts';
import { createFailed } from './middleware/error-logging.ts';
import { router } from './openapi/route-parts.ts';
import { applyRoutes } from './routes/apply.ts';
import { auditRoutes } from './routes/audit.ts';
import { callerRoutes } from './routes/callers.ts';
import { browserRoutes } from './routes/connect-flow.ts';
import { sessionRoutes } from './routes/connect-sessions.ts';
import { connectionRoutes } from './routes/connections.ts';
import { healthRoutes } from './routes/health.ts';
import { integrationRoutes } from './routes/integrations.ts';
import { jwtRoutes } from './routes/jwt.ts';
import { oauthRoutes } from './routes/oauth.ts';
import { descriptionRoutes } from './routes/openapi.ts';
import { tokenRoutes } from './routes/tokens.ts';

export interface HttpParts extends AuthenticationParts {
  tokens: TokenReader;
  dpopProofs: DpopProofs;
  connections: Connections;
  revoker: Revoker;
  sessions: Sessions;
  connectFlow: ConnectFlow;
  integrations: Integrations;
  callers: Callers;
  apply: Apply;
  verify: JwtVerification;
  exchange: TokenExchange;
  verifyBatch: BatchVerification;
  auditLog: AuditLog;
  catalogue: ReadonlyMap<string, Provider>;
  auditBuffer: AuditBuffer;
  store: Pick<Store, 'ping'>;
  state: () => Promise<MetricsState>;
  proveKeys: () => void;
  telemetry: Telemetry;
  clock: Clock;
  log: Logger;
  publicUrl: string;
  isStopping: () => boolean;
}

export function createHttp(parts: HttpParts): OpenAPIHono<Env> {
  const { telemetry, clock, log } = parts;
  const failed = createFailed(log, clock);
  const app = router();

  app.use(requestId());
  app.use(
    createMiddleware<Env>(async (c, next) => {
      const started = clock.monotonic();
      c.set('failed', failed);
      c.set('address', addressOf(c));
      await next();
      // Browser paths hold secrets: only the route's pattern is told.
      const route = routePath(c, -1);
      const seconds = (clock.monotonic() - started) / 1_000;
      telemetry.request(route, c.req.method, c.res.status, seconds);
      const line = {
        route,
        method: c.req.method,
        status: c.res.status,
        ms: Math.round(seconds * 1e4) / 10,
        request_id: c.get('requestId'),
      };
      log.debug(line, 'request');
    }),
  );

  const api = '/v1/*';
  app.use(api, async (c, next) => {
    c.header('Cache-Control', 'no-store');
    return next();
  });
  const admit = createAdmission(parts);
  app.use(api, authenticate(admit));
  app.use(api, jsonBody());

  app.route('/', tokenRoutes(parts));
  app.route('/', connectionRoutes(parts));
  app.route('/', sessionRoutes(parts));
  app.route('/', integrationRoutes(parts));
  app.route('/', callerRoutes(parts));
  app.route('/', applyRoutes(parts));
  app.route('/', jwtRoutes(parts));
  app.route('/', auditRoutes(parts));
  app.route('/', oauthRoutes({ ...parts, admit }));
  app.route('/', healthRoutes(parts));
  app.route(
    '/',
    descriptionRoutes({ ...parts, describe: async () => (await import('./openapi/generate.ts')).describe(app) }),
  );
  app.route('/', browserRoutes(parts));

  app.notFound((c) =>
    problem(c, 'not_found', `There is no ${c.req.method} ${c.req.path.replace(/^\/connect\/.*/, '/connect/…')} here.`),
  );
  app.onError((error, c) => {
    if (error instanceof HTTPException && error.status < 500) return problem(c, 'invalid_request', error.message);
    return onError(error, c);
  });
  return app;
}

/** The peer's address, IPv4 in its own form; null where there is no socket (tests). */
function addressOf(c: Parameters<typeof getConnInfo>[0]): string | null {
  if (!c.env?.incoming) return null;
  return getConnInfo(c).remote.address?.replace(/^::ffff:(?=\d+\.)/, '') ?? null;
}
