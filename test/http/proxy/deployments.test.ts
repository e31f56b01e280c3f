// Calls through the proxy in deployments of other kinds: a public URL with a path, a service without a key, PostgreSQL, and a
// broker that is killed in the middle of a stream.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { answer, type ReceivedRequest } from '../../support/byte-upstream.ts';
import { expectOk } from '../../support/contract.ts';
import { entry } from '../../support/entries.ts';
import { startIssuer } from '../../support/issuer.ts';
import { callApi, type LimitedApi, startLimitedApi } from '../../support/limited-api.ts';
import { rawCall } from '../../support/raw-call.ts';
import { startRestartableBroker } from '../../support/restartable-broker.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { startBelowSubPath } from '../../support/sub-path.ts';

let api: LimitedApi;
beforeAll(async () => {
  api = await startLimitedApi({ scope: 'integration' });
  const keyed = entry('keyed', {
    auth: [{ mode: 'api_key', send: { in: 'header', name: 'Authorization', prefix: 'Bearer ' } }],
    api_base_url: api.upstream.url,
    api: { idempotency: { query: 'request_id' } },
  });
  await writeFile(join(api.providers, 'keyed.json'), JSON.stringify(keyed));
});
afterAll(() => api?.close());
beforeEach(() => api.upstream.reset());
const stopped = (broker: TestBroker): TestBroker => {
  onTestFinished(() => broker.stop());
  return broker;
};

test.each([true, false])('a public URL with a path, which is stripped: %s', async (strips) => {
  const broker = stopped(await startBelowSubPath({ strips }, { VALETKEY_PROVIDERS_DIR: api.providers }));
  const id = await api.connect(broker, 'acme', 'ada');
  expect((await callApi(broker, id)).status).toBe(200);
  const headers = { authorization: `Bearer ${broker.adminKey}`, 'valetkey-owner': 'ada' };
  expect((await fetch(`${broker.url}/v1/proxy/acme/v1/proxy/x?a=1`, { headers })).status).toBe(200);
  expect(api.upstream.requests.map(({ line }) => line)).toEqual([
    'GET /things HTTP/1.1',
    'GET /v1/proxy/x?a=1 HTTP/1.1',
  ]);
});

test('a service calls with the token of its platform, which the API is not sent', async () => {
  const issuer = await startIssuer();
  onTestFinished(() => issuer.close());
  const trusted = { trusted_issuers: [{ issuer: issuer.url }] };
  const broker = stopped(
    await startTestBroker({ VALETKEY_PROVIDERS_DIR: api.providers }, trusted, { refreshAhead: false }),
  );
  const id = await api.connect(broker, 'acme', 'ada');
  const caller = {
    name: 'service',
    grants: [{ actions: ['proxy'], integrations: ['acme'], owners: ['*'], methods: ['GET'] }],
    workloads: [{ issuer: issuer.url, audience: 'valetkey', claims: { sub: 'service' } }],
  };
  expectOk(await broker.ask('POST', '/v1/callers', caller), 201);
  const token = await issuer.sign({ sub: 'service' });
  const call = (method: string, key: string) =>
    fetch(`${broker.url}/v1/connections/${id}/proxy/x`, { method, headers: { authorization: `Bearer ${key}` } });
  expect((await call('GET', token)).status).toBe(200);
  expect((await call('DELETE', token)).status).toBe(403);
  expect((await call('GET', await issuer.sign({ sub: 'other' }))).status).toBe(401);
  expect(api.upstream.requests).toHaveLength(1);
  expect(api.upstream.bytes()).not.toContain(token);
});

test('PostgreSQL: a rate that two brokers share, a capture, and a check of what is not known', async () => {
  const env = {
    VALETKEY_DATABASE_URL: await createMigratedDatabase(),
    VALETKEY_PROVIDERS_DIR: api.providers,
    VALETKEY_KEYS: generateKey(),
    VALETKEY_ADMIN_KEY: 'a'.repeat(32),
  };
  const start = async () => {
    const broker = stopped(await startTestBroker(env, undefined, { refreshAhead: false }));
    return {
      ...broker,
      adminKey: env.VALETKEY_ADMIN_KEY,
      ask: (m: string, p: string, b?: unknown) => broker.ask(m, p, b, env.VALETKEY_ADMIN_KEY),
    };
  };
  const [here, there] = [await start(), await start()];
  const id = await api.connect(here, 'rated', 'ada', { rate: { requests: 4, window: 10_000 } });
  expect((await here.ask('POST', `/v1/connections/${id}/capture`, {})).status).toBe(201);
  const statuses: number[] = [];
  for (const broker of [here, there, here, there, here, there]) statuses.push((await callApi(broker, id)).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(4);
  expect(statuses.slice(4)).toEqual([429, 429]);
  await expect
    .poll(async () => (await there.ask('GET', `/v1/connections/${id}/captures`)).body.data)
    .toHaveLength(statuses.length);
  expect((await there.ask('POST', `/v1/connections/${id}/check`)).body.code).toBe('check_unsupported');
});

test('a POST with the idempotency key of its API in the query is repeated, and no other', async () => {
  const broker = stopped(
    await startTestBroker({ VALETKEY_PROVIDERS_DIR: api.providers }, undefined, { refreshAhead: false }),
  );
  expectOk(await broker.ask('PUT', '/v1/integrations/keyed', { provider: 'keyed' }), 201);
  const body = { integration: 'keyed', owner: 'ada', credentials: { api_key: 'k-of-ada' } };
  const id = String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
  api.answers('503 Service Unavailable');
  const attempts: (string | null)[] = [];
  for (const query of ['?request_id=7', '?request_id=', '?other=7', '']) {
    const headers = { authorization: `Bearer ${broker.adminKey}`, 'valetkey-retry': '1' };
    const url = `${broker.url}/v1/connections/${id}/proxy/x${query}`;
    attempts.push((await fetch(url, { method: 'POST', headers })).headers.get('valetkey-attempts'));
  }
  expect(attempts).toEqual(['2', '1', '1', '1']);
});

test('a broker that is killed in a stream: both sides see the end, and it works when it is back', async () => {
  const env = { VALETKEY_PROVIDERS_DIR: api.providers, VALETKEY_KEYS: generateKey() };
  const killed = await startRestartableBroker({ empty: true, env });
  onTestFinished(() => killed.close());
  const broker = { url: killed.current().url, adminKey: killed.adminKey, ask: killed.ask } as TestBroker;
  const id = await api.connect(broker, 'acme', 'ada');
  const requests: ReceivedRequest[] = [];
  api.upstream.onHead = (request) => {
    requests.push(request);
    if (request.line.startsWith('GET'))
      request.socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`);
  };
  const head = (method: string, more: string) =>
    `${method} /v1/connections/${id}/proxy/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${killed.adminKey}\r\n${more}\r\n`;
  const download = rawCall(broker.url, head('GET', ''));
  await download.until(/half/);
  const upload = rawCall(broker.url, `${head('POST', 'Content-Length: 1000000\r\n')}half`);
  await expect.poll(() => requests.length).toBe(2);

  await killed.current().stop('SIGKILL');
  const [got, none] = await Promise.all([download.answer, upload.answer, ...requests.map(({ closed }) => closed)]);
  expect([got.status, got.body.toString(), got.isComplete]).toEqual([200, 'half', false]);
  expect([none.status, requests.map(({ isComplete }) => isComplete)]).toEqual([0, [true, false]]);

  await killed.start();
  api.upstream.onHead = ({ socket }) => socket.write(answer());
  expect((await callApi(broker, id)).status).toBe(200);
  expect(killed.current().output()).not.toContain('secret-of-ada');
}, 180_000);
