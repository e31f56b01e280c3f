// The state of the broker, for operators.
import { createRoute, type z } from '@hono/zod-openapi';
import { BrokerStatusView } from '../../api/index.ts';
import type { BrokerStatus, ReadStatus } from '../../broker/maintenance/index.ts';
import { respond } from '../errors/respond.ts';
import { json, problems, router, SECURITY } from '../openapi/route-parts.ts';
import { presentExplanation } from '../presenters/connections.ts';

const status = createRoute({
  operationId: 'getStatus',
  method: 'get',
  path: '/v1/status',
  tags: ['operations'],
  summary: 'Get the status',
  description:
    'The state of the replica that answers, and of each integration: connections, circuit breakers, refreshes that are due. Needs `admin` on all integrations.',
  security: SECURITY,
  responses: { 200: json(BrokerStatusView, 'The state now'), ...problems('forbidden') },
});

const inSeconds = (ms: number) => Math.max(0, Math.round(ms / 1_000));

function present({ isHealthy, state, integrations }: BrokerStatus, version: string): z.infer<typeof BrokerStatusView> {
  return {
    status: isHealthy ? 'ok' : 'degraded',
    version,
    store: state.storeUp ? 'ok' : 'failed',
    change_feed_lag: inSeconds(state.changeFeedLagMs),
    refreshes_in_flight: state.inFlight,
    rescued_responses: state.rescued,
    audit: { waiting: state.audit.waiting, dropped: state.audit.lost },
    connections_counted: state.connectionsAgeMs === null ? null : inSeconds(state.connectionsAgeMs),
    integrations: integrations.map(
      ({ id, provider, circuit, connections, refreshesDue, oldestDueMs, explanation }) => ({
        id,
        provider,
        circuit_breaker: circuit,
        connections: {
          active: connections.active,
          failing: connections.failing,
          needs_reauth: connections.needsReauth,
          on_hold: connections.onHold,
          revoked: connections.revoked,
        },
        refreshes_due: refreshesDue,
        oldest_due: oldestDueMs === null ? null : inSeconds(oldestDueMs),
        explanation: explanation && presentExplanation(explanation),
      }),
    ),
  };
}

export function statusRoutes({ readStatus, version }: { readStatus: ReadStatus; version: string }) {
  return router().openapi(status, async (c) =>
    respond(c, await readStatus(c.get('call')), (found) => c.json(present(found, version), 200)),
  );
}
