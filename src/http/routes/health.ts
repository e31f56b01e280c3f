// Health, readiness and metrics, for operators and their tools.
import { createRoute, z } from '@hono/zod-openapi';
import { Health, Readiness } from '../../api/index.ts';
import type { Logger, Store } from '../../ports/index.ts';
import { HEADERS_TOO_LARGE, json, problems, router } from '../openapi/route-parts.ts';

const common = { tags: ['operations'], security: [] };

const healthz = createRoute({
  operationId: 'getHealth',
  method: 'get',
  path: '/healthz',
  ...common,
  summary: 'Check liveness',
  description: 'Succeeds as long as the process answers.',
  responses: { 200: json(Health, 'The process is alive'), ...HEADERS_TOO_LARGE, ...problems() },
});

const readyz = createRoute({
  operationId: 'getReadiness',
  method: 'get',
  path: '/readyz',
  ...common,
  summary: 'Check readiness',
  description: 'Checks the store and the key ring. Fails once the process is stopping.',
  responses: {
    200: json(Readiness, 'Ready to serve'),
    503: json(Readiness, 'Not ready'),
    ...HEADERS_TOO_LARGE,
    ...problems(),
  },
});

const METRICS = `# HELP valetkey_http_requests_total HTTP requests answered, by route, method and status.
# TYPE valetkey_http_requests_total counter
valetkey_http_requests_total{route="/v1/token",method="GET",status="200"} 1027`;

const metrics = createRoute({
  operationId: 'getMetrics',
  method: 'get',
  path: '/metrics',
  ...common,
  summary: 'Get metrics',
  responses: {
    200: {
      description: 'Metrics in the Prometheus text format',
      content: { 'text/plain': { schema: z.string(), examples: { example: { value: METRICS } } } },
    },
    ...HEADERS_TOO_LARGE,
    ...problems(),
  },
});

interface Parts {
  store: Pick<Store, 'ping'>;
  /** Prometheus text. */
  renderMetrics: () => Promise<string>;
  /** Throws when the key ring cannot encrypt and decrypt. */
  proveKeys: () => void;
  log: Logger;
  /** True from the start of a shutdown on: readiness fails first, so that load balancers send nothing more. */
  isStopping: () => boolean;
}

export function healthRoutes({ store, renderMetrics, proveKeys, log, isStopping }: Parts) {
  /** One at a time, for all that ask meanwhile, and logged when the outcome is another than before: anyone may ask. */
  const shared = (name: string, probe: () => unknown) => {
    let last: 'ok' | 'failed' = 'ok';
    let running: Promise<readonly [string, 'ok' | 'failed']> | undefined;
    const check = async () => {
      try {
        await probe();
        last = 'ok';
      } catch (error) {
        if (last === 'ok') log.warn({ err: error, check: name }, 'readiness check failed');
        last = 'failed';
      }
      running = undefined;
      return [name, last] as const;
    };
    return () => {
      running ??= check();
      return running;
    };
  };
  const checks = [shared('store', () => store.ping()), shared('key_ring', proveKeys)];

  const routes = router()
    .openapi(healthz, (c) => c.json({ status: 'ok' as const }, 200))
    .openapi(readyz, async (c) => {
      const outcomes = Object.fromEntries(await Promise.all(checks.map((check) => check())));
      const ready = !isStopping() && Object.values(outcomes).every((outcome) => outcome === 'ok');
      return ready
        ? c.json({ status: 'ready' as const, checks: outcomes }, 200)
        : c.json({ status: 'unavailable' as const, checks: outcomes }, 503);
    })
    .openapi(metrics, async (c) => c.text(await renderMetrics(), 200));
  // HAProxy's `option httpchk` asks with OPTIONS unless it is told otherwise.
  for (const path of ['/healthz', '/readyz']) routes.options(path, (c) => routes.request(path, {}, c.env));
  return routes;
}
