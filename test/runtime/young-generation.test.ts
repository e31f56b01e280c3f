// Flags of V8, each in a process of its own: a flag is the whole process's.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MODULE = new URL('../../src/runtime/young-generation.ts', import.meta.url).href;
/** All of it is alive at each collection, as the first refreshes are. */
const BURST = 'const kept = []; for (let i = 0; i < 100_000; i++) kept.push({ i, of: [i] });';

/** How often V8 has judged where to allocate. */
function judgementsOf(source: string): number {
  const args = ['--trace-pretenuring-statistics', '--input-type=module', '-e', source];
  const told = execFileSync(process.execPath, args, { encoding: 'utf8', cwd: fileURLToPath(new URL('.', MODULE)) });
  return told.split('pretenuring: threshold').length - 1;
}

test('pretenuring: once it is stopped, V8 judges no allocations by what its first collections found alive', () => {
  expect(judgementsOf(BURST)).toBeGreaterThan(0);
  expect(judgementsOf(`const { stopPretenuring } = await import('${MODULE}'); stopPretenuring(); ${BURST}`)).toBe(0);
});

test('young generation: grows with what survives, once the process has been serving for a while', () => {
  const source = `
    const v8 = await import('node:v8');
    const { growYoungGenerationLater } = await import('${MODULE}');
    v8.setFlagsFromString('--semi-space-growth-factor=1');
    const sizeAfterBurst = () => {
      ${BURST}
      return v8.getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size;
    };
    const before = sizeAfterBurst();
    growYoungGenerationLater(1);
    await new Promise((passed) => setTimeout(passed, 2));
    console.log(JSON.stringify({ before, after: sizeAfterBurst() }));`;
  const args = ['--input-type=module', '-e', source];
  const { before, after } = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  expect(before).toBeLessThan(4 * 2 ** 20);
  expect(after).toBeGreaterThan(2 * before);
});
