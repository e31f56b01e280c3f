// The last metrics of each worker, for sums over all that never decrease: Prometheus takes a decrease for a restart.
import type { CollectedMetrics } from '../../ports/index.ts';

export interface LastMetrics {
  note(worker: number, metrics: CollectedMetrics): void;
  /** The worker has ended: its counters stay in the sums, its gauges do not. */
  retire(worker: number): void;
  /** Those of all others, and of all that have ended. */
  without(worker: number): Promise<CollectedMetrics[]>;
}

export function createLastMetrics(): LastMetrics {
  const last = new Map<number, CollectedMetrics>();
  let retired: Promise<CollectedMetrics[]> = Promise.resolve([]);

  async function add(before: Promise<CollectedMetrics[]>, metrics: CollectedMetrics): Promise<CollectedMetrics[]> {
    const { mergedCounters } = await import('../../adapters/telemetry/merged-metrics.ts');
    return [await mergedCounters([...(await before), metrics])];
  }

  return {
    note: (worker, metrics) => void last.set(worker, metrics),
    retire(worker) {
      const metrics = last.get(worker);
      last.delete(worker);
      const before = retired;
      if (metrics) retired = add(before, metrics).catch(() => before);
    },
    without: async (worker) => [
      ...[...last].filter(([of]) => of !== worker).map(([, metrics]) => metrics),
      ...(await retired),
    ],
  };
}
