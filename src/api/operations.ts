// Health checks and the OpenAPI document.
import { z } from '@hono/zod-openapi';

export const Health = z.object({ status: z.literal('ok') }).openapi('Health', { example: { status: 'ok' } });
export const Readiness = z
  .object({ status: z.enum(['ready', 'unavailable']), checks: z.record(z.string(), z.enum(['ok', 'failed'])) })
  .openapi('Readiness', { example: { status: 'ready', checks: { store: 'ok', key_ring: 'ok' } } });

/** Only the members that we rely on: OpenAPI specifies the rest. */
export const InterfaceDescription = z
  .looseObject({ openapi: z.string(), info: z.looseObject({ title: z.string(), version: z.string() }) })
  .openapi('OpenApiDocument', {
    description: 'An OpenAPI 3.1 document.',
    example: { openapi: '3.1.0', info: { title: 'Valetkey', version: '1' }, paths: {} },
  });
