// A provider that answers late, or not at all: a real broker and a scripted provider.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import type { Logger } from '../../../src/ports/index.ts';
import type { Tuning } from '../../../src/runtime/app.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const SOON = { timeout: 30_000, interval: 20 };
/** Readers are told so once the refresh is slow. */
const SLOW_RETRY_AFTER = '5';

const WAIT = { slowMs: 300, deadlineMs: 60_000, graceMs: 0 };

type Send = (response: ScriptedResponse) => void;
let broker: TestBroker;
let server: ScriptedServer;
/** What has been sent and is not answered yet, by refresh token. */
let open: Record<string, Send[]>;

/** How many refreshes have become slow. */
let slow: number;
const ignore = () => undefined;
const log: Logger = {
  debug: ignore,
  info: ignore,
  warn: (_, message) => {
    if (message.startsWith('refresh: no response yet')) slow++;
  },
  error: ignore,
};

const start = (tuning: Pick<Tuning, 'refreshWait' | 'refreshAhead' | 'clock'>, env = {}) =>
  startTestBroker(env, undefined, tuning, log);
async function restart(tuning: Parameters<typeof start>[0], env = {}): Promise<void> {
  await broker.stop();
  broker = await start(tuning, env);
}

beforeEach(async () => {
  open = {};
  slow = 0;
  server = await startScriptedServer(({ form }) => {
    const { promise, resolve } = Promise.withResolvers<ScriptedResponse>();
    const token = form.get('refresh_token') ?? '';
    open[token] = [...(open[token] ?? []), resolve];
    return promise;
  });
  broker = await start({ refreshWait: WAIT });
});
afterEach(async () => {
  await broker.stop();
  await server.close();
});

async function setUp(more: Record<string, string> = {}): Promise<void> {
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token`, ...more };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBe(201);
}
const tokens = (refresh_token: string, access_token = 'at'): ScriptedResponse => ({
  body: { access_token, token_type: 'Bearer', refresh_token, expires_in: 3_600 },
});
const refused: ScriptedResponse = { status: 400, body: { error: 'invalid_grant' } };

/** Imported without an access token: refreshed as soon as possible. */
async function importToken(refresh_token: string, credentials: Json = {}): Promise<string> {
  const body = { integration: 'acme', owner: refresh_token, credentials: { refresh_token, ...credentials } };
  return String((await broker.ask('POST', '/v1/connections', body)).body.id);
}
const sent = (refreshToken: string) => open[refreshToken]?.length ?? 0;
const read = (id: string, query = '') => broker.ask('GET', `/v1/connections/${id}/token${query}`);
const connection = async (id: string): Promise<Json> => (await broker.ask('GET', `/v1/connections/${id}`)).body;
const generation = async (id: string) => (await connection(id)).generation;
const untilSlow = () => expect.poll(() => slow, SOON).toBe(1);

test('slow response: the request is left open, no second one is sent, readers come back, and the answer is kept', async () => {
  await restart({ refreshWait: WAIT, refreshAhead: false });
  await setUp();
  const id = await importToken('rt');
  const waiting = read(id);
  await untilSlow();
  const { status, headers } = await read(id);
  expect([status, headers.get('retry-after')]).toEqual([503, SLOW_RETRY_AFTER]);
  expect(sent('rt')).toBe(1);
  open.rt![0]!(tokens('next'));
  expect((await waiting).body.access_token).toBe('at');
  await expect.poll(() => generation(id), SOON).toBe(2);
  expect(sent('rt')).toBe(1);
});

test('slow response: a token that is still valid is served meanwhile', async () => {
  let moved = 0;
  const clock = { now: () => Date.now() + moved, monotonic: () => performance.now() + moved };
  await restart({ refreshWait: WAIT, refreshAhead: false, clock });
  await setUp();
  const expires_at = new Date(Date.now() + 200_000).toISOString();
  const id = await importToken('rt', { access_token: 'old', expires_at });
  // It lives for less than a read requires.
  moved = 170_000;
  const first = read(id);
  await untilSlow();
  expect((await read(id)).body.access_token).toBe('old');
  open.rt![0]!(tokens('next'));
  expect((await first).body.access_token).toBe('at');
});

test('slow response, reuse window: a second request is sent beside the first one, and its answer is kept', async () => {
  await setUp({ refresh_reuse_window: '30' });
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![1]!(tokens('next', 'second'));
  expect((await read(id)).body.access_token).toBe('second');
  // The first answer was issued before: it changes nothing.
  open.rt![0]!(tokens('other', 'first'));
  const again = broker.ask('POST', `/v1/connections/${id}/refresh`, {});
  await expect.poll(() => sent('next'), SOON).toBe(1);
  open.next![0]!(tokens('last', 'third'));
  expect((await again).body.access_token).toBe('third');
  expect([sent('rt'), sent('other')]).toEqual([2, 0]);
});

test('slow response, reuse window: the answer of the first request is kept when the second one fails, without a third', async () => {
  await setUp({ refresh_reuse_window: '30' });
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![1]!('drop');
  await untilSlow();
  expect(sent('rt')).toBe(2);
  open.rt![0]!(tokens('next'));
  await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
  expect(sent('rt')).toBe(2);
});

test('slow response, reuse window: no second request to a provider that took as long for its last answer', async () => {
  await setUp({ refresh_reuse_window: '30' });
  const first = await importToken('first');
  await expect.poll(() => sent('first'), SOON).toBe(2);
  open.first![0]!(tokens('next'));
  expect((await read(first)).body.access_token).toBe('at');
  slow = 0;
  const id = await importToken('rt');
  await untilSlow();
  open.rt![0]!(tokens('after'));
  expect((await read(id)).body.access_token).toBe('at');
  expect(sent('rt')).toBe(1);
  // It is quick again: what is not answered may be lost.
  const quick = await importToken('quick');
  await expect.poll(() => sent('quick'), SOON).toBe(1);
  open.quick![0]!(tokens('quicker'));
  expect((await read(quick)).body.access_token).toBe('at');
  await importToken('lost');
  await expect.poll(() => sent('lost'), SOON).toBe(2);
});

test('slow response, reuse window: of two answers, the refresh token that was issued last is kept', async () => {
  await setUp({ refresh_reuse_window: '30' });
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![0]!(tokens('one', 'first'));
  await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('first');
  open.rt![1]!(tokens('two', 'second'));
  await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('second');
  expect(await generation(id)).toBe(3);
  const again = broker.ask('POST', `/v1/connections/${id}/refresh`, {});
  await expect.poll(() => sent('two'), SOON).toBe(1);
  open.two![0]!(tokens('last', 'third'));
  expect((await again).body.access_token).toBe('third');
});

test.each([
  ['first', 0, 1],
  ['second', 1, 0],
])(
  'slow response, reuse window: after the answer to the %s request, the new token waits for the other one',
  async (_, kept, other) => {
    await setUp({ refresh_reuse_window: '30' });
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![kept]!(tokens('next'));
    await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
    const forced = broker.ask('POST', `/v1/connections/${id}/refresh`, {});
    // Other connections do not wait.
    await importToken('another');
    await expect.poll(() => sent('another'), SOON).toBeGreaterThan(0);
    expect((await read(id)).body.access_token).toBe('at');
    expect(sent('next')).toBe(0);
    open.rt![other]!(tokens('next'));
    await expect.poll(() => sent('next'), SOON).toBe(1);
    open.next![0]!(tokens('last', 'third'));
    expect((await forced).body.access_token).toBe('third');
  },
);

test('slow response, reuse window: both requests refused, the owner connects again', async () => {
  await setUp({ refresh_reuse_window: '30' });
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![0]!(refused);
  open.rt![1]!(refused);
  await expect.poll(() => connection(id), SOON).toMatchObject({ status: 'needs_reauth', reason: 'grant_revoked' });
});

test('slow response: the second request may have been refused because the first one was carried out', async () => {
  await setUp({ refresh_reuse_window: '30' });
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![1]!(refused);
  open.rt![0]!('drop');
  const unknown = { status: 'needs_reauth', reason: 'refresh_outcome_unknown' };
  await expect.poll(() => connection(id), SOON).toMatchObject(unknown);
  expect(sent('rt')).toBe(2);
});

test('no response until the deadline: requested once more, and of unknown outcome when that is refused', async () => {
  await restart({ refreshWait: { slowMs: 200, deadlineMs: 1_000, graceMs: 0 } });
  await setUp();
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![1]!(refused);
  const unknown = { status: 'needs_reauth', reason: 'refresh_outcome_unknown' };
  await expect.poll(() => connection(id), SOON).toMatchObject(unknown);
});

test('connection closed after slow request: requested again at once, without a known reuse window', async () => {
  await setUp();
  const id = await importToken('rt');
  await expect.poll(() => sent('rt'), SOON).toBe(1);
  await untilSlow();
  open.rt![0]!('drop');
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![1]!(tokens('next'));
  await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
});

test('stopped provider: slow requests give their place to others, then one at a time probes it', async () => {
  await restart({ refreshWait: WAIT }, { VALETKEY_REFRESH_CONCURRENCY: '2' });
  await setUp();
  const names = Array.from({ length: 12 }, (_, i) => `rt${i}`);
  const ids = await Promise.all(names.map((name) => importToken(name)));
  // Two places, and more than two requests open.
  await expect.poll(() => Object.keys(open).length, SOON).toBeGreaterThan(3);
  const circuit = async () => {
    const text = await (await fetch(new URL('/metrics', broker.url))).text();
    return /^valetkey_circuit_breaker_state\{integration="acme"\} (\S+)$/m.exec(text)?.[1];
  };
  await expect.poll(circuit, SOON).toBe('1');
  // Each open request puts a token at risk: with an open circuit, most are not sent at all.
  expect(Object.keys(open).length).toBeLessThan(10);
  expect(names.every((name) => sent(name) < 2)).toBe(true);
  // The provider goes on, and answers what was left open.
  const answer = setInterval(() => {
    for (const [name, sends] of Object.entries(open)) for (const send of sends) send(tokens(`${name}.next`));
  }, 50);
  try {
    for (const id of ids)
      await expect.poll(async () => (await read(id)).status, { ...SOON, timeout: 30_000 }).toBe(200);
  } finally {
    clearInterval(answer);
  }
  expect(names.every((name) => sent(name) === 1)).toBe(true);
}, 180_000);

test('shutdown: does not wait for a slow response for ever, and the next start requests it again at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-slow-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const env = { VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}` };
  await restart({ refreshWait: WAIT }, env);
  await setUp();
  const id = await importToken('rt');
  await untilSlow();
  await restart({ refreshWait: WAIT }, env);
  await expect.poll(() => sent('rt'), SOON).toBe(2);
  open.rt![1]!(tokens('next'));
  await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
});
