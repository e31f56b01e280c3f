// The benchmarks run and report. No test checks how fast anything is.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const bench = (...args: string[]) => run(process.execPath, ['bench/main.ts', ...args]);

it('bench --json: prints one object with a ratio against the baseline of the same run', async () => {
  const { stdout } = await bench('--json', '--quick', '--only', 'tick');
  const { figures, failed, disturbances } = JSON.parse(stdout);
  expect(failed).toEqual([]);
  expect(disturbances).toHaveLength(1);
  expect(disturbances[0].taken).toBeGreaterThanOrEqual(0);
  expect(disturbances[0].taken).toBeLessThan(1);
  expect(disturbances[0].longestMs).toBeLessThan(Infinity);
  expect(figures).toMatchObject([{ name: 'tick', floor: 3, goal: 1.2, unit: 'ms' }]);
  const [{ ratio, spread, ratios, ours, against }] = figures;
  expect(ratios).toHaveLength(3);
  expect(spread).toEqual([Math.min(...ratios), Math.max(...ratios)]);
  expect(ratios).toContain(ratio);
  expect(Math.min(ours, against)).toBeGreaterThan(0);
});

it('bench --only: an unknown figure exits with 2 and lists the known ones', async () => {
  await expect(bench('--only', 'warm,cool')).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/no figure cool\..*warm, warm-owner, .*cold/),
  });
});
