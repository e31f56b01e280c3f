// Health, readiness and metrics on the fast path: a process that is only probed needs no classes of `fetch`.
import type { Clock, Logger, Telemetry } from '../../ports/index.ts';
import { type Answer, writeHead } from '../answer.ts';
import { problemOfError } from '../errors/problem.ts';
import type { Health } from '../health.ts';
import type { LogFailure } from '../middleware/error-logging.ts';
import { clientContext, newRequestId } from '../middleware/request-context.ts';
import type { FastHandler } from './fast-path.ts';

export interface FastHealthParts {
  health: Health;
  /** Resolves when no request has to wait for code that is not loaded. */
  loaded: () => Promise<unknown>;
  telemetry: Pick<Telemetry, 'request'>;
  logFailure: LogFailure;
  clock: Clock;
  log: Pick<Logger, 'debug'>;
}

/** By path. Other methods, and other spellings of a path, are the framework's. */
export function createFastHealth(parts: FastHealthParts): ReadonlyMap<string, FastHandler> {
  const { health, loaded, telemetry, logFailure, clock, log } = parts;
  const json = (status: 200 | 503, value: object): Answer => ({
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  });
  const answers: Record<string, () => Promise<Answer>> = {
    '/healthz': async () => json(200, { status: 'ok' }),
    // Those that wait for readiness send no other request to a process that still has to load.
    '/readyz': async () => {
      await loaded();
      const readiness = await health.readiness();
      return json(readiness.status === 'ready' ? 200 : 503, readiness);
    },
    '/metrics': async () => ({
      status: 200,
      headers: { 'content-type': 'text/plain; charset=UTF-8' },
      body: await health.metrics(),
    }),
  };

  const handler =
    (route: string, of: () => Promise<Answer>): FastHandler =>
    async (request, response) => {
      const started = clock.monotonic();
      const request_id = newRequestId();
      const answer = await of().catch((error: unknown) => {
        logFailure(error, request_id);
        return problemOfError(error, request_id);
      });
      writeHead(response, answer, request_id);
      response.end(answer.body);
      const seconds = (clock.monotonic() - started) / 1_000;
      telemetry.request(route, 'GET', answer.status, seconds);
      const { 'x-request-id': sent, traceparent } = request.headers;
      const client = clientContext(sent as string | undefined, traceparent as string | undefined);
      const line = {
        route,
        method: 'GET',
        status: answer.status,
        ms: Math.round(seconds * 1e4) / 10,
        request_id,
        client_request_id: client?.requestId,
        trace_id: client?.traceId,
      };
      log.debug(line, 'request');
    };
  return new Map(Object.entries(answers).map(([route, of]) => [route, handler(route, of)]));
}
