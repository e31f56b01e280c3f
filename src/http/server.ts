// The HTTP server: the fast path, and the framework for all other requests, which is loaded with the first of them.
import { once } from '../domain/once.ts';
import { createFastRoutes, type FastRoutes } from './fast-path/index.ts';
import type { App } from './framework.ts';
import { createHealth } from './health.ts';
import type { Framework, HttpParts, RequestHandler } from './http-parts.ts';
import { createAdmission } from './middleware/authentication.ts';
import { createFailureLog } from './middleware/error-logging.ts';
import { newRequestId } from './middleware/request-context.ts';

export interface Http {
  /** Requests that are answered before the framework sees them. */
  fastRoutes: FastRoutes;
  /** All others. The first one waits until it is loaded, and so does readiness. */
  framework: Framework;
}

export function createHttp(parts: HttpParts): Http {
  const logFailure = createFailureLog(parts.log, parts.clock);
  const { reader } = parts.tokens;
  const { verification } = parts.jwt;
  const admit = createAdmission(parts);
  const health = createHealth(parts);
  const loaded = once(async () =>
    (await import('./framework.ts')).createApp({ ...parts, health, logFailure, admission: admit }),
  );
  const listen = async (app: App) => (await import('./request-listener.ts')).createRequestListeners(app);
  return {
    fastRoutes: createFastRoutes({ ...parts, reader, verification, logFailure, admit, health, loaded }),
    framework: loadedOnDemand(
      () => loaded().then(listen),
      (error) => logFailure(error, newRequestId()),
    ),
  };
}

/** Its routes and schemas are half of the code, and no token read needs them. */
export function loadedOnDemand(load: () => Promise<Framework>, failed: (error: unknown) => void): Framework {
  let loaded: Framework | undefined;
  const loading = once(load);
  const handler =
    (port: keyof Framework): RequestHandler =>
    (request, response) => {
      if (loaded) return loaded[port](request, response);
      loading().then(
        (framework) => {
          loaded = framework;
          framework[port](request, response);
        },
        (error: unknown) => {
          failed(error);
          response.writeHead(500).end();
        },
      );
    };
  return { everything: handler('everything'), published: handler('published') };
}
