// Metrics that say how near this deployment is to what it can do: refreshes against their rate, and waits for the database.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { MetricsState } from '../../ports/index.ts';

interface CapacityMetrics {
  /** Before the metrics are rendered. */
  set(state: Pick<MetricsState, 'refreshLoad' | 'databaseWaits'>): void;
}

export function createCapacityMetrics(registers: Registry[]): CapacityMetrics {
  const refreshLoad = new Gauge({
    name: 'valetkey_refresh_load_ratio',
    help: 'Refreshes that are due by the end of the window, divided by those that VALETKEY_REFRESH_RATE allows in it, by integration and window (5m, 1h).',
    labelNames: ['integration', 'window'],
    aggregator: 'max',
    registers,
  });
  const waiting = new Gauge({
    name: 'valetkey_database_operations_waiting',
    help: 'Operations that wait for a connection to the database.',
    registers,
  });
  const waits = new Counter({
    name: 'valetkey_database_waits_total',
    help: 'Operations that had to wait for a connection to the database.',
    registers,
  });
  const waitSeconds = new Counter({
    name: 'valetkey_database_wait_seconds_total',
    help: 'Time that operations have waited for a connection to the database, in seconds.',
    registers,
  });
  const timeouts = new Counter({
    name: 'valetkey_database_wait_timeouts_total',
    help: 'Operations that were refused since no connection to the database became free in time.',
    registers,
  });

  return {
    set({ refreshLoad: loads, databaseWaits }) {
      refreshLoad.reset();
      for (const { integration, window, ratio } of loads) refreshLoad.set({ integration, window }, ratio);
      waiting.set(databaseWaits.waiting);
      for (const [counter, value] of [
        [waits, databaseWaits.waited],
        [waitSeconds, databaseWaits.waitedMs / 1_000],
        [timeouts, databaseWaits.timedOut],
      ] as const) {
        counter.reset();
        counter.inc(value);
      }
    },
  };
}
