// The benchmarks run and tell what they measured; how quick anything is, no test says.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const bench = (...args: string[]) => run(process.execPath, ['bench/main.ts', ...args]);

it('prints one JSON object with a ratio against the baseline of the same run', async () => {
  const { stdout } = await bench('--json', '--quick', '--only', 'tick');
  const { figures, failed } = JSON.parse(stdout);
  expect(failed).toEqual([]);
  expect(figures).toMatchObject([{ name: 'tick', floor: 3, goal: 1.2, unit: 'ms' }]);
  const [{ ratio, spread, ratios, ours, against }] = figures;
  expect(ratios).toHaveLength(3);
  expect(spread).toEqual([Math.min(...ratios), Math.max(...ratios)]);
  expect(ratios).toContain(ratio);
  expect(Math.min(ours, against)).toBeGreaterThan(0);
});

it('names the figures that there are when it is asked for another', async () => {
  await expect(bench('--only', 'warm,cool')).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/no figure cool\..*warm, warm-owner, .*cold/),
  });
});
