// Retry-After of a token endpoint: it bounds when a connection is tried again, is bounded itself, and an admin's forced
// refresh passes it. A real broker and a scripted provider.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

let clock: MovingClock;
let broker: TestBroker;
let server: ScriptedServer;
let answer: ScriptedResponse;

beforeEach(async () => {
  clock = createMovingClock();
  server = await startScriptedServer(() => answer);
  broker = await startTestBroker({}, undefined, { clock, refreshAhead: false });
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
});
afterEach(async () => {
  await server.close();
  await broker.stop();
});

const good: ScriptedResponse = {
  body: { access_token: 'at', token_type: 'Bearer', refresh_token: 'next', expires_in: 3_600 },
};
const throttled: ScriptedResponse = {
  status: 429,
  headers: { 'retry-after': '999999999' },
  body: { error: 'rate_limited' },
};

/** Without `seconds`, it has no access token. */
async function importToken(seconds?: number): Promise<string> {
  const expires_at = new Date(clock.now() + (seconds ?? 0) * 1_000).toISOString();
  const credentials = { refresh_token: 'rt', ...(seconds !== undefined && { access_token: 'old', expires_at }) };
  const body = { integration: 'acme', owner: 'ada', credentials };
  return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
}
const read = (id: string, key?: string) => broker.ask('GET', `/v1/connections/${id}/token`, undefined, key);
const refresh = (id: string, key?: string) => broker.ask('POST', `/v1/connections/${id}/refresh`, {}, key);
const waitOf = async (id: string): Promise<number> => {
  const { body }: { body: Json } = await broker.ask('GET', `/v1/connections/${id}`);
  return Date.parse(String(body.next_refresh_at)) - clock.now();
};

describe('Retry-After for decades', () => {
  test('without a valid token: 503 for a quarter of an hour, then it is tried again', async () => {
    answer = throttled;
    const id = await importToken();
    const limited = await read(id);
    expectProblem(limited, 503, 'provider_unavailable');
    const wait = Number(limited.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(800);
    expect(wait).toBeLessThanOrEqual(900);
    expect(await waitOf(id)).toBeLessThanOrEqual(900_000);
    answer = good;
    clock.advance(900_000);
    expect(expectOk(await read(id)).access_token).toBe('at');
  });

  test('the rest paces later failures that ask for nothing, until one succeeds', async () => {
    answer = throttled;
    const id = await importToken();
    expectProblem(await read(id), 503, 'provider_unavailable');
    answer = { status: 503, body: {} };
    clock.advance(900_000);
    const paced = await read(id);
    expectProblem(paced, 503, 'provider_unavailable');
    expect(Number(paced.headers.get('retry-after'))).toBeGreaterThan(800);
    expect(await waitOf(id)).toBeGreaterThan(800_000);
    answer = good;
    clock.advance(900_000);
    expect(expectOk(await read(id)).access_token).toBe('at');
    answer = { status: 503, body: {} };
    clock.advance(3_600_000);
    const again = await read(id);
    expectProblem(again, 503, 'provider_unavailable');
    expect(Number(again.headers.get('retry-after'))).toBeLessThan(60);
  });

  test('with a token that expires sooner: tried once more before that', async () => {
    answer = throttled;
    const id = await importToken(300);
    clock.advance(120_000);
    const limited = await refresh(id);
    expectProblem(limited, 503, 'provider_unavailable');
    // 180 s are left.
    expect(Number(limited.headers.get('retry-after'))).toBeLessThanOrEqual(151);
    const wait = await waitOf(id);
    expect(wait).toBeGreaterThan(100_000);
    expect(wait).toBeLessThanOrEqual(151_000);
    expect(expectOk(await read(id)).access_token).toBe('old');
  });
});

describe('forced refresh while the provider asks to wait', () => {
  test('of an admin: the provider is asked, once for each request', async () => {
    answer = throttled;
    const id = await importToken();
    expectProblem(await read(id), 503, 'provider_unavailable');
    const before = server.received.length;
    expectProblem(await refresh(id), 503, 'provider_unavailable');
    expect(server.received.length - before).toBe(1);
    answer = good;
    expect(expectOk(await refresh(id)).access_token).toBe('at');
  });

  test('of a caller without admin on this connection: 503 without a request', async () => {
    answer = throttled;
    const id = await importToken();
    const grants = [
      { actions: ['token', 'connections:write'], integrations: ['*'], owners: ['*'] },
      { actions: ['admin'], integrations: ['other'], owners: ['*'] },
    ];
    const created = await broker.ask('POST', '/v1/callers', { name: 'service', grants });
    const key = String(expectOk(created, 201).key);
    expectProblem(await read(id, key), 503, 'provider_unavailable');
    const before = server.received.length;
    expectProblem(await refresh(id, key), 503, 'provider_unavailable');
    expect(server.received).toHaveLength(before);
  });
});
