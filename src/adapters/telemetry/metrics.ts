// Metrics in Prometheus format. Labels are ids and codes, never owners, connections or secrets.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { EVENT_TYPES } from '../../domain/events.ts';
import type { MetricsState, Telemetry } from '../../ports/index.ts';
import { createBulk } from './bulk.ts';
import { createCapacityMetrics } from './capacity-metrics.ts';
import { createProxyMetrics } from './proxy-metrics.ts';

/** Each integration starts with these series at zero: `increase()` does not see a series that first appears at one. */
const REFRESH_OUTCOMES = [
  'ok',
  'transient',
  'invalid',
  'misconfigured',
  'grant_revoked',
  'identity_changed',
  'credentials_rejected',
  'refresh_outcome_unknown',
  'grant_expired',
  'not_refreshable',
];
const REVOCATION_OUTCOMES = ['done', 'pending', 'failed', 'kept_for_other_connection'];

const DELIVERY_OUTCOMES = ['delivered', 'failing', 'dead'];

/**
 * `aggregator`: how a gauge of several workers becomes one; without it, by the sum. Those that describe the database are the same
 * in each.
 *
 * `version`: of this broker; `encryptionKid`: the id of the key that it encrypts with.
 */
export function createMetrics({ version, encryptionKid }: { version: string; encryptionKid: string }): Telemetry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  // Of several processes, the slowest is what callers notice.
  Object.assign(registry.getSingleMetric('nodejs_eventloop_lag_p99_seconds')!, { aggregator: 'max' });
  const registers = [registry];
  const requests = new Counter({
    name: 'valetkey_http_requests_total',
    help: 'HTTP requests answered, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'valetkey_http_request_duration_seconds',
    help: 'Time to answer an HTTP request, by route, in seconds.',
    labelNames: ['route'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5, 15],
    registers,
  });
  const refreshes = new Counter({
    name: 'valetkey_refreshes_total',
    help: 'Token refreshes attempted, by integration and outcome.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const remainingLifetime = new Histogram({
    name: 'valetkey_access_token_remaining_lifetime_seconds',
    help: 'Remaining lifetime of the old access token when its refresh finished, in seconds. Negative: it had expired.',
    labelNames: ['integration'],
    buckets: [-300, -60, -1, 0, 1, 5, 30, 60, 120, 240, 300, 600, 3_600],
    registers,
  });
  const due = new Gauge({
    name: 'valetkey_refreshes_due',
    help: 'Connections whose refresh is due, by integration.',
    labelNames: ['integration'],
    aggregator: 'max',
    registers,
  });
  const oldestDue = new Gauge({
    name: 'valetkey_refresh_oldest_due_seconds',
    help: 'Time since the oldest pending refresh became due, by integration, in seconds.',
    labelNames: ['integration'],
    aggregator: 'max',
    registers,
  });
  const inFlight = new Gauge({
    name: 'valetkey_refreshes_in_flight',
    help: 'Token refreshes in progress.',
    registers,
  });
  const circuitBreaker = new Gauge({
    name: 'valetkey_circuit_breaker_state',
    help: 'State of the circuit breaker of an integration: 0 closed, 0.5 half-open, 1 open.',
    labelNames: ['integration'],
    aggregator: 'max',
    registers,
  });
  const cacheLookups = new Counter({
    name: 'valetkey_token_cache_lookups_total',
    help: 'Lookups in the token cache by token reads, by outcome (hit or miss).',
    labelNames: ['outcome'],
    registers,
  });
  const connections = new Gauge({
    name: 'valetkey_connections',
    help: 'Connections stored, by integration and status.',
    labelNames: ['integration', 'status'],
    aggregator: 'max',
    registers,
  });
  const connectionsFailing = new Gauge({
    name: 'valetkey_connections_failing',
    help: 'Active connections whose last refresh failed, by integration.',
    labelNames: ['integration'],
    aggregator: 'max',
    registers,
  });
  const connectionsAge = new Gauge({
    name: 'valetkey_connections_count_age_seconds',
    help: 'Time since the connections were counted, in seconds.',
    aggregator: 'max',
    registers,
  });
  const connectFlows = new Counter({
    name: 'valetkey_connect_flows_total',
    help: 'Browser flows that ended, by integration and outcome.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const revocations = new Counter({
    name: 'valetkey_upstream_revocations_total',
    help: 'Revocations attempted at providers, by integration and outcome. Pending ones are retried.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const checks = new Counter({
    name: 'valetkey_connection_checks_total',
    help: 'Checks of connections, by integration and outcome.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const signals = new Counter({
    name: 'valetkey_signals_received_total',
    help: 'Security events and logout tokens received, by integration and outcome.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const signalsProcessed = new Counter({
    name: 'valetkey_signals_processed_total',
    help: 'Security events and logout tokens processed, by integration, type and outcome.',
    labelNames: ['integration', 'type', 'outcome'],
    registers,
  });
  const webhooks = new Counter({
    name: 'valetkey_webhooks_received_total',
    help: 'Webhooks of third parties, by integration and outcome: received, duplicate, located, unmatched, or why they were refused.',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const inboxDepth = new Gauge({
    name: 'valetkey_webhook_inbox_depth',
    help: 'Received webhooks that wait to be processed.',
    aggregator: 'max',
    registers,
  });
  const inboxOldest = new Gauge({
    name: 'valetkey_webhook_inbox_oldest_seconds',
    help: 'Time since the oldest webhook that waits to be processed was received, in seconds.',
    aggregator: 'max',
    registers,
  });
  const jobs = new Gauge({
    name: 'valetkey_jobs',
    help: 'Jobs that have not ended (open), those of which the last batch failed (failing), and those that were given up within the hour (failed).',
    labelNames: ['state'],
    aggregator: 'max',
    registers,
  });
  const deliveries = new Counter({
    name: 'valetkey_deliveries_total',
    help: 'Attempts to send an event to a webhook endpoint, by outcome. Failing ones are retried.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of DELIVERY_OUTCOMES) deliveries.inc({ outcome }, 0);
  const endpointsDisabled = new Counter({
    name: 'valetkey_webhook_endpoints_disabled_total',
    help: 'Webhook endpoints that the broker has disabled, by reason.',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of ['gone', 'failing']) endpointsDisabled.inc({ reason }, 0);
  const deliveriesOpen = new Gauge({
    name: 'valetkey_deliveries_open',
    help: 'Deliveries to webhook endpoints that are neither delivered nor dead.',
    aggregator: 'max',
    registers,
  });
  const deliveryOldest = new Gauge({
    name: 'valetkey_delivery_oldest_open_seconds',
    help: 'Age of the oldest open delivery, in seconds; 0 without one.',
    aggregator: 'max',
    registers,
  });
  const deliveriesDead = new Gauge({
    name: 'valetkey_deliveries_dead',
    help: 'Deliveries that are not attempted any more, unless someone asks for it.',
    aggregator: 'max',
    registers,
  });
  const disabledEndpoints = new Gauge({
    name: 'valetkey_webhook_endpoints_disabled',
    help: 'Webhook endpoints that are disabled.',
    aggregator: 'max',
    registers,
  });
  const events = new Counter({
    name: 'valetkey_events_total',
    help: 'Events that this process has stored, by type.',
    labelNames: ['type'],
    registers,
  });
  for (const type of EVENT_TYPES) events.inc({ type }, 0);
  const sessionsMade = new Counter({
    name: 'valetkey_sessions_created_total',
    help: 'Agent sessions that this process has made.',
    registers,
  });
  const sessionsEnded = new Counter({
    name: 'valetkey_sessions_ended_total',
    help: 'Agent sessions that this process has ended before their time, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const sessionsLive = new Gauge({
    name: 'valetkey_sessions',
    help: 'Agent sessions that can be used.',
    aggregator: 'max',
    registers,
  });
  const storeErrors = new Counter({
    name: 'valetkey_store_errors_total',
    help: 'Store operations that failed, by operation.',
    labelNames: ['operation'],
    registers,
  });
  const rowsRefused = new Counter({
    name: 'valetkey_rows_refused_total',
    help: 'Reads of rows that something else than a broker has changed, by table.',
    labelNames: ['table'],
    registers,
  });
  const rowsEnforced = new Gauge({
    name: 'valetkey_row_authentication_enforced',
    help: 'Whether rows that are not authenticated are refused: 1 yes, 0 not before a key rotation.',
    aggregator: 'min',
    registers,
  });
  const storeUp = new Gauge({
    name: 'valetkey_store_up',
    help: 'Whether the store accepts writes: 1 yes, 0 no.',
    aggregator: 'min',
    registers,
  });
  const changeFeedLag = new Gauge({
    name: 'valetkey_change_feed_lag_seconds',
    help: 'Time since this process last read the change feed successfully, in seconds.',
    aggregator: 'max',
    registers,
  });
  const rescueFile = new Gauge({
    name: 'valetkey_rescue_file_entries',
    help: 'Token responses in the rescue file, waiting to be written to the store.',
    registers,
  });
  const auditBuffer = new Gauge({
    name: 'valetkey_audit_buffer_entries',
    help: 'Audit entries in memory, waiting to be written to the store.',
    registers,
  });
  const auditDropped = new Counter({
    name: 'valetkey_audit_entries_dropped_total',
    help: 'Audit entries dropped because the audit buffer was full.',
    registers,
  });
  const build = new Gauge({
    name: 'valetkey_build_info',
    help: 'Version of this broker, as a label. Always 1.',
    labelNames: ['version'],
    aggregator: 'max',
    registers,
  });
  build.set({ version }, 1);
  const encryptionKey = new Gauge({
    name: 'valetkey_encryption_key_info',
    help: 'Id of the key that this process encrypts with, as a label. Always 1.',
    labelNames: ['kid'],
    aggregator: 'max',
    registers,
  });
  encryptionKey.set({ kid: encryptionKid }, 1);

  const proxy = createProxyMetrics(registers);
  const capacity = createCapacityMetrics(registers);
  const answered = createBulk<Parameters<Telemetry['request']>>((events) => {
    let alike = 0;
    for (const [i, [route, method, status, seconds]] of events.entries()) {
      durations.observe({ route }, seconds);
      alike++;
      const next = events[i + 1];
      // Most are like the one before, and prom-client makes a text of the labels each time.
      if (next?.[0] === route && next[1] === method && next[2] === status) continue;
      requests.inc({ route, method, status }, alike);
      alike = 0;
    }
  });
  const lookups = { hit: 0, miss: 0 };

  function bringUpToDate(state: MetricsState): void {
    answered.flush();
    for (const outcome of ['hit', 'miss'] as const) {
      if (lookups[outcome] > 0) cacheLookups.inc({ outcome }, lookups[outcome]);
      lookups[outcome] = 0;
    }
    for (const gauge of [connections, connectionsFailing, due, oldestDue, circuitBreaker]) gauge.reset();
    proxy.set(state);
    capacity.set(state);
    for (const { integration, status, count, failing } of state.connections) {
      connections.set({ integration, status }, count);
      if (status === 'active') connectionsFailing.set({ integration }, failing);
      for (const outcome of REFRESH_OUTCOMES) refreshes.inc({ integration, outcome }, 0);
      for (const outcome of REVOCATION_OUTCOMES) revocations.inc({ integration, outcome }, 0);
    }
    for (const { integration, count, oldestMs } of state.due) {
      due.set({ integration }, count);
      oldestDue.set({ integration }, oldestMs / 1_000);
    }
    for (const { integration, state: value } of state.circuitBreakers) circuitBreaker.set({ integration }, value);
    connectionsAge.set((state.connectionsAgeMs ?? Number.NaN) / 1_000);
    inFlight.set(state.inFlight);
    storeUp.set(state.storeUp ? 1 : 0);
    rowsEnforced.set(state.rowsEnforced ? 1 : 0);
    changeFeedLag.set(state.changeFeedLagMs / 1_000);
    for (const name of ['open', 'failing', 'failed'] as const)
      if (state.jobs) jobs.set({ state: name }, state.jobs[name]);
    sessionsLive.set(state.agentSessions ?? Number.NaN);
    inboxDepth.set(state.inbox.open);
    inboxOldest.set(state.inbox.oldestMs / 1_000);
    rescueFile.set(state.rescued);
    deliveriesOpen.set(state.deliveries?.open ?? Number.NaN);
    deliveryOldest.set((state.deliveries?.oldestMs ?? Number.NaN) / 1_000);
    deliveriesDead.set(state.deliveries?.dead ?? Number.NaN);
    disabledEndpoints.set(state.deliveries?.disabledEndpoints ?? Number.NaN);
    auditBuffer.set(state.audit.waiting);
    auditDropped.reset();
    auditDropped.inc(state.audit.lost);
  }

  return {
    proxied: proxy.proxied,
    upstreamLimited: proxy.upstreamLimited,
    request: (...event) => answered.note(event),
    refresh(integration, outcome, remaining) {
      refreshes.inc({ integration, outcome });
      if (remaining !== null) remainingLifetime.observe({ integration }, remaining);
    },
    cache(outcome) {
      lookups[outcome]++;
    },
    connect: (integration, outcome) => connectFlows.inc({ integration, outcome }),
    revocation: (integration, outcome) => revocations.inc({ integration, outcome }),
    check: (integration, outcome) => checks.inc({ integration, outcome }),
    webhook: (integration, outcome) => webhooks.inc({ integration, outcome }),
    delivery: (outcome) => deliveries.inc({ outcome }),
    endpointDisabled: (reason) => endpointsDisabled.inc({ reason }),
    event: (type) => events.inc({ type }),
    agentSessionMade: () => sessionsMade.inc(),
    agentSessionsEnded: (reason, count) => sessionsEnded.inc({ reason }, count),
    signal: (integration, outcome) => signals.inc({ integration, outcome }),
    signalProcessed: (integration, type, outcome) => signalsProcessed.inc({ integration, type, outcome }),
    storeError: (operation) => storeErrors.inc({ operation }),
    rowRefused: (table) => rowsRefused.inc({ table }),
    render(state) {
      bringUpToDate(state);
      return registry.metrics();
    },
    collect(state) {
      bringUpToDate(state);
      return registry.getMetricsAsJSON();
    },
  };
}
