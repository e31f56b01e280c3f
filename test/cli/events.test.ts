// `events --follow`: what ends it, and what it waits out.
import { expect, onTestFinished, test } from 'vitest';
import { type ScriptedResponse, startScriptedServer } from '../support/scripted-server.ts';
import { createTerminal } from '../support/terminal.ts';

const page = (...ids: string[]): ScriptedResponse => ({
  body: {
    data: ids.map((id) => ({ id, type: 'connection.revoked', timestamp: '2026-03-02T10:25:07.000Z', data: {} })),
    next_cursor: ids.at(-1) ?? 'now',
  },
});
const problem = (status: number, code: string): ScriptedResponse => ({
  status,
  body: { type: `urn:valetkey:problem:${code}`, title: 'T', detail: 'D', code },
});

/** Answers in turn, the last one for ever. */
async function following(answers: ScriptedResponse[], failing: Error[] = []) {
  const server = await startScriptedServer(() => (answers.length > 1 ? answers.shift()! : answers[0]!));
  onTestFinished(server.close);
  const at = createTerminal({ VALETKEY_URL: server.url, VALETKEY_KEY: 'k' });
  const fetching: typeof fetch = async (...request) => {
    const error = failing.shift();
    if (error) throw error;
    return fetch(...request);
  };
  const pauses: number[] = [];
  const pause = async (ms: number) => void pauses.push(ms);
  const printed = await at(['events', '--follow', '--limit', '1'], { fetch: fetching, pause, now: () => 0 });
  return { ...printed, asked: server.received.length, pauses };
}

test.each<[string, ScriptedResponse, number, string]>([
  [
    'a page that is not found',
    { status: 404, body: '<html>not found</html>' },
    69,
    'is not a Valetkey broker (status 404)',
  ],
  ['a page', { body: '<html>welcome</html>' }, 69, 'is not a Valetkey broker (status 200)'],
  ['a redirect', { status: 302, headers: { location: '/login' } }, 69, 'is not a Valetkey broker (status 302)'],
  ['another JSON', { body: { events: [] } }, 69, 'is not a Valetkey broker (answered without next_cursor)'],
  ['a key that is no longer valid', problem(401, 'unauthenticated'), 1, 'The key comes from VALETKEY_KEY'],
  ['a key that may not', problem(403, 'forbidden'), 1, 'T: D'],
])('events --follow: %s ends it, at first and later', async (_, answer, code, words) => {
  expect(await following([answer])).toMatchObject({ code, out: '', err: expect.stringContaining(words) });
  const later = await following([page(), answer]);
  expect(later).toMatchObject({ code, out: '', err: expect.stringContaining(words) });
});

test('events --follow: goes on after a broker that is restarted, overloaded or behind a gateway that does not reach it', async () => {
  const brokenOff = { headers: { connection: 'close', 'content-length': '1000' }, body: '{"data":[' };
  const passing = [
    page(),
    'drop' as const,
    { status: 502, body: '<html>bad gateway</html>' },
    problem(503, 'store_unavailable'),
    problem(429, 'rate_limited'),
    { status: 408, body: '' },
    brokenOff,
  ];
  const { code, out, err, asked } = await following([...passing, page('msg_1')]);
  expect({ code, err, asked }).toEqual({ code: 0, err: '', asked: 8 });
  expect(out).toMatch(/\tmsg_1\n$/);
});

test('events --follow: waits for the first answer of a broker that is there, and for none where nothing listens', async () => {
  const late = new DOMException('timed out', 'TimeoutError');
  const slow = await following([problem(500, 'internal_error'), page('msg_1')], [late]);
  expect(slow).toMatchObject({ code: 0, out: expect.stringContaining('msg_1') });
  const gateway = await following([{ status: 502, body: '<html>bad gateway</html>' }]);
  expect(gateway).toMatchObject({ code: 69, err: expect.stringContaining('(status 502)') });
  const at = createTerminal({ VALETKEY_URL: 'http://127.0.0.1:1', VALETKEY_KEY: 'k' });
  expect(await at(['events', '--follow'])).toMatchObject({
    code: 69,
    err: expect.stringContaining('no broker answers at http://127.0.0.1:1'),
  });
});

test('events --follow: waits as long as a 429 or 503 says, within bounds, and a second otherwise', async () => {
  const saying = (status: number, wait: string): ScriptedResponse => ({
    ...(problem(status, 'rate_limited') as object),
    headers: { 'retry-after': wait, date: 'Mon, 02 Mar 2026 10:25:07 GMT' },
  });
  const gateway = { status: 503, headers: { 'retry-after': '7' }, body: '<html>maintenance</html>' };
  const { code, pauses } = await following([
    saying(429, '30'),
    saying(503, 'Mon, 02 Mar 2026 10:25:50 GMT'),
    saying(503, '0'),
    saying(429, '86400'),
    saying(429, 'soon'),
    saying(500, '20'),
    gateway,
    page(),
    page('msg_1'),
  ]);
  expect({ code, pauses }).toEqual({
    code: 0,
    pauses: [30_000, 43_000, 1_000, 300_000, 1_000, 1_000, 7_000, 1_000],
  });
});
