// The logger, run in a process whose output is read.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const LOGGER = fileURLToPath(new URL('../../../src/adapters/telemetry/logger.ts', import.meta.url));

/** Runs a program with a `log`, and returns the lines that it wrote. */
function lines(program: string): Record<string, unknown>[] {
  const source = `import { createLogger } from ${JSON.stringify(LOGGER)}; const log = createLogger('info'); ${program}`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('line: one JSON object with level, time, fields and message', () => {
  const [line] = lines(`log.info({ code: 'http_503', left: undefined, none: null }, 'message')`);
  expect(line).toEqual({ level: 'info', time: expect.any(String), code: 'http_503', none: null, msg: 'message' });
});

test('secrets: redacted at any depth', () => {
  const [line] = lines(`
    const body = { access_token: 'CANARY', scope: 'read', more: [{ password: 'CANARY' }] };
    log.error({ body, answer: { body }, deep: { a: { b: { c: { d: { e: 'CANARY' } } } } } }, 'message')`);
  const clean = { access_token: '[redacted]', scope: 'read', more: [{ password: '[redacted]' }] };
  expect(line).toMatchObject({ body: clean, answer: { body: clean } });
  expect(JSON.stringify(line)).not.toContain('CANARY');
});

test('error: name, message, code and stack of it and its causes, nothing else', () => {
  const [line] = lines(`
    const cause = Object.assign(new Error('inner'), { code: 'E_INNER', response: { body: 'CANARY' } });
    log.error({ err: new TypeError('outer', { cause }), other: cause }, 'message')`);
  const inner = { name: 'Error', message: 'inner', code: 'E_INNER', stack: expect.any(String) };
  expect(line?.err).toEqual({ name: 'TypeError', message: 'outer', stack: expect.any(String), cause: inner });
  expect(line?.other).toEqual(inner);
});

test('thrown value that is no error: written as it is', () => {
  expect(lines(`log.warn({ err: 'gone' }, 'message')`)[0]).toMatchObject({ err: 'gone' });
});

test('circular object: cut off', () => {
  const [line] = lines(`const ring = { name: 'r' }; ring.self = ring; log.info({ ring }, 'message')`);
  expect(line).toMatchObject({ ring: { name: 'r', self: { name: 'r' } } });
});

test('process exit: the last lines are written', () => {
  expect(lines(`log.info({}, 'message'); process.exit()`)).toMatchObject([{ msg: 'message' }]);
  expect(lines(`log.info({}, 'one'); setImmediate(() => { log.info({}, 'two'); process.exit(); })`)).toHaveLength(2);
});

test('many lines in one turn of the event loop: in order and complete', () => {
  const many = lines(`for (let n = 0; n < 5_000; n++) log.info({ n, word: 'ü'.repeat(n % 50) }, 'message')`);
  expect(many.map(({ n }) => n)).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
});

test('workers: each line says of which it is, and lines of several that fill a pipe are not torn apart', async () => {
  const log = (worker: number) =>
    `import { createLogger } from ${JSON.stringify(LOGGER)}; const log = createLogger('info', 1, ${worker});
    for (let n = 0; n < 3_000; n++) log.info({ n, word: 'ü'.repeat(n % 200) }, 'message');`;
  const run = (worker: number) => `"$NODE" --input-type=module -e "$LOG_${worker}" &`;
  const env = { NODE: process.execPath, LOG_1: log(1), LOG_2: log(2) };
  const { stdout } = spawnSync('sh', ['-c', `(${run(1)} ${run(2)} wait) | cat`], {
    env,
    encoding: 'utf8',
    maxBuffer: 100_000_000,
  });
  const written = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { worker: number; n: number });
  for (const worker of [1, 2])
    expect(written.filter((line) => line.worker === worker).map(({ n }) => n)).toEqual(
      Array.from({ length: 3_000 }, (_, n) => n),
    );
});

test('what a terminal obeys or does not show: an escape sequence of JSON', () => {
  const source = `log.info({ owner: 'a\\u202eb\\u009b2J' }, 'message')`;
  const program = `import { createLogger } from ${JSON.stringify(LOGGER)}; const log = createLogger('info'); ${source}`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(stdout).toMatch(/^[\n -~]+$/);
  expect(JSON.parse(stdout).owner).toBe('a\u202eb\u009b2J');
});
