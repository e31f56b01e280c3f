// Health, readiness and metrics, for operators and their tools.
import { createRoute, z } from '@hono/zod-openapi';
import { Health, Readiness } from '../../api/index.ts';
import type { Health as Checks } from '../health.ts';
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

export function healthRoutes(health: Checks) {
  const routes = router()
    .openapi(healthz, (c) => c.json({ status: 'ok' as const }, 200))
    .openapi(readyz, async (c) => {
      const { status, checks } = await health.readiness();
      return status === 'ready' ? c.json({ status, checks }, 200) : c.json({ status, checks }, 503);
    })
    .openapi(metrics, async (c) => c.text(await health.metrics(), 200));
  // HAProxy's `option httpchk` asks with OPTIONS unless it is told otherwise.
  for (const path of ['/healthz', '/readyz']) routes.options(path, (c) => routes.request(path, {}, c.env));
  return routes;
}
