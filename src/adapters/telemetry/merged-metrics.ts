// The metrics of several processes as one: counters are sums, and each gauge says how it is merged (`aggregator`).
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
import type { CollectedMetrics, WorkersState } from '../../ports/index.ts';

type Collected = MetricObjectWithValues<MetricValue<string>>[];

/** Prometheus text. `workers` undefined: it is not known. */
export async function mergedText(all: readonly CollectedMetrics[], workers: WorkersState | undefined): Promise<string> {
  const texts = [merged(all).metrics(), ...(workers ? [ofWorkers(workers).metrics()] : [])];
  return (await Promise.all(texts)).join('\n');
}

/** What processes that have ended leave behind. */
export async function mergedCounters(all: readonly CollectedMetrics[]): Promise<CollectedMetrics> {
  const metrics = (await merged(all).getMetricsAsJSON()) as Collected;
  // The type is a word in what is collected, whatever the declaration says.
  return metrics.filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
}

const merged = (all: readonly CollectedMetrics[]): Registry => AggregatorRegistry.aggregate(all as Collected[]);

function ofWorkers({ wanted, running, restarts }: WorkersState): Registry {
  const registry = new Registry();
  const registers = [registry];
  const workers = new Gauge({
    name: 'valetkey_workers',
    help: 'Worker processes of this deployment on this machine, by state: wanted, running.',
    labelNames: ['state'],
    registers,
  });
  workers.set({ state: 'wanted' }, wanted);
  workers.set({ state: 'running' }, running);
  new Counter({
    name: 'valetkey_worker_restarts_total',
    help: 'Worker processes that were started in the place of one that had ended.',
    registers,
  }).inc(restarts);
  return registry;
}
