// The metrics of calls through the API proxy.
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Telemetry } from '../../ports/index.ts';

export function createProxyMetrics(registers: Registry[]): Pick<Telemetry, 'proxied'> {
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
  return {
    proxied(integration, method, outcome, seconds, made) {
      const isStatus = /^\d{3}$/.test(outcome);
      calls.inc({ integration, method, outcome: isStatus ? `${outcome[0]}xx` : outcome });
      attempts.inc({ integration }, made);
      durations.observe({ integration }, seconds);
    },
  };
}
