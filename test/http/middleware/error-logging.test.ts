// The log of failed requests: a store that is unavailable does not flood it.
import { describe, expect, it } from 'vitest';
import { createFailureLog } from '../../../src/http/middleware/error-logging.ts';
import type { Logger } from '../../../src/ports/index.ts';
import { StoreError } from '../../../src/ports/index.ts';

function logged() {
  const lines: unknown[] = [];
  const log = { error: (fields: object, message: string) => lines.push({ ...fields, message }) } as unknown as Logger;
  let now = 0;
  return { lines, failed: createFailureLog(log, { monotonic: () => now }), pass: (ms: number) => (now += ms) };
}

describe('failure log', () => {
  it('one line a second while the store is unavailable, with the number of those left out', () => {
    const { lines, failed, pass } = logged();
    const away = new StoreError('away');
    for (let i = 0; i < 50; i++) failed(away, `r${i}`);
    const message = 'request failed: the store is unavailable';
    expect(lines).toEqual([{ err: away, request_id: 'r0', suppressed: 0, message }]);
    pass(1_000);
    failed(away, 'later');
    expect(lines[1]).toMatchObject({ request_id: 'later', suppressed: 49 });
  });

  it('a line for each defect', () => {
    const { lines, failed } = logged();
    for (const id of ['a', 'b']) failed(new Error('defect'), id);
    expect(lines).toMatchObject([{ request_id: 'a' }, { request_id: 'b' }]);
  });
});
