// Failed requests in the log: a store that is away does not drown it.
import { expect, test } from 'vitest';
import { createFailed } from '../../../src/http/middleware/error-logging.ts';
import type { Logger } from '../../../src/ports/index.ts';
import { StoreError } from '../../../src/ports/index.ts';

function logged() {
  const lines: unknown[] = [];
  const log = { error: (fields: object, message: string) => lines.push({ ...fields, message }) } as unknown as Logger;
  let now = 0;
  return { lines, failed: createFailed(log, { monotonic: () => now }), pass: (ms: number) => (now += ms) };
}

test('of a store that is away there is a line each second, which tells of how many others it stands for', () => {
  const { lines, failed, pass } = logged();
  const away = new StoreError('away');
  for (let i = 0; i < 50; i++) failed(away, `r${i}`);
  expect(lines).toEqual([{ err: away, request_id: 'r0', like_it: 0, message: 'request failed: the store' }]);
  pass(1_000);
  failed(away, 'later');
  expect(lines[1]).toMatchObject({ request_id: 'later', like_it: 49 });
});

test('of a defect there is each', () => {
  const { lines, failed } = logged();
  for (const id of ['a', 'b']) failed(new Error('defect'), id);
  expect(lines).toMatchObject([{ request_id: 'a' }, { request_id: 'b' }]);
});
