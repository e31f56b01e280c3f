// A broker whose network lets nothing out but through a proxy.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type EgressProxyServer, startEgressProxy } from '../support/egress-proxy.ts';
import { startTokenEndpoint, type TokenEndpoint } from '../support/token-endpoint.ts';

let endpoint: TokenEndpoint;
let proxy: EgressProxyServer;
let broker: TestBroker;
const folder = mkdtempSync(join(tmpdir(), 'valetkey-egress-'));
beforeAll(async () => {
  endpoint = await startTokenEndpoint(folder);
  setDefaultCACertificates([...getCACertificates('default'), readFileSync(endpoint.certificate, 'utf8')]);
  proxy = await startEgressProxy();
  broker = await startTestBroker({
    HTTPS_PROXY: proxy.url.replace('//', '//broker:hunter2@'),
    NO_PROXY: 'direct.example',
    VALETKEY_OUTBOUND_ALLOW: '127.0.0.1',
  });
  const params = { authorization_url: 'https://id.example/', token_url: endpoint.url };
  const acme = { provider: 'generic-oauth2', client_id: 'me', client_secret: 'secret', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', acme), 201);
});
afterAll(async () => {
  await broker.stop();
  await proxy.close();
  await endpoint.close();
  rmSync(folder, { recursive: true });
});

const adopt = async (owner: string) => {
  const body = { integration: 'acme', owner, credentials: { refresh_token: `${owner}-1` } };
  expectOk(await broker.ask('POST', '/v1/connections', body), 201);
};
const read = (owner: string) => broker.ask('GET', `/v1/token?integration=acme&owner=${owner}`);

test('a refresh goes through the tunnel, with the credentials of the proxy', async () => {
  await adopt('ada');
  expect(expectOk(await read('ada'))).toMatchObject({ access_token: 'at-ada-2' });
  expect(proxy.asked).toEqual([`CONNECT ${new URL(endpoint.url).host}`]);
  expect(proxy.credentials).toEqual(['broker:hunter2']);
});

test('a proxy that refuses costs no grant: the refresh token was not spent, and works afterwards', async () => {
  await adopt('eve');
  proxy.cut();
  proxy.faults = [407];
  const refused = expectProblem(await read('eve'), 503, 'provider_unavailable');
  expect(JSON.stringify(refused)).not.toContain('hunter2');
  const [row] = expectOk(await broker.ask('GET', '/v1/connections?owner=eve')).data as Record<string, unknown>[];
  expect(row).toMatchObject({ status: 'active', last_refresh_error: expect.anything() });
  expect(JSON.stringify(row)).toContain('egress proxy');
  expect(endpoint.received).not.toContain('eve-1');
  proxy.faults = [];
  await expect.poll(async () => (await read('eve')).status, { timeout: 30_000 }).toBe(200);
  expect(endpoint.received.filter((token) => token === 'eve-1')).toHaveLength(1);
});

test('an integration at an internal address is refused by name, whatever the proxy reaches', async () => {
  const params = { authorization_url: 'https://id.example/', token_url: 'https://10.0.0.1/token' };
  const inside = { provider: 'generic-oauth2', client_id: 'me', params };
  const problem = expectProblem(await broker.ask('PUT', '/v1/integrations/inside', inside), 400, 'invalid_request');
  expect(JSON.stringify(problem)).toContain('VALETKEY_OUTBOUND_ALLOW');
});
