// Expectations for every response of the API, and a reader for paged lists.
import { expect } from 'vitest';
import type { Answer, Json } from './broker.ts';

export const RFC3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Expects a success; returns its body. */
export function expectOk(answer: Answer, status = 200): Json {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('x-request-id')).toMatch(/./);
  return answer.body;
}

/** Expects a problem (RFC 9457); returns its body. */
export function expectProblem(answer: Answer, status: number, code: string): Json {
  const { headers, body } = answer;
  expect(answer.status, JSON.stringify(body)).toBe(status);
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json\b/);
  expect(headers.get('cache-control')).toBe('no-store');
  const text = expect.stringMatching(/./);
  expect(body).toMatchObject({ type: text, title: text, detail: text, status, code });
  expect(body.request_id).toBe(headers.get('x-request-id'));
  return body;
}

/** Expects a 400 with issues at exactly these paths. */
export function expectIssues(answer: Answer, ...paths: string[]): void {
  const { issues } = expectProblem(answer, 400, 'invalid_request');
  expect((issues as { path: string }[]).map(({ path }) => path).sort(), JSON.stringify(issues)).toEqual(paths.sort());
}

/** Reads every page of a list by its cursors. */
export async function readPages(
  ask: (path: string) => Promise<Answer>,
  path: string,
  limit: number,
): Promise<Json[][]> {
  const found: Json[][] = [];
  let cursor: unknown;
  do {
    const query = new URLSearchParams({ limit: String(limit), ...(cursor ? { cursor: String(cursor) } : {}) });
    const body = expectOk(await ask(`${path}${path.includes('?') ? '&' : '?'}${query}`));
    expect(Object.keys(body).sort()).toEqual(['data', 'next_cursor']);
    found.push(body.data as Json[]);
    expect(found.at(-1)?.length).toBeLessThanOrEqual(limit);
    cursor = body.next_cursor;
  } while (cursor !== null);
  return found;
}
