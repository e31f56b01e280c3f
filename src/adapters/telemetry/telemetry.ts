// Metrics (Prometheus) and logs (pino). Neither ever holds a secret: labels are ids and codes, and what a log line could
// carry by accident is censored.
import { type LoggerOptions, pino } from 'pino';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Logger, Telemetry } from '../../ports/index.ts';

/** Of these, each integration has a series that begins at zero: Prometheus sees no increase in one that begins at one. */
const REFRESH_OUTCOMES = [
  'ok',
  'transient',
  'invalid',
  'misconfigured',
  'grant_revoked',
  'identity_changed',
  'credentials_rejected',
  'refresh_outcome_unknown',
];
const REVOCATION_OUTCOMES = ['done', 'pending', 'failed'];

/** `version`: of this broker; `sealingKid`: the id of the key that it seals with. */
export function createTelemetry({ version, sealingKid }: { version: string; sealingKid: string }): Telemetry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Counter({
    name: 'valetkey_http_requests_total',
    help: 'Requests by route, method and status',
    labelNames: ['route', 'method', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'valetkey_http_request_duration_seconds',
    help: 'Seconds until a request was answered, by route',
    labelNames: ['route'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5, 15],
    registers,
  });
  const refreshes = new Counter({
    name: 'valetkey_refreshes_total',
    help: 'Refreshes at providers, by integration and outcome',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const lifeLeft = new Histogram({
    name: 'valetkey_refresh_life_left_seconds',
    help: 'Seconds that a token still had when its refresh was done; below zero it was late',
    labelNames: ['integration'],
    buckets: [-300, -60, -1, 0, 1, 5, 30, 60, 120, 240, 300, 600, 3_600],
    registers,
  });
  const due = new Gauge({
    name: 'valetkey_refreshes_due',
    help: 'Refreshes whose time has come, by integration',
    labelNames: ['integration'],
    registers,
  });
  const overdue = new Gauge({
    name: 'valetkey_refresh_oldest_due_seconds',
    help: 'For how long the oldest refresh has been due, by integration',
    labelNames: ['integration'],
    registers,
  });
  const inFlight = new Gauge({
    name: 'valetkey_refreshes_in_flight',
    help: 'Refreshes at providers just now',
    registers,
  });
  const circuit = new Gauge({
    name: 'valetkey_circuit_state',
    help: 'Circuit of an integration: 0 closed, 0.5 probing, 1 open',
    labelNames: ['integration'],
    registers,
  });
  const reads = new Counter({
    name: 'valetkey_token_cache_total',
    help: 'Token reads that the serving cache knew (hit) or not (miss)',
    labelNames: ['outcome'],
    registers,
  });
  const connections = new Gauge({
    name: 'valetkey_connections',
    help: 'Connections by integration and status',
    labelNames: ['integration', 'status'],
    registers,
  });
  const connects = new Counter({
    name: 'valetkey_connects_total',
    help: 'Ends of browser flows, by integration and outcome',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const revocations = new Counter({
    name: 'valetkey_upstream_revocations_total',
    help: 'Tries to revoke at providers, by integration and outcome; pending is tried again',
    labelNames: ['integration', 'outcome'],
    registers,
  });
  const storeErrors = new Counter({
    name: 'valetkey_store_errors_total',
    help: 'What the store could not do, by what it was asked',
    labelNames: ['sentence'],
    registers,
  });
  const storeUp = new Gauge({
    name: 'valetkey_store_up',
    help: 'Whether the store can be written to: 1 or 0',
    registers,
  });
  const newsAge = new Gauge({
    name: 'valetkey_news_age_seconds',
    help: 'Seconds since this process last looked with success for what others have changed',
    registers,
  });
  const rescued = new Gauge({
    name: 'valetkey_rescued_answers',
    help: 'Answers of providers that wait beside the store, which would not take them',
    registers,
  });
  const auditWaiting = new Gauge({
    name: 'valetkey_audit_entries_waiting',
    help: 'Audit entries that are not written yet',
    registers,
  });
  const auditLost = new Counter({
    name: 'valetkey_audit_entries_lost_total',
    help: 'Audit entries that were given up, because the store was away for too long',
    registers,
  });
  const build = new Gauge({
    name: 'valetkey_build_info',
    help: 'Always 1; its label tells the version',
    labelNames: ['version'],
    registers,
  });
  build.set({ version }, 1);
  const sealing = new Gauge({
    name: 'valetkey_sealing_key',
    help: 'Always 1; its label tells the id of the key that this process seals with',
    labelNames: ['kid'],
    registers,
  });
  sealing.set({ kid: sealingKid }, 1);

  return {
    request(route, method, status, seconds) {
      requests.inc({ route, method, status });
      durations.observe({ route }, seconds);
    },
    refresh(integration, outcome, left) {
      refreshes.inc({ integration, outcome });
      if (left !== null) lifeLeft.observe({ integration }, left);
    },
    cache: (outcome) => reads.inc({ outcome }),
    connect: (integration, outcome) => connects.inc({ integration, outcome }),
    revocation: (integration, outcome) => revocations.inc({ integration, outcome }),
    storeError: (sentence) => storeErrors.inc({ sentence }),
    render(state) {
      for (const gauge of [connections, due, overdue, circuit]) gauge.reset();
      for (const { integration, status, count } of state.connections) {
        connections.set({ integration, status }, count);
        for (const outcome of REFRESH_OUTCOMES) refreshes.inc({ integration, outcome }, 0);
        for (const outcome of REVOCATION_OUTCOMES) revocations.inc({ integration, outcome }, 0);
      }
      for (const { integration, count, oldestMs } of state.due) {
        due.set({ integration }, count);
        overdue.set({ integration }, oldestMs / 1_000);
      }
      for (const { integration, state: value } of state.circuitBreakers) circuit.set({ integration }, value);
      inFlight.set(state.inFlight);
      storeUp.set(state.storeUp ? 1 : 0);
      newsAge.set(state.changeFeedLagMs / 1_000);
      rescued.set(state.rescued);
      auditWaiting.set(state.audit.waiting);
      auditLost.reset();
      auditLost.inc(state.audit.lost);
      return registry.metrics();
    },
  };
}

/** Names under which a library's object or a careless line could carry a secret. */
const CENSORED = new Set([
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'code',
  'code_verifier',
  'key',
  'password',
  'authorization',
  'cookie',
  'token',
]);

/** How far into an object a line goes; what lies deeper is left out. */
const MOST_DEPTH = 4;

/** One JSON object a line, at a pino level; on stdout, or on stderr (2) where stdout is for an answer. */
export function createLogger(level: string, to: 1 | 2 = 1): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }), log: censored },
    // Told by then; the serializer of pino would take it apart once more.
    serializers: { err: (error: unknown) => error },
  };
  return pino(options, linesOfATurn(to));
}

/**
 * Writes what is said within one turn of the event loop at once, when the turn or the process ends: a busy broker says
 * much in one, and a write for each line costs as much as a statement of the database.
 */
function linesOfATurn(to: 1 | 2): { write(line: string): void } {
  const file = pino.destination(to);
  let held = '';
  let begun = false;
  const flush = () => {
    file.write(held);
    held = '';
  };
  const end = () => {
    if (held === '') return;
    flush();
    file.flushSync();
  };
  return {
    write(line) {
      if (!begun) process.once('exit', end);
      begun = true;
      if (held === '') setImmediate(flush);
      held += line;
    },
  };
}

/** The names of the line itself are our own: a code may be told. Nearly every line is flat, and is taken as it is. */
function censored(line: Record<string, unknown>): Record<string, unknown> {
  for (const name in line) if (typeof line[name] === 'object') return mapped(line, (value) => told(value, 1));
  return line;
}

function told(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return errorOf(value);
  if (depth > MOST_DEPTH) return '[…]';
  if (Array.isArray(value)) return value.map((one) => told(one, depth + 1));
  return mapped(value, (inner, name) => (CENSORED.has(name) ? '[redacted]' : told(inner, depth + 1)));
}

const mapped = (record: object, map: (value: unknown, name: string) => unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));

/** Type, message, code and stack of an error and its causes; none of the other members, where libraries put bodies. */
function errorOf(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? error.code : undefined;
  return { name, message, code, stack, ...(cause !== undefined && { cause: errorOf(cause) }) };
}
