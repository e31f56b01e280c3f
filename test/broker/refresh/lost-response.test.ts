// A refresh token was sent, and the response was lost: a real broker and a scripted provider.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

const SOON = { timeout: 30_000, interval: 20 };

let clock: MovingClock;
let broker: TestBroker;
let server: ScriptedServer;
/** By refresh token: the first answer, the second one, … */
let scripts: Record<string, ScriptedResponse[]>;
/** How long each answer takes, by the broker's clocks. */
let answerMs: number;

beforeEach(async () => {
  clock = createMovingClock();
  answerMs = 0;
  scripts = {};
  server = await startScriptedServer(({ form }) => {
    clock.advance(answerMs);
    return scripts[form.get('refresh_token') ?? '']?.shift() ?? { status: 500 };
  });
  broker = await startTestBroker({}, undefined, { clock });
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBe(201);
});
afterEach(async () => {
  await server.close();
  await broker.stop();
});

const good: ScriptedResponse = {
  body: { access_token: 'at', token_type: 'Bearer', refresh_token: 'next', expires_in: 3_600 },
};
const throttled: ScriptedResponse = { status: 429, headers: { 'retry-after': '60' }, body: { error: 'slow_down' } };

/** Imported without an access token: refreshed as soon as possible. */
async function importToken(refresh_token: string, ...answers: ScriptedResponse[]): Promise<string> {
  scripts[refresh_token] = answers;
  const body = { integration: 'acme', owner: refresh_token, credentials: { refresh_token } };
  return String((await broker.ask('POST', '/v1/connections', body)).body.id);
}
const connection = async (id: string): Promise<Json> => (await broker.ask('GET', `/v1/connections/${id}`)).body;
const generation = (id: string) => connection(id).then((c) => c.generation);
const spent = (refreshToken: string): ReceivedRequest[] =>
  server.received.filter(({ form }) => form.get('refresh_token') === refreshToken);
async function circuit(): Promise<string | undefined> {
  const text = await (await fetch(new URL('/metrics', broker.url))).text();
  return /^valetkey_circuit_breaker_state\{integration="acme"\} (\S+)$/m.exec(text)?.[1];
}

test('lost response: requested again within the reuse window, past an open circuit', async () => {
  const lost = await importToken('rt-lost', 'drop', good);
  await expect.poll(() => spent('rt-lost'), SOON).toHaveLength(1);
  // At once, since the success of the second request would keep the circuit closed.
  const others = ['rt-other', 'rt-third', 'rt-fourth'].map(async (token) => {
    const other = await importToken(token, throttled);
    return (await broker.ask('GET', `/v1/connections/${other}/token`)).status;
  });
  expect(await Promise.all(others)).toEqual([503, 503, 503]);
  expect(await circuit()).toBe('1');
  await expect.poll(() => generation(lost), SOON).toBe(2);
  expect(spent('rt-lost')).toHaveLength(2);
  // Its success does not close the circuit: the provider asked the others to wait.
  expect(await circuit()).toBe('1');
  expect(spent('rt-other')).toHaveLength(1);
});

test('lost response: requested again at once when the request took long, and the reader gets its token', async () => {
  answerMs = 7_500;
  const id = await importToken('rt-lost', 'drop', good);
  const { status, body } = await broker.ask('GET', `/v1/connections/${id}/token`);
  expect([status, body.access_token]).toEqual([200, 'at']);
  expect(spent('rt-lost')).toHaveLength(2);
});

test('lost response: requested again early when another one is lost long after the first', async () => {
  const id = await importToken('rt-lost', 'drop', { status: 503 }, 'drop', good);
  await expect.poll(async () => (await connection(id)).last_refresh_error, SOON).toMatchObject({ code: 'http_503' });
  clock.advance(3_600_000);
  await expect.poll(() => generation(id), SOON).toBe(2);
  expect(spent('rt-lost')).toHaveLength(4);
});

test('lost response: requested again before the window ends, although Retry-After is longer', async () => {
  const id = await importToken('rt-lost', 'drop', throttled, throttled, good);
  /** The time of the next try, in ms after the import. */
  const next = async () => {
    const { created_at, next_refresh_at, last_refresh_error } = await connection(id);
    const throttledBy = (last_refresh_error as Json | null)?.code === 'slow_down';
    return throttledBy ? Date.parse(String(next_refresh_at)) - Date.parse(String(created_at)) : 0;
  };
  await expect.poll(next, SOON).toBeGreaterThan(8_900);
  expect(await next()).toBeLessThan(12_000);
  expect(spent('rt-lost')).toHaveLength(2);
  clock.advance(8_000);
  // From then on, Retry-After is honoured.
  await expect.poll(next, SOON).toBeGreaterThan(60_000);
  expect(spent('rt-lost')).toHaveLength(3);
  expect((await connection(id)).status).toBe('active');
  clock.advance(61_000);
  await expect.poll(() => generation(id), SOON).toBe(2);
});
