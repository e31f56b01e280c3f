// What operators and their machines ask.
import { z } from '@hono/zod-openapi';

export const Health = z.object({ status: z.literal('ok') }).openapi('Health', { example: { status: 'ok' } });
export const Readiness = z
  .object({ status: z.enum(['ready', 'unavailable']), checks: z.record(z.string(), z.enum(['ok', 'failed'])) })
  .openapi('Readiness', { example: { status: 'ready', checks: { store: 'ok', key_ring: 'ok' } } });
