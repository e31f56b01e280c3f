// Flags of V8, each in a process of its own: a flag is the whole process's.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { START_FLAGS } from '../../src/runtime/v8-flags.ts';

const MODULE = new URL('../../src/runtime/v8-flags.ts', import.meta.url).href;
/** All of it is alive at each collection, as the first refreshes are. */
const burst = (objects: number): string =>
  `const kept = []; for (let i = 0; i < ${objects}; i++) kept.push({ i, of: [i] });`;

/** How often V8 has judged where to allocate. */
function judgementsOf(source: string): number {
  const args = ['--trace-pretenuring-statistics', '--input-type=module', '-e', source];
  const told = execFileSync(process.execPath, args, { encoding: 'utf8', cwd: fileURLToPath(new URL('.', MODULE)) });
  return told.split('pretenuring: threshold').length - 1;
}

test('pretenuring: once it is stopped, V8 judges no allocations by what its first collections found alive', () => {
  expect(judgementsOf(burst(400_000))).toBeGreaterThan(0);
  expect(
    judgementsOf(`const { stopPretenuring } = await import('${MODULE}'); stopPretenuring(); ${burst(400_000)}`),
  ).toBe(0);
});

const LATER = 'endStartFlagsLater(1); await new Promise((passed) => setTimeout(passed, 2));';

/** What V8 traces of a source that runs under the flags of a start, and again when they have ended. */
function tracedAroundTheEnd(trace: string, source: string, end: string): [before: string, after: string] {
  const ended = `
    const v8 = await import('node:v8');
    const { endStartFlagsLater, expectWork, START_FLAGS } = await import('${MODULE}');
    v8.setFlagsFromString(START_FLAGS.start);
    const run = () => { ${source} };
    run();
    console.log('the end');
    ${end}
    run();`;
  const told = execFileSync(process.execPath, [trace, '--input-type=module', '-e', ended], { encoding: 'utf8' });
  return told.split('the end') as [string, string];
}

test('flags of a start: the young generation grows with what survives once they have ended', () => {
  const traced = tracedAroundTheEnd('--trace-gc', burst(400_000), LATER);
  // Of the size of a generation V8 tells pages that are not freed yet: how often it is full is its size.
  const [before, after] = traced.map((lines) => lines.split('Scavenge').length - 1) as [number, number];
  expect(before).toBeGreaterThan(4 * after);
});

const ENDS: [string, string][] = [
  ['once they have ended', LATER],
  ['from the first request on', 'expectWork();'],
];

test.each(ENDS)('flags of a start: V8 marks beside the program %s', (_, end) => {
  const traced = tracedAroundTheEnd('--trace-gc', burst(400_000), end);
  expect(traced.map((lines) => lines.includes('steps since start of marking'))).toEqual([false, true]);
});

test.each(ENDS)('flags of a start: V8 optimizes what runs some thousand times %s', (_, end) => {
  const run = `
    const often = new Function('return function often(i) { return i % 3 + i % 5 + i % 7; }')();
    let sum = 0;
    for (let i = 0; i < 2_000; i++) sum += often(i);
    return sum;`;
  const [before, after] = tracedAroundTheEnd('--trace-opt', run, end);
  expect(before).not.toMatch(/compiling method .*\boften\b/);
  expect(after).toMatch(/compiling method .*\boften\b/);
});

test('flags of a start: what ends them are the defaults of V8', () => {
  const described = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  for (const flag of START_FLAGS.default.split(' ')) expect(described).toMatch(new RegExp(`default: ${flag}$`, 'm'));
});
