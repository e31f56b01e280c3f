// Scheduler: tokens are refreshed before they expire. A real broker, and providers with scripted answers.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';

let clock: MovingClock;
let broker: TestBroker;
let server: ScriptedServer;
let answer: (request: ReceivedRequest) => ScriptedResponse;
/** How many refreshes run at a time. */
const CONCURRENCY = 16;
const SOON = { timeout: 30_000, interval: 20 };

beforeEach(async () => {
  clock = createMovingClock();
  answer = () => token();
  server = await startScriptedServer((request) => answer(request));
  broker = await startTestBroker({ VALETKEY_REFRESH_CONCURRENCY: String(CONCURRENCY) }, undefined, { clock });
});
afterEach(async () => {
  // First: the broker would wait for answers while it stops.
  await server.close();
  await broker.stop();
});

let issued = 0;
const token = (expires_in = 3_600): ScriptedResponse => ({
  body: { access_token: `at-${++issued}`, token_type: 'Bearer', refresh_token: `rt-${issued}`, expires_in },
});

async function integrate(id: string): Promise<void> {
  const urls = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/${id}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params: urls };
  expect((await broker.ask('PUT', `/v1/integrations/${id}`, setup)).status).toBe(201);
}

/** Imported with a token that lives for this long. */
async function importToken(integration: string, seconds: number): Promise<string> {
  const expires_at = new Date(clock.now() + seconds * 1_000).toISOString();
  const credentials = { refresh_token: `rt-${++issued}`, access_token: `at-${issued}`, expires_at };
  const { status, body } = await broker.ask('POST', '/v1/connections', {
    integration,
    owner: `o${issued}`,
    credentials,
  });
  expect(status).toBe(201);
  return String(body.id);
}

const connection = async (id: string): Promise<Json> => (await broker.ask('GET', `/v1/connections/${id}`)).body;
const generation = (id: string) => connection(id).then((c) => c.generation);

test('scheduler: a token is refreshed before it expires, without a read', async () => {
  await integrate('acme');
  const id = await importToken('acme', 3_600);
  expect(server.received).toEqual([]);
  clock.advance(3_300_000 + 60_000);
  await expect.poll(() => generation(id), SOON).toBe(2);
  expect(await connection(id)).toMatchObject({ status: 'active', last_refresh_error: null });
  expect(server.received).toHaveLength(1);
});

test('scheduler: tokens of five seconds are refreshed in time', async () => {
  await integrate('acme');
  answer = () => token(5);
  const id = await importToken('acme', 5);
  for (const wanted of [2, 3]) {
    clock.advance(2_900);
    await expect.poll(() => generation(id), SOON).toBe(wanted);
  }
});

test('scheduler: an import without an access token is refreshed soon, one that never expires is not', async () => {
  await integrate('acme');
  const credentials = { refresh_token: 'rt-x' };
  const { body } = await broker.ask('POST', '/v1/connections', { integration: 'acme', owner: 'bare', credentials });
  const forever = { refresh_token: 'rt-y', access_token: 'at-y' };
  const lasting = await broker.ask('POST', '/v1/connections', {
    integration: 'acme',
    owner: 'forever',
    credentials: forever,
  });
  await expect.poll(() => generation(String(body.id)), SOON).toBe(2);
  expect(lasting.body.next_refresh_at).toBeNull();
  expect(server.received).toHaveLength(1);
});

test('scheduler: an integration whose provider hangs does not delay another', async () => {
  await integrate('stuck');
  await integrate('well');
  answer = ({ path }) => (path.startsWith('/stuck') ? 'hang' : token());
  for (let i = 0; i < CONCURRENCY + 8; i++) await importToken('stuck', 600);
  const id = await importToken('well', 600);
  clock.advance(400_000);
  await expect.poll(() => generation(id), SOON).toBe(2);
});

describe('scheduler, provider that is down', () => {
  test('it gets few requests, then one at a time, and all connections are refreshed when it is back', async () => {
    await integrate('acme');
    answer = () => ({ status: 503 });
    const ids: string[] = [];
    for (let i = 0; i < 2 * CONCURRENCY; i++) ids.push(await importToken('acme', 600));
    clock.advance(310_000);
    await expect.poll(() => metric('valetkey_circuit_breaker_state{integration="acme"}'), SOON).toBe(1);
    const asked = server.received.length;
    expect(asked).toBeLessThanOrEqual(CONCURRENCY + 8);
    answer = () => token();
    const refreshed = async () => {
      clock.advance(20_000);
      return (await Promise.all(ids.map(generation))).filter((g) => g === 2).length;
    };
    await expect.poll(refreshed, { timeout: 30_000, interval: 100 }).toBe(ids.length);
    for (const id of ids) expect((await connection(id)).status).toBe('active');
  });
});

async function metric(name: string): Promise<number | undefined> {
  const text = await (await fetch(new URL('/metrics', broker.url))).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

test('metrics: refreshes in flight are counted', async () => {
  await integrate('acme');
  answer = () => 'hang';
  for (let i = 0; i < 3; i++) await importToken('acme', 600);
  expect(await metric('valetkey_refreshes_in_flight')).toBe(0);
  clock.advance(400_000);
  await expect.poll(() => metric('valetkey_refreshes_in_flight'), SOON).toBe(3);
  expect(await metric('valetkey_connections{integration="acme",status="active"}')).toBe(3);
});
