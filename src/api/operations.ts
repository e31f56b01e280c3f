// What operators and their machines ask.
import { z } from '@hono/zod-openapi';

export const Health = z.object({ status: z.literal('ok') }).openapi('Health', { example: { status: 'ok' } });
export const Readiness = z
  .object({ status: z.enum(['ready', 'unavailable']), checks: z.record(z.string(), z.enum(['ok', 'failed'])) })
  .openapi('Readiness', { example: { status: 'ready', checks: { store: 'ok', key_ring: 'ok' } } });

/** What is in it is for OpenAPI to say. */
export const InterfaceDescription = z
  .looseObject({ openapi: z.string(), info: z.looseObject({ title: z.string(), version: z.string() }) })
  .openapi('InterfaceDescription', {
    description: 'A document of OpenAPI 3.1',
    example: { openapi: '3.1.0', info: { title: 'Valetkey', version: '1' }, paths: {} },
  });
