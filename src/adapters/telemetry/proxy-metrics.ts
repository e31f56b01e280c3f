// The metrics of calls through the API proxy, and of the limits and hosts that they meet.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { MetricsState, Telemetry } from '../../ports/index.ts';
import { createBulk } from './bulk.ts';

interface ProxyMetrics extends Pick<Telemetry, 'proxied' | 'upstreamLimited'> {
  /** Before the metrics are rendered. */
  set(state: Pick<MetricsState, 'upstreamWaiting' | 'upstreamBreakers'>): void;
}

export function createProxyMetrics(registers: Registry[]): ProxyMetrics {
  const calls = new Counter({
    name: 'valetkey_proxied_calls_total',
    help: 'Calls through the proxy, by integration, method and outcome: the class of the status (2xx), or the code of the problem.',
    labelNames: ['integration', 'method', 'outcome'],
    registers,
  });
  const attempts = new Counter({
    name: 'valetkey_proxied_attempts_total',
    help: 'Requests sent to APIs for calls through the proxy, by integration.',
    labelNames: ['integration'],
    registers,
  });
  const durations = new Histogram({
    name: 'valetkey_proxied_first_byte_seconds',
    help: 'Time until an API answered a call through the proxy, by integration, waits and attempts included, in seconds.',
    labelNames: ['integration'],
    buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30],
    registers,
  });
  const upstreamLimits = new Counter({
    name: 'valetkey_upstream_limits_total',
    help: 'Calls through the proxy that met a limit, by integration, scope and outcome: told by the API, or refused unsent.',
    labelNames: ['integration', 'scope', 'outcome'],
    registers,
  });
  const upstreamWaiting = new Gauge({
    name: 'valetkey_upstream_waiting',
    help: 'Calls that wait for a limit of an API, by integration.',
    labelNames: ['integration'],
    registers,
  });
  const upstreamBreakers = new Gauge({
    name: 'valetkey_upstream_breaker_state',
    help: 'Circuit breakers of API hosts that are not closed, for all callers or for some: 0.25 recovering, 0.5 half-open, 1 open.',
    labelNames: ['integration', 'host', 'scope'],
    aggregator: 'max',
    registers,
  });
  const proxied = createBulk<Parameters<Telemetry['proxied']>>((events) => {
    for (const [integration, method, outcome, seconds, made] of events) {
      const isStatus = /^\d{3}$/.test(outcome);
      calls.inc({ integration, method, outcome: isStatus ? `${outcome[0]}xx` : outcome });
      attempts.inc({ integration }, made);
      durations.observe({ integration }, seconds);
    }
  });
  return {
    upstreamLimited: (integration, scope, outcome) => upstreamLimits.inc({ integration, scope, outcome }),
    set(state) {
      proxied.flush();
      for (const gauge of [upstreamWaiting, upstreamBreakers]) gauge.reset();
      for (const { integration, count } of state.upstreamWaiting) upstreamWaiting.set({ integration }, count);
      for (const { integration, host, scope, state: value } of state.upstreamBreakers)
        upstreamBreakers.set({ integration, host, scope }, value);
    },
    proxied: (...event) => proxied.note(event),
  };
}
