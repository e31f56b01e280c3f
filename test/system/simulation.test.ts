// The simulation runs, and its curve has the shape that the engine promises: what is due is refreshed in time, an outage is
// probed and not stormed, and its backlog is worked off within the allowed rate. No test checks how fast anything is.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { optionsOf } from '../../bench/simulation/options.ts';
import type { Summary } from '../../bench/simulation/report.ts';
import { isLong } from '../support/long.ts';
import { hasPostgres } from '../support/postgres.ts';

const run = promisify(execFile);
const simulate = (...args: string[]) => run(process.execPath, ['bench/simulation/main.ts', ...args]);

describe('a quarter of an hour of ten thousand connections, with an outage of five minutes', () => {
  const RATE = 100;
  let summary: Summary;
  beforeAll(async () => {
    const { stdout } = await simulate(
      ...['--json', '--connections', '10000', '--integrations', '2', '--hours', '0.25', '--rate', `${RATE}`],
    );
    summary = JSON.parse(stdout);
  });
  const during = (from: number, until: number) => summary.minutes.slice(from, until);
  const sum = (values: number[]) => values.reduce((total, one) => total + one, 0);

  it('passes as much virtual time as was asked for', () => {
    expect(summary).toMatchObject({ connections: 10_000, passedMs: 15 * 60_000, wantedMs: 15 * 60_000 });
    expect(summary.minutes).toHaveLength(15);
  });

  it('without a fault, refreshes all that is due within two ticks of the scheduler', () => {
    expect(summary.lateness.calm.refreshes).toBeGreaterThan(100);
    expect(summary.lateness.calm.maxMs).toBeLessThan(2_500);
  });

  it('in the outage, opens the circuits and probes', () => {
    const outage = during(5, 9);
    expect(sum(outage.map(({ refreshed }) => refreshed))).toBe(0);
    expect(sum(outage.map(({ openSeconds }) => openSeconds))).toBe(2 * 4 * 60);
    expect(sum(outage.map(({ failed }) => failed))).toBeGreaterThan(0);
    expect(sum(outage.map(({ failed }) => failed))).toBeLessThan(60);
    expect(summary.outage?.backlog).toBeGreaterThan(500);
  });

  it('after it, works the backlog off within the allowed rate and a burst', () => {
    expect(summary.outage?.goneAfterMs).toBeLessThan(3 * 60_000);
    expect(summary.stampede?.second).toBeGreaterThan(0.2);
    // A burst of `VALETKEY_REFRESH_CONCURRENCY` beside it.
    expect(summary.stampede?.second).toBeLessThanOrEqual(1 + 32 / RATE);
    expect(summary.stampede?.tenSeconds).toBeLessThanOrEqual(1 + 32 / (10 * RATE));
    expect(summary.minutes.at(-1)?.backlog).toBeLessThan(10);
    expect(sum(summary.minutes.map(({ due }) => due)) - summary.refreshes).toBeLessThan(10);
  });

  it('counts what the database has to do', () => {
    const { statements, commits, logBytes, bytes } = summary.work;
    expect(statements).toBeGreaterThan(5 * summary.refreshes);
    expect(commits).toBeGreaterThan(0);
    expect(commits).toBeLessThan(statements);
    expect(logBytes).toBeGreaterThan(1_000 * summary.refreshes);
    expect(bytes).toBeGreaterThan(500 * 10_000);
  });
});

it('the same seed has the same curve and the same rows', async () => {
  const small = ['--json', '--connections', '500', '--hours', '0.05', '--seed', '7'];
  const runs = await Promise.all([simulate(...small), simulate(...small)]);
  const [first, second] = runs.map(({ stdout }) => {
    const { seededSeconds, brokerSeconds, realSeconds, work, ...curve } = JSON.parse(stdout) as Summary;
    expect(Math.min(seededSeconds, brokerSeconds, realSeconds, curve.refreshes)).toBeGreaterThan(0);
    // How much shares a commit, and so which of several is looked for first and how late the last one is, hangs on when the disk, and
    // the thread that has the lock, are done: they know no virtual time.
    const lateness = Object.entries(curve.lateness).map(([when, { p50Ms, p99Ms, maxMs, ...late }]) => {
      expect(p50Ms).toBeLessThanOrEqual(p99Ms);
      expect(p99Ms).toBeLessThanOrEqual(maxMs);
      return [when, late];
    });
    const { goneAfterMs, ...outage } = curve.outage!;
    expect(goneAfterMs).toBeGreaterThan(0);
    const minutes = curve.minutes.map(({ latest, ...minute }) => minute);
    return { ...curve, lateness, outage, minutes, tables: work.tables };
  });
  expect(first).toEqual(second);
});

it.runIf(isLong && hasPostgres())('on PostgreSQL: the same shape, and what the server had to do', async () => {
  const { stdout } = await simulate('--json', '--connections', '2000', '--hours', '0.1', '--store', 'postgres');
  const { lateness, refreshes, outage, work } = JSON.parse(stdout) as Summary;
  expect(refreshes).toBeGreaterThan(100);
  expect(lateness.calm.maxMs).toBeLessThan(2_500);
  expect(outage?.goneAfterMs).toBeLessThan(2 * 60_000);
  expect(work.statements).toBeGreaterThan(5 * refreshes);
  expect(work.commits).toBeGreaterThan(2 * refreshes);
  expect(work.logBytes).toBeGreaterThan(1_000 * refreshes);
  expect(work.tables.map(({ table }) => table)).toContain('connections');
});

it.each([
  ['--hours', '0', 'above 0'],
  ['--store', 'oracle', 'sqlite or postgres'],
  ['--connections', '1.5', 'whole number'],
])('simulate %s %s: says what it accepts', (option, value, words) => {
  expect(() => optionsOf([option, value])).toThrow(words);
});
