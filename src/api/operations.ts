// Health checks and the OpenAPI document.
import { z } from '@hono/zod-openapi';
import { EXAMPLE } from './examples.ts';
import { ExplanationView } from './explanation.ts';

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

const seconds = (description: string) => z.number().openapi({ description: `In seconds: ${description}` });
export const BrokerStatusView = z
  .object({
    status: z.enum(['ok', 'degraded']).openapi({
      description:
        '`degraded`: the database takes no writes, a circuit breaker is not closed, or token responses wait in the rescue file',
    }),
    version: z.string(),
    store: z.enum(['ok', 'failed']),
    change_feed_lag: seconds('since this replica last read what others have changed'),
    refreshes_in_flight: z.int(),
    rescued_responses: z.int().openapi({ description: 'Token responses that the database could not take' }),
    audit: z.object({ waiting: z.int(), dropped: z.int() }).openapi({ description: 'Entries since the start' }),
    connections_counted: seconds('since the connections were counted').nullable(),
    integrations: z.array(
      z.object({
        id: z.string(),
        provider: z.string(),
        circuit_breaker: z.enum(['closed', 'half_open', 'open']).openapi({ description: 'Of this replica' }),
        connections: z.object({
          active: z.int(),
          failing: z.int().openapi({ description: 'Of those that are active: the last refresh failed' }),
          needs_reauth: z.int(),
          on_hold: z.int(),
          revoked: z.int(),
        }),
        refreshes_due: z.int(),
        oldest_due: seconds('since the oldest of them became due').nullable(),
        explanation: ExplanationView.nullable().openapi({
          description: 'Why it does not refresh. Null: it does, as far as is known.',
        }),
      }),
    ),
  })
  .openapi('Status', {
    example: {
      status: 'ok',
      version: '1.0.0',
      store: 'ok',
      change_feed_lag: 0,
      refreshes_in_flight: 1,
      rescued_responses: 0,
      audit: { waiting: 0, dropped: 0 },
      connections_counted: 12,
      integrations: [
        {
          id: EXAMPLE.integration,
          provider: 'slack',
          circuit_breaker: 'closed',
          connections: { active: 41, failing: 2, needs_reauth: 1, on_hold: 0, revoked: 3 },
          refreshes_due: 0,
          oldest_due: null,
          explanation: null,
        },
      ],
    },
  });
