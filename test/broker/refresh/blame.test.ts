// Whose fault a refused refresh is: the connection's, the endpoint's, the client's, or the provider's. A real broker, and
// token endpoints with scripted answers.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../../../src/ports/index.ts';
import type { Tuning } from '../../../src/runtime/app.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
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
let answer: (request: ReceivedRequest, owner: string) => ScriptedResponse | Promise<ScriptedResponse>;
let alerts: object[];
let providers: string;
let tuning: Tuning;
let log: Logger;

/** Each tenant has a path of its own. */
const ENTRY = {
  id: 'tenants',
  name: 'Tenants',
  category: 'generic',
  docs_url: 'https://tenants.test/docs',
  confidence: 'unverified',
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: '{base}/authorize',
      token_url: '{base}/{tenant}/token',
      params: { base: { title: 'Base', example: 'https://a.test', pattern: 'https?://[a-z0-9.:]+' } },
      connection_params: { tenant: { title: 'Tenant', example: 'acme', pattern: '[a-z0-9]+' } },
    },
  ],
};

beforeEach(async () => {
  issued = 0;
  alerts = [];
  clock = createMovingClock();
  server = await startScriptedServer((request) => answer(request, ownerOf(request)));
  const ignore = () => {};
  log = { debug: ignore, info: ignore, warn: ignore, error: (fields) => void alerts.push(fields) };
  providers = mkdtempSync(join(tmpdir(), 'valetkey-providers-'));
  writeFileSync(join(providers, 'tenants.json'), JSON.stringify(ENTRY));
  tuning = { clock, refreshAhead: false };
  broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: providers }, undefined, tuning, log);
});
afterEach(async () => {
  await server.close();
  await broker.stop();
});

/** Refresh tokens are `<owner>.<n>`. */
const ownerOf = ({ form }: ReceivedRequest) => (form.get('refresh_token') ?? '').split('.')[0] ?? '';
let issued: number;
const tokensFor = (owner: string): ScriptedResponse => ({
  body: {
    access_token: `at-${++issued}`,
    token_type: 'Bearer',
    refresh_token: `${owner}.${issued}`,
    expires_in: 3_600,
  },
});
const refused = (status: number, error: string): ScriptedResponse => ({ status, body: { error } });
const dead = refused(400, 'invalid_grant');

const acme = (clientId = 'c') => ({
  provider: 'generic-oauth2',
  client_id: clientId,
  client_secret: 's',
  params: { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` },
});
const put = async (id: string, body: object) => {
  expect((await broker.ask('PUT', `/v1/integrations/${id}`, body as Json)).status).toBeLessThan(300);
};
/** Without an access token: each read refreshes until one succeeds. */
async function connect(owner: string, more: Json = {}): Promise<string> {
  const credentials = { refresh_token: `${owner}.0` };
  const body = { integration: 'acme', owner, credentials, ...more };
  return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
}
const connectMany = (names: string[], more: (name: string) => Json = () => ({})) =>
  Promise.all(names.map((name) => connect(name, more(name))));
const names = (count: number, prefix = 'o') => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const read = (id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
const refresh = (id: string) => broker.ask('POST', `/v1/connections/${id}/refresh`, {});
const connection = async (id: string): Promise<Json> => expectOk(await broker.ask('GET', `/v1/connections/${id}`));
const statuses = async (ids: string[]) => (await Promise.all(ids.map(connection))).map(({ status }) => status);
const all = (count: number, status: string) => Array.from({ length: count }, () => status);
const SOON = { timeout: 30_000, interval: 20 };

describe('client fault', () => {
  test('all are refused alike: 502, one alert, few requests, connections active, recovery at once', async () => {
    await put('acme', acme());
    answer = () => refused(401, 'invalid_client');
    const ids = await connectMany(names(20));
    for (const id of ids) expectProblem(await read(id), 502, 'integration_misconfigured');
    expect(alerts).toEqual([expect.objectContaining({ integration: 'acme', cause: 'client_fault' })]);
    expect(server.received.length).toBeLessThanOrEqual(8);
    expect(await statuses(ids)).toEqual(all(20, 'active'));
    answer = (_, owner) => tokensFor(owner);
    await put('acme', acme('right'));
    for (const id of ids) expectOk(await read(id));
  });

  test('one connection in all: 502, and active', async () => {
    await put('acme', acme());
    answer = () => refused(401, 'invalid_client');
    const [id] = await connectMany(['only']);
    for (let i = 0; i < 4; i++) {
      expectProblem(await read(id!), 502, 'integration_misconfigured');
      clock.advance(300_000);
    }
    expect(await connection(id!)).toMatchObject({ status: 'active' });
    expect(alerts).toEqual([]);
  });

  test('many are refused at once, and the rest are not: each of the rest is served', async () => {
    await put('acme', acme());
    answer = (_, owner) => (owner.startsWith('bad') ? refused(403, 'unauthorized_client') : tokensFor(owner));
    const bad = await connectMany(names(20, 'bad'));
    const good = await connectMany(names(20, 'good'));
    const [, answers] = await Promise.all([Promise.all(bad.map(read)), Promise.all(good.map(read))]);
    expect(answers.map(({ status }) => status)).toEqual(Array.from(good, () => 200));
    for (const id of good) expectOk(await refresh(id));
  });

  test('one is refused for minutes while others succeed: its owner is asked', async () => {
    await put('acme', acme());
    answer = (_, owner) => (owner === 'bad' ? refused(400, 'invalid_request') : tokensFor(owner));
    const bad = await connect('bad');
    const good = await connect('good');
    for (let i = 0; i < 3; i++) {
      expectProblem(await read(bad), 502, 'integration_misconfigured');
      expectOk(await refresh(good));
      clock.advance(60_000);
    }
    expectProblem(await read(bad), 409, 'reauthorization_required');
    expect(await connection(bad)).toMatchObject({ status: 'needs_reauth', reason: 'grant_revoked' });
    expect(await connection(good)).toMatchObject({ status: 'active' });
  });
});

describe('noisy tenants, at endpoints of their own', () => {
  const params = (tenant: string) => () => ({ params: { tenant } });
  beforeEach(() =>
    put('acme', { provider: 'tenants', client_id: 'c', client_secret: 's', params: { base: server.url } }),
  );

  test.each<[string, ScriptedResponse]>([
    ['that refuse the client', refused(401, 'invalid_client')],
    ['that are down', { status: 503, headers: { 'retry-after': '600' } }],
    ['that refuse refresh tokens', dead],
  ])('%s: all other tenants are served', async (_, bad) => {
    answer = ({ path }, owner) => (path.startsWith('/noisy') ? bad : tokensFor(owner));
    const noisy = await connectMany(names(20, 'n'), params('noisy'));
    const quiet = await connectMany(names(20, 'q'), params('quiet'));
    for (const [i, id] of quiet.entries()) {
      expect((await read(noisy[i]!)).status).not.toBe(200);
      expectOk(await read(id));
    }
    const text = await (await fetch(new URL('/metrics', broker.url))).text();
    expect(text.match(/^valetkey_circuit_breaker_state\{.*$/gm)).toEqual([
      'valetkey_circuit_breaker_state{integration="acme"} 1',
    ]);
  });

  test('one that is down before any other was asked: those of others are refreshed in the background', async () => {
    await broker.stop();
    broker = await startTestBroker(
      { VALETKEY_PROVIDERS_DIR: providers },
      undefined,
      { ...tuning, refreshAhead: true },
      log,
    );
    await put('acme', { provider: 'tenants', client_id: 'c', client_secret: 's', params: { base: server.url } });
    answer = ({ path }, owner) => (path.startsWith('/noisy') ? { status: 503 } : tokensFor(owner));
    await connectMany(names(70, 'n'), params('noisy'));
    await expect.poll(() => alerts, SOON).toHaveLength(1);
    const before = issued;
    await connectMany(names(10, 'q'), params('quiet'));
    await expect.poll(() => issued - before, SOON).toBe(10);
  });

  test('one that is slow before any other was asked: those of others are refreshed in the background meanwhile', async () => {
    await broker.stop();
    const ahead = {
      ...tuning,
      refreshAhead: true,
      refreshWait: { slowMs: 600_000, deadlineMs: 900_000, graceMs: 1_000 },
    };
    broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: providers }, undefined, ahead, log);
    await put('acme', { provider: 'tenants', client_id: 'c', client_secret: 's', params: { base: server.url } });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    answer = async ({ path }, owner) => {
      if (path.startsWith('/noisy')) await released;
      return tokensFor(owner);
    };
    await connectMany(names(100, 'n'), params('noisy'));
    await expect.poll(() => server.received.length, SOON).toBe(16);
    await connectMany(names(10, 'q'), params('quiet'));
    await expect.poll(() => issued, SOON).toBe(10);
    expect(server.received).toHaveLength(26);
    release();
    await expect.poll(() => issued, SOON).toBe(110);
  });

  test('one owner that is told to wait: the others are served', async () => {
    const wait: ScriptedResponse = { status: 429, headers: { 'retry-after': '600' } };
    answer = (_, owner) => (owner === 'n0' ? wait : tokensFor(owner));
    const [slow, ...others] = await connectMany(names(4, 'n'), params('shared'));
    for (let i = 0; i < 5; i++) expectProblem(await refresh(slow!), 503, 'provider_unavailable');
    for (const id of others) expectOk(await read(id));
    const limited = await read(slow!);
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(500);
  });
});

describe('dead grants', () => {
  test('up to four: each is believed at once', async () => {
    await put('acme', acme());
    answer = () => dead;
    const ids = await connectMany(names(4));
    for (const id of ids) expectProblem(await read(id), 409, 'reauthorization_required');
    expect(alerts).toEqual([]);
  });

  test('many within a minute: active and 503, with one alert, and served when the provider is well', async () => {
    await put('acme', acme());
    answer = (_, owner) => tokensFor(owner);
    const ids = await connectMany(names(30));
    for (const id of ids) expectOk(await read(id));
    answer = () => dead;
    clock.advance(3_700_000);
    const answers = await Promise.all(ids.map(read));
    expect(answers.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(20);
    await expect.poll(() => statuses(ids), SOON).toEqual(all(30, 'active'));
    expect(alerts).toEqual([expect.objectContaining({ cause: 'dead_grants', code: 'invalid_grant' })]);
    const limited = await read(ids[29]!);
    expectProblem(limited, 503, 'provider_unavailable');
    expect(limited.headers.get('retry-after')).not.toBeNull();
    answer = (_, owner) => tokensFor(owner);
    clock.advance(120_000);
    for (const id of ids) expectOk(await read(id));
  });

  test('one at each of many tenants, refused together: active, and served when the provider is well', async () => {
    await put('acme', { provider: 'tenants', client_id: 'c', client_secret: 's', params: { base: server.url } });
    answer = () => dead;
    const ids = await connectMany(names(8), (name) => ({ params: { tenant: name } }));
    for (const id of ids) expect((await read(id)).status).not.toBe(200);
    await expect.poll(() => statuses(ids), SOON).toEqual(all(8, 'active'));
    answer = (_, owner) => tokensFor(owner);
    clock.advance(120_000);
    for (const id of ids) expectOk(await read(id));
  });

  test('some that are really dead among many: found dead once others succeed', async () => {
    await put('acme', acme());
    answer = () => dead;
    const ids = await connectMany(names(12));
    await Promise.all(ids.map(read));
    await expect.poll(() => statuses(ids), SOON).toEqual(all(12, 'active'));
    const lost = new Set(['o0', 'o1', 'o2']);
    answer = (_, owner) => (lost.has(owner) ? dead : tokensFor(owner));
    for (let round = 0; round < 8; round++) {
      clock.advance(120_000);
      for (const id of ids) await refresh(id);
    }
    const found = await statuses(ids);
    expect(found.slice(0, 3)).toEqual(all(3, 'needs_reauth'));
    expect(found.slice(3)).toEqual(all(9, 'active'));
  });

  test('all are really dead: believed after a quarter of an hour', async () => {
    await put('acme', acme());
    answer = () => dead;
    const ids = await connectMany(names(8));
    for (let round = 0; round < 25; round++) {
      for (const id of ids) await read(id);
      clock.advance(61_000);
    }
    expect(await statuses(ids)).toEqual(all(8, 'needs_reauth'));
  });

  test.each([3, 12])('%i, one by one, after a wrong client id: active again when it is corrected', async (count) => {
    await put('acme', acme());
    answer = ({ form }, owner) => (form.get('client_id') === 'wrong' || isWrong ? dead : tokensFor(owner));
    let isWrong = false;
    const ids = await connectMany(names(count));
    for (const id of ids) expectOk(await read(id));
    isWrong = true;
    clock.advance(3_700_000);
    await put('acme', acme('wrong'));
    for (const id of ids) {
      expect((await read(id)).status).not.toBe(200);
      clock.advance(90_000);
    }
    isWrong = false;
    await put('acme', acme());
    await expect.poll(() => statuses(ids), SOON).toEqual(all(count, 'active'));
    for (const id of ids) expectOk(await read(id));
  });
});
