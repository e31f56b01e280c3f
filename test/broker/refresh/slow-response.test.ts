// A provider that answers late, or not at all: a real broker and a scripted provider. The tests run side by side, since they
// mostly wait.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'vitest';
import type { Logger } from '../../../src/ports/index.ts';
import type { Tuning } from '../../../src/runtime/app.ts';
import { type Json, startTestBroker } from '../../support/broker.ts';
import { createMovingClock } from '../../support/moving-clock.ts';
import { type ScriptedResponse, startScriptedServer } from '../../support/scripted-server.ts';

const SOON = { timeout: 30_000, interval: 20 };
/** Readers are told so once the refresh is slow. */
const SLOW_RETRY_AFTER = '5';

const WAIT = { slowMs: 300, deadlineMs: 60_000, graceMs: 0 };

type Send = (response: ScriptedResponse) => void;
type Wait = Pick<Tuning, 'refreshWait' | 'refreshAhead' | 'clock'>;

const tokens = (refresh_token: string, access_token = 'at'): ScriptedResponse => ({
  body: { access_token, token_type: 'Bearer', refresh_token, expires_in: 3_600 },
});
const refused: ScriptedResponse = { status: 400, body: { error: 'invalid_grant' } };

/** Beside other tests, an answer that is not held back comes sooner than this. */
const QUICKER = { ...WAIT, slowMs: 1_500 };

const REUSE = { params: { refresh_reuse_window: '30' } };

/** A provider and a broker. */
async function setUp(
  { expect, onTestFinished }: TestContext,
  { params = {}, env = {}, ...tuning }: Wait & { params?: Record<string, string>; env?: Record<string, string> } = {},
) {
  /** What has been sent and is not answered yet, by refresh token. */
  const open: Record<string, Send[]> = {};
  const server = await startScriptedServer(({ form }) => {
    const { promise, resolve } = Promise.withResolvers<ScriptedResponse>();
    const token = form.get('refresh_token') ?? '';
    open[token] = [...(open[token] ?? []), resolve];
    return promise;
  });
  onTestFinished(server.close);
  /** How many refreshes have become slow. */
  let slow = 0;
  const ignore = () => undefined;
  const log: Logger = {
    debug: ignore,
    info: ignore,
    warn: (_, message) => {
      if (message.startsWith('refresh: no response yet')) slow++;
    },
    error: ignore,
  };
  const start = () => startTestBroker(env, undefined, { refreshWait: WAIT, ...tuning }, log);
  let broker = await start();
  onTestFinished(() => broker.stop());
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params: { ...urls, ...params } };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBe(201);

  const ask = (method: string, path: string, body?: unknown) => broker.ask(method, path, body);
  const connection = async (id: string): Promise<Json> => (await ask('GET', `/v1/connections/${id}`)).body;
  return {
    open,
    /** Imported without an access token: refreshed as soon as possible. */
    async importToken(refresh_token: string, credentials: Json = {}): Promise<string> {
      const body = { integration: 'acme', owner: refresh_token, credentials: { refresh_token, ...credentials } };
      return String((await ask('POST', '/v1/connections', body)).body.id);
    },
    sent: (refreshToken: string) => open[refreshToken]?.length ?? 0,
    read: (id: string) => ask('GET', `/v1/connections/${id}/token`),
    refresh: (id: string) => ask('POST', `/v1/connections/${id}/refresh`, {}),
    connection,
    generation: async (id: string) => (await connection(id)).generation,
    metrics: async () => (await fetch(new URL('/metrics', broker.url))).text(),
    async restart() {
      await broker.stop();
      broker = await start();
    },
    slow: () => slow,
    untilSlow: (count = 1) => expect.poll(() => slow, SOON).toBe(count),
  };
}

describe.concurrent('provider that answers late', () => {
  test('slow response: the request is left open, no second one is sent, readers come back, and the answer is kept', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, generation, untilSlow } = await setUp(test, { refreshAhead: false });
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

  test('slow response: a token that is still valid is served meanwhile', async (test) => {
    const { expect } = test;
    const clock = createMovingClock();
    const { open, importToken, read, untilSlow } = await setUp(test, { refreshAhead: false, clock });
    const expires_at = new Date(Date.now() + 200_000).toISOString();
    const id = await importToken('rt', { access_token: 'old', expires_at });
    // It lives for less than a read requires.
    clock.advance(170_000);
    const first = read(id);
    await untilSlow();
    expect((await read(id)).body.access_token).toBe('old');
    open.rt![0]!(tokens('next'));
    expect((await first).body.access_token).toBe('at');
  });

  test('slow response, reuse window: a second request is sent beside the first one, and its answer is kept', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, refresh } = await setUp(test, REUSE);
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![1]!(tokens('next', 'second'));
    expect((await read(id)).body.access_token).toBe('second');
    // The first answer was issued before: it changes nothing.
    open.rt![0]!(tokens('other', 'first'));
    const again = refresh(id);
    await expect.poll(() => sent('next'), SOON).toBe(1);
    open.next![0]!(tokens('last', 'third'));
    expect((await again).body.access_token).toBe('third');
    expect([sent('rt'), sent('other')]).toEqual([2, 0]);
  });

  test('slow response, reuse window: the answer of the first request is kept when the second one fails, without a third', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, untilSlow } = await setUp(test, REUSE);
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![1]!('drop');
    await untilSlow();
    expect(sent('rt')).toBe(2);
    open.rt![0]!(tokens('next'));
    await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
    expect(sent('rt')).toBe(2);
  });

  test('slow response, reuse window: no second request to a provider that took as long for its last answer', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, slow, untilSlow } = await setUp(test, { ...REUSE, refreshWait: QUICKER });
    // A read may be quicker than the answer of the provider, and is told to come again.
    const isServed = (id: string) => expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
    const first = await importToken('first');
    await expect.poll(() => sent('first'), SOON).toBe(2);
    open.first![0]!(tokens('next'));
    await isServed(first);
    const before = slow();
    const id = await importToken('rt');
    await untilSlow(before + 1);
    open.rt![0]!(tokens('after'));
    await isServed(id);
    expect(sent('rt')).toBe(1);
    // It is quick again: what is not answered may be lost.
    const quick = await importToken('quick');
    await expect.poll(() => sent('quick'), SOON).toBe(1);
    open.quick![0]!(tokens('quicker'));
    await isServed(quick);
    await importToken('lost');
    await expect.poll(() => sent('lost'), SOON).toBe(2);
  });

  test('slow response, reuse window: of two answers, the refresh token that was issued last is kept', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, refresh, generation } = await setUp(test, REUSE);
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![0]!(tokens('one', 'first'));
    await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('first');
    open.rt![1]!(tokens('two', 'second'));
    await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('second');
    expect(await generation(id)).toBe(3);
    const again = refresh(id);
    await expect.poll(() => sent('two'), SOON).toBe(1);
    open.two![0]!(tokens('last', 'third'));
    expect((await again).body.access_token).toBe('third');
  });

  test.for<[string, number, number]>([
    ['first', 0, 1],
    ['second', 1, 0],
  ])(
    'slow response, reuse window: after the answer to the %s request, the new token waits for the other one',
    async ([, kept, other], test) => {
      const { expect } = test;
      const { open, importToken, sent, read, refresh } = await setUp(test, REUSE);
      const id = await importToken('rt');
      await expect.poll(() => sent('rt'), SOON).toBe(2);
      open.rt![kept]!(tokens('next'));
      await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
      const forced = refresh(id);
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

  test('slow response, reuse window: both requests refused, the owner connects again', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, connection } = await setUp(test, REUSE);
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![0]!(refused);
    open.rt![1]!(refused);
    await expect.poll(() => connection(id), SOON).toMatchObject({ status: 'needs_reauth', reason: 'grant_revoked' });
  });

  test('slow response: the second request may have been refused because the first one was carried out', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, connection } = await setUp(test, REUSE);
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![1]!(refused);
    open.rt![0]!('drop');
    const unknown = { status: 'needs_reauth', reason: 'refresh_outcome_unknown' };
    await expect.poll(() => connection(id), SOON).toMatchObject(unknown);
    expect(sent('rt')).toBe(2);
  });

  test('no response until the deadline: requested once more, and of unknown outcome when that is refused', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, connection } = await setUp(test, {
      refreshWait: { slowMs: 200, deadlineMs: 1_000, graceMs: 0 },
    });
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![1]!(refused);
    const unknown = { status: 'needs_reauth', reason: 'refresh_outcome_unknown' };
    await expect.poll(() => connection(id), SOON).toMatchObject(unknown);
  });

  test('connection closed after slow request: requested again at once, without a known reuse window', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, untilSlow } = await setUp(test);
    const id = await importToken('rt');
    await expect.poll(() => sent('rt'), SOON).toBe(1);
    await untilSlow();
    open.rt![0]!('drop');
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![1]!(tokens('next'));
    await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
  });

  test('stopped provider: slow requests give their place to others, then one at a time probes it', async (test) => {
    const { expect } = test;
    const { open, importToken, sent, read, metrics } = await setUp(test, {
      env: { VALETKEY_REFRESH_CONCURRENCY: '2' },
    });
    const names = Array.from({ length: 12 }, (_, i) => `rt${i}`);
    const ids = await Promise.all(names.map((name) => importToken(name)));
    // Two places, and more than two requests open.
    await expect.poll(() => Object.keys(open).length, SOON).toBeGreaterThan(3);
    const circuit = async () => {
      return /^valetkey_circuit_breaker_state\{integration="acme"\} (\S+)$/m.exec(await metrics())?.[1];
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

  test('shutdown: does not wait for a slow response for ever, and the next start requests it again at once', async (test) => {
    const { expect } = test;
    const folder = await mkdtemp(join(tmpdir(), 'valetkey-slow-'));
    test.onTestFinished(() => rm(folder, { recursive: true }));
    const env = { VALETKEY_DATABASE_URL: `file:${join(folder, 'valetkey.db')}` };
    const { open, importToken, sent, read, untilSlow, restart } = await setUp(test, { env });
    const id = await importToken('rt');
    await untilSlow();
    await restart();
    await expect.poll(() => sent('rt'), SOON).toBe(2);
    open.rt![1]!(tokens('next'));
    await expect.poll(async () => (await read(id)).body.access_token, SOON).toBe('at');
  });
});
