// That V8 allocates nothing in the old generation for what its first collections found, in a process of its own: a flag is the
// whole process's.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const MODULE = new URL('../../src/runtime/pretenuring.ts', import.meta.url).href;
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
