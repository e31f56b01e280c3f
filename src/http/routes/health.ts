// What operators and their machines ask: alive, ready, how it goes.
import { createRoute, z } from '@hono/zod-openapi';
import { Health, Readiness } from '../../api.ts';
import type { Logger, State, Store, Telemetry } from '../../ports.ts';
import { json, PROBLEMS, router } from '../spec.ts';

const healthz = createRoute({
  method: 'get',
  path: '/healthz',
  tags: ['operations'],
  summary: 'Whether the process answers',
  responses: { 200: json(Health, 'It does'), ...PROBLEMS },
});

const readyz = createRoute({
  method: 'get',
  path: '/readyz',
  tags: ['operations'],
  summary: 'Whether it can serve: store and key ring',
  responses: { 200: json(Readiness, 'It can'), 503: json(Readiness, 'It cannot just now'), ...PROBLEMS },
});

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  tags: ['operations'],
  summary: 'Prometheus text',
  responses: { 200: { description: 'The metrics', content: { 'text/plain': { schema: z.string() } } }, ...PROBLEMS },
});

interface Parts {
  store: Pick<Store, 'ping'>;
  /** How things stand, for the metrics. */
  state: () => Promise<State>;
  /** Throws when the key ring does not seal and open. */
  proveKeys: () => void;
  telemetry: Pick<Telemetry, 'render'>;
  log: Logger;
  /** True once it stops: readiness goes first, so that nothing new is sent here. */
  isStopping: () => boolean;
}

export function healthRoutes({ store, state, proveKeys, telemetry, log, isStopping }: Parts) {
  const check = async (name: string, probe: () => unknown) => {
    try {
      await probe();
      return [name, 'ok'] as const;
    } catch (error) {
      log.warn({ err: error, check: name }, 'readiness: a check failed');
      return [name, 'failed'] as const;
    }
  };

  return router()
    .openapi(healthz, (c) => c.json({ status: 'ok' as const }, 200))
    .openapi(readyz, async (c) => {
      const checks = Object.fromEntries([await check('store', () => store.ping()), await check('key_ring', proveKeys)]);
      const ready = !isStopping() && Object.values(checks).every((outcome) => outcome === 'ok');
      return ready
        ? c.json({ status: 'ready' as const, checks }, 200)
        : c.json({ status: 'unavailable' as const, checks }, 503);
    })
    .openapi(metrics, async (c) => {
      return c.text(await telemetry.render(await state()), 200);
    });
}
