// DPoP-bound tokens (RFC 9449): sent with proofs of the real broker to an API that checks them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import { type DpopApi, NONCE_PATH, startDpopApi } from '../support/dpop-api.ts';
import { connect, connectionOf, createConnectSession, putIntegrationAt } from '../support/owner-browser.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const AUDIENCE = 'https://api.example';

let testSetup: TestSetup;
let strict: LocalProvider;
let api: DpopApi;
let connection: string;
beforeAll(async () => {
  testSetup = await startTestSetup();
  strict = await startProvider({ audience: AUDIENCE, features: { dPoP: { enabled: true } } });
  api = await startDpopApi(strict.issuer, AUDIENCE);
  await putIntegrationAt(testSetup.broker, 'bound', strict, { params: { issuer: strict.issuer, dpop: 'on' } });
  const invited = await createConnectSession(testSetup.broker, { integration: 'bound' });
  await connect(testSetup.broker, invited.url);
  connection = String((await connectionOf(testSetup.broker, invited)).id);
});
afterAll(async () => {
  await api.close();
  await strict.close();
  await testSetup.close();
});

const client = (options: Partial<Parameters<typeof createTestClient>[0]> = {}): TestClient =>
  createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey, ...options });

test('DPoP: a new proof for each request', async () => {
  const { valetkey } = client();
  for (const method of ['GET', 'POST'])
    expect((await valetkey.fetch({ connection }, `${api.url}/a?b=c`, { method })).status).toBe(200);
});

test('DPoP: the broker does not see the query', async () => {
  const seen: unknown[] = [];
  const recording = (url: string, init: RequestInit) => {
    if (url.endsWith('/dpop-proof')) seen.push(JSON.parse(String(init.body)));
    return fetch(url, init);
  };
  await client({ fetch: recording }).valetkey.fetch({ connection }, `${api.url}/a?secret=1#b`);
  expect(seen).toEqual([{ method: 'GET', url: `${api.url}/a` }]);
});

test('DPoP: uses the nonce that the API demands, and remembers it', async () => {
  const { valetkey, sent } = client();
  const url = `${api.url}${NONCE_PATH}`;
  expect((await valetkey.fetch({ connection }, url)).status).toBe(200);
  expect((await valetkey.fetch({ connection }, url)).status).toBe(200);
  expect(sent.filter((line) => line === `GET ${url}`)).toHaveLength(3);
});

test('DPoP: after a refresh elsewhere, sends the token that the proof is bound to', async () => {
  const { valetkey, sent } = client();
  await valetkey.token({ connection });
  await testSetup.broker.ask('POST', `/v1/connections/${connection}/refresh`, {});
  expect((await valetkey.fetch({ connection }, `${api.url}/a`)).status).toBe(200);
  expect(sent.filter((line) => line === `GET ${api.url}/a`)).toHaveLength(1);
});

test('DPoP: a 401 refreshes the token that was sent', async () => {
  const { body } = await testSetup.broker.ask('GET', `/v1/connections/${connection}/token`);
  const rejecting = await startScriptedServer(({ headers }) =>
    headers.authorization === `DPoP ${body.access_token}` ? { status: 401, body: '' } : { body: {} },
  );
  const { valetkey, sent } = client();
  expect((await valetkey.fetch({ connection }, `${rejecting.url}/a?secret=1`)).status).toBe(200);
  expect(sent.filter((line) => line.endsWith('/refresh'))).toHaveLength(1);
  const dpopProofs = rejecting.received.map(({ headers }) => headers.dpop);
  expect(new Set(dpopProofs).size).toBe(2);
  await rejecting.close();
});
