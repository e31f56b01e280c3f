// The logger, run in a process whose output is read.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { partsOf } from '../../../src/adapters/telemetry/logger.ts';

const LOGGER = fileURLToPath(new URL('../../../src/adapters/telemetry/logger.ts', import.meta.url));

/** Runs a program with a `log`, and returns the lines that it wrote. */
function lines(program: string): Record<string, unknown>[] {
  const source = `import { createLogger } from ${JSON.stringify(LOGGER)}; let log = createLogger('info'); ${program}`;
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

test('time: of the line, also when its millisecond is that of the line before', () => {
  const times = lines(`
    const wall = Date.now;
    for (const at of [1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_001, 1_600_000_000_000]) {
      Date.now = () => at;
      log.info({}, 'message');
    }
    Date.now = wall`).map(({ time }) => time);
  const [first, later, earlier] = ['2023-11-14T22:13:20.000Z', '2023-11-14T22:13:20.001Z', '2020-09-13T12:26:40.000Z'];
  expect(times).toEqual([first, first, later, earlier]);
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

test('flush: a line is written while the turn of the event loop goes on', async () => {
  const source = `import { createLogger } from ${JSON.stringify(LOGGER)};
    const log = createLogger('info');
    log.info({}, 'message');
    log.flush();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source]);
  const [line] = await once(child.stdout, 'data');
  child.kill('SIGKILL');
  expect(JSON.parse(line)).toMatchObject({ msg: 'message' });
});

test('many lines in one turn of the event loop: in order and complete', () => {
  const many = lines(`for (let n = 0; n < 5_000; n++) log.info({ n, word: 'ü'.repeat(n % 50) }, 'message')`);
  expect(many.map(({ n }) => n)).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
});

test('workers: each line says of which it is, and what is written at once fits a pipe, in whole lines', () => {
  const many = lines(`log = createLogger('info', 1, 2); for (let n = 0; n < 500; n++) log.info({ n }, 'message')`);
  expect(many.map(({ n, worker }) => [n, worker])).toEqual(Array.from({ length: 500 }, (_, n) => [n, 2]));
  const text = Array.from({ length: 500 }, (_, n) => `${'ü'.repeat(n)}\n`).join('');
  const parts = partsOf(text, 600);
  expect(parts.join('')).toBe(text);
  for (const part of parts) {
    expect(part.endsWith('\n')).toBe(true);
    expect(Buffer.byteLength(part) <= 600 || part.indexOf('\n') === part.length - 1).toBe(true);
  }
});

test('what a terminal obeys or does not show: an escape sequence of JSON', () => {
  const source = `log.info({ owner: 'a\\u202eb\\u009b2J' }, 'message')`;
  const program = `import { createLogger } from ${JSON.stringify(LOGGER)}; const log = createLogger('info'); ${source}`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(stdout).toMatch(/^[\n -~]+$/);
  expect(JSON.parse(stdout).owner).toBe('a\u202eb\u009b2J');
});

test.runIf(existsSync('/dev/full'))('disk that is full below the log: the process goes on, and ends by itself', () => {
  const program = `import { createLogger } from ${JSON.stringify(LOGGER)}; const log = createLogger('info');
    let n = 0;
    const logging = setInterval(() => {
      log.info({ n }, 'message');
      if (++n === 3) clearInterval(logging);
    }, 10);
    process.on('exit', () => log.info({}, 'the last one'));
    process.on('beforeExit', () => console.error('reached the end'));`;
  for (const source of [program, program.replace("'info'", "'info', 1, 2")]) {
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'reached the end\n' });
  }
});
