// Tokens that are bound to a key (RFC 9449): the client sends them with proofs of the real broker to an API that checks them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalProvider, startProvider } from '../../demo/provider.ts';
import { startWorld, type World } from '../support/broker-setup.ts';
import { createTestClient, type TestClient } from '../support/client.ts';
import { type BoundApi, STRICT, startBoundApi } from '../support/dpop-api.ts';
import { connect, connectionOf, integrateAt, invite } from '../support/owner-browser.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const AUDIENCE = 'https://api.example';

let world: World;
let strict: LocalProvider;
let api: BoundApi;
let connection: string;
beforeAll(async () => {
  world = await startWorld();
  strict = await startProvider({ audience: AUDIENCE, features: { dPoP: { enabled: true } } });
  api = await startBoundApi(strict.issuer, AUDIENCE);
  await integrateAt(world.broker, 'bound', strict, { params: { issuer: strict.issuer, dpop: 'on' } });
  const invited = await invite(world.broker, { integration: 'bound' });
  await connect(world.broker, invited.url);
  connection = String((await connectionOf(world.broker, invited)).id);
});
afterAll(async () => {
  await api.close();
  await strict.close();
  await world.close();
});

const client = (options: Partial<Parameters<typeof createTestClient>[0]> = {}): TestClient =>
  createTestClient({ url: world.broker.url, key: world.broker.adminKey, ...options });

test('goes with a new proof for each request', async () => {
  const { valetkey } = client();
  for (const method of ['GET', 'POST'])
    expect((await valetkey.fetch({ connection }, `${api.url}/a?b=c`, { method })).status).toBe(200);
});

test('is proven without telling the broker the query', async () => {
  const told: unknown[] = [];
  const listening = (url: string, init: RequestInit) => {
    if (url.endsWith('/dpop-proof')) told.push(JSON.parse(String(init.body)));
    return fetch(url, init);
  };
  await client({ fetch: listening }).valetkey.fetch({ connection }, `${api.url}/a?secret=1#b`);
  expect(told).toEqual([{ method: 'GET', url: `${api.url}/a` }]);
});

test('takes up the nonce that the API demands, and knows it the next time', async () => {
  const { valetkey, sent } = client();
  const url = `${api.url}${STRICT}`;
  expect((await valetkey.fetch({ connection }, url)).status).toBe(200);
  expect((await valetkey.fetch({ connection }, url)).status).toBe(200);
  expect(sent.filter((line) => line === `GET ${url}`)).toHaveLength(3);
});

test('that was refreshed elsewhere meanwhile is the one that its proof names', async () => {
  const { valetkey, sent } = client();
  await valetkey.token({ connection });
  await world.broker.ask('POST', `/v1/connections/${connection}/refresh`, {});
  expect((await valetkey.fetch({ connection }, `${api.url}/a`)).status).toBe(200);
  expect(sent.filter((line) => line === `GET ${api.url}/a`)).toHaveLength(1);
});

test('that is rejected is refreshed by the token that was sent', async () => {
  const { body } = await world.broker.ask('GET', `/v1/connections/${connection}/token`);
  const deaf = await startScriptedServer(({ headers }) =>
    headers.authorization === `DPoP ${body.access_token}` ? { status: 401, body: '' } : { body: {} },
  );
  const { valetkey, sent } = client();
  expect((await valetkey.fetch({ connection }, `${deaf.url}/a?secret=1`)).status).toBe(200);
  expect(sent.filter((line) => line.endsWith('/refresh'))).toHaveLength(1);
  const dpopProofs = deaf.received.map(({ headers }) => headers.dpop);
  expect(new Set(dpopProofs).size).toBe(2);
  await deaf.close();
});
