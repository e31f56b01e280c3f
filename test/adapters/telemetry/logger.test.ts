// What the log writes, read from a process that writes it.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const TELEMETRY = fileURLToPath(new URL('../../../src/adapters/telemetry/logger.ts', import.meta.url));

/** The lines of a program that has a `log`, however it ended. */
function lines(program: string): Record<string, unknown>[] {
  const source = `import { createLogger } from ${JSON.stringify(TELEMETRY)}; const log = createLogger('info'); ${program}`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('a line is one JSON object with its level, time, fields and message', () => {
  const [line] = lines(`log.info({ code: 'http_503', left: undefined, none: null }, 'said')`);
  expect(line).toEqual({ level: 'info', time: expect.any(String), code: 'http_503', none: null, msg: 'said' });
});

test('what lies under the name of a secret is not written, however deep', () => {
  const [line] = lines(`
    const body = { access_token: 'CANARY', scope: 'read', more: [{ password: 'CANARY' }] };
    log.error({ body, answer: { body }, deep: { a: { b: { c: { d: { e: 'CANARY' } } } } } }, 'said')`);
  const clean = { access_token: '[redacted]', scope: 'read', more: [{ password: '[redacted]' }] };
  expect(line).toMatchObject({ body: clean, answer: { body: clean } });
  expect(JSON.stringify(line)).not.toContain('CANARY');
});

test('of an error and its causes there are the name, message, code and stack, and nothing else', () => {
  const [line] = lines(`
    const cause = Object.assign(new Error('inner'), { code: 'E_INNER', response: { body: 'CANARY' } });
    log.error({ err: new TypeError('outer', { cause }), other: cause }, 'said')`);
  const inner = { name: 'Error', message: 'inner', code: 'E_INNER', stack: expect.any(String) };
  expect(line?.err).toEqual({ name: 'TypeError', message: 'outer', stack: expect.any(String), cause: inner });
  expect(line?.other).toEqual(inner);
});

test('what was thrown and is no error is told as it is', () => {
  expect(lines(`log.warn({ err: 'gone' }, 'said')`)[0]).toMatchObject({ err: 'gone' });
});

test('a ring of objects ends somewhere', () => {
  const [line] = lines(`const ring = { name: 'r' }; ring.self = ring; log.info({ ring }, 'said')`);
  expect(line).toMatchObject({ ring: { name: 'r', self: { name: 'r' } } });
});

test('what is said last is written, however the process ends', () => {
  expect(lines(`log.info({}, 'said'); process.exit()`)).toMatchObject([{ msg: 'said' }]);
  expect(lines(`log.info({}, 'one'); setImmediate(() => { log.info({}, 'two'); process.exit(); })`)).toHaveLength(2);
});

test('lines of one turn keep their order, and none is cut', () => {
  const many = lines(`for (let n = 0; n < 5_000; n++) log.info({ n, word: 'ü'.repeat(n % 50) }, 'said')`);
  expect(many.map(({ n }) => n)).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
});
