// The metrics of several workers as one.
import { beforeAll, expect, test } from 'vitest';
import { mergedCounters, mergedText } from '../../../src/adapters/telemetry/merged-metrics.ts';
import { createMetrics } from '../../../src/adapters/telemetry/metrics.ts';
import type { CollectedMetrics, MetricsState } from '../../../src/ports/index.ts';
import { read } from '../../support/deploy-files.ts';

const STATE: MetricsState = {
  connections: [{ integration: 'acme', status: 'active', count: 7, failing: 1 }],
  connectionsAgeMs: 1_000,
  due: [{ integration: 'acme', count: 3, oldestMs: 2_000 }],
  refreshLoad: [{ integration: 'acme', window: '1h', ratio: 0.5 }],
  databaseWaits: { waiting: 1, waited: 3, waitedMs: 4_000, timedOut: 2 },
  inFlight: 2,
  circuitBreakers: [{ integration: 'acme', state: 0 }],
  upstreamWaiting: [{ integration: 'acme', count: 4 }],
  upstreamBreakers: [],
  storeUp: true,
  changeFeedLagMs: 10,
  rowsEnforced: true,
  rescued: 0,
  inbox: { open: 5, oldestMs: 0 },
  deliveries: { open: 6, oldestMs: 0, dead: 0, disabledEndpoints: 1 },
  jobs: { open: 1, failing: 0, failed: 0 },
  agentSessions: 9,
  audit: { waiting: 8, lost: 1 },
};

/** Of a worker that has answered so many reads. As another process gets them. */
async function collected(reads: number, state: Partial<MetricsState> = {}): Promise<CollectedMetrics> {
  const metrics = createMetrics({ version: '1', encryptionKid: 'k1' });
  for (let i = 0; i < reads; i++) metrics.request('/v1/token', 'GET', 200, 0.002);
  return structuredClone(await metrics.collect({ ...STATE, ...state }));
}

const READS = 'valetkey_http_requests_total{route="/v1/token",method="GET",status="200"}';
const valueIn = (text: string, series: string): number | undefined => {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

let text: string;
beforeAll(async () => {
  const all = [
    await collected(3),
    await collected(4, { storeUp: false, circuitBreakers: [{ integration: 'acme', state: 1 }] }),
  ];
  text = await mergedText(all, { wanted: 3, running: 2, restarts: 5 });
});

test.each([
  [READS, 7],
  ['valetkey_http_request_duration_seconds_count{route="/v1/token"}', 7],
  ['valetkey_refreshes_in_flight', 4],
  ['valetkey_upstream_waiting{integration="acme"}', 8],
  ['valetkey_audit_entries_dropped_total', 2],
  ['valetkey_connections{integration="acme",status="active"}', 7],
  ['valetkey_refreshes_due{integration="acme"}', 3],
  ['valetkey_sessions', 9],
  ['valetkey_store_up', 0],
  ['valetkey_circuit_breaker_state{integration="acme"}', 1],
  ['valetkey_build_info{version="1"}', 1],
  ['valetkey_workers{state="running"}', 2],
  ['valetkey_worker_restarts_total', 5],
])('metrics of two workers: %s is %i', (series, value) => {
  expect(valueIn(text, series)).toBe(value);
});

test('metrics of workers: what describes the database is no sum, as the documentation says', async () => {
  const rows = [...read('docs/operations.md').matchAll(/^\| `(valetkey_\w+)`.*\| gauge \| (.*) \|$/gm)];
  const shared = rows.filter(([, , meaning]) => /; shared\b/.test(meaning!)).map(([, name]) => name!);
  expect(shared.length).toBeGreaterThan(8);
  const metrics = (await collected(0)) as { name: string; aggregator: string }[];
  const summed = shared.filter((name) => metrics.find((one) => one.name === name)?.aggregator === 'sum');
  expect(summed).toEqual([]);
});

test('worker that has ended: its counters stay in the sums, its gauges do not', async () => {
  const ended = await mergedCounters([await collected(2), await mergedCounters([await collected(5)])]);
  const all = await mergedText([await collected(1), ended], undefined);
  expect(valueIn(all, READS)).toBe(8);
  expect(valueIn(all, 'valetkey_refreshes_in_flight')).toBe(2);
  expect(all).not.toContain('valetkey_workers');
});
