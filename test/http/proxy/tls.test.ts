// Calls to APIs over TLS: with the client certificate of the integration, directly and through an egress proxy.
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { createCertificate, pem } from '../../support/certificate.ts';
import { type EgressProxyServer, startEgressProxy } from '../../support/egress-proxy.ts';

let api: Server;
let egress: EgressProxyServer;
let broker: TestBroker;
let seen: { client: string | undefined; authorization: string | undefined; url: string | undefined }[] = [];
const own = createCertificate('api.example');
const client = createCertificate('the-broker');

beforeAll(async () => {
  api = createServer(
    { key: pem(own.privateKey), cert: own.pem, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate();
      const { authorization } = request.headers;
      seen.push({ client: subject?.CN as string | undefined, authorization, url: request.url });
      response.end('ok');
    },
  );
  await new Promise<void>((listening) => api.listen(0, '127.0.0.1', listening));
  const { port } = api.address() as AddressInfo;
  setDefaultCACertificates([...getCACertificates('default'), own.pem]);
  egress = await startEgressProxy();
  egress.names.set('api.example', port).set('other.example', port);
  broker = await startTestBroker({
    HTTPS_PROXY: egress.url,
    NO_PROXY: '127.0.0.1',
    VALETKEY_OUTBOUND_ALLOW: '127.0.0.1,api.example,other.example',
  });
  const certificate = { private_key: pem(client.privateKey), certificate: client.pem };
  const setups: [string, string, object][] = [
    ['direct', `https://127.0.0.1:${port}/d`, certificate],
    ['tunnel', 'https://api.example/t', certificate],
    ['plain', `https://127.0.0.1:${port}/p`, {}],
    ['stranger', 'https://other.example/s', {}],
  ];
  for (const [id, api_base_url, more] of setups) {
    const setup = { provider: 'sendgrid', overrides: { api_base_url }, ...more };
    const { status, body } = await broker.ask('PUT', `/v1/integrations/${id}`, setup);
    expect([id, status, body.issues]).toEqual([id, 201, undefined]);
    const credentials = { api_key: KEY };
    expect((await broker.ask('POST', '/v1/connections', { integration: id, owner: 'ada', credentials })).status).toBe(
      201,
    );
  }
});
afterAll(async () => {
  await broker?.stop();
  await egress?.close();
  api?.closeAllConnections();
  api?.close();
});
beforeEach(() => {
  seen = [];
});

const KEY = `SG.${'a'.repeat(22)}.${'b'.repeat(43)}`;
const call = async (integration: string) => {
  const headers = { authorization: `Bearer ${broker.adminKey}`, 'valetkey-owner': 'ada' };
  const response = await fetch(`${broker.url}/v1/proxy/${integration}/x`, { headers });
  return { status: response.status, text: await response.text() };
};
const authorization = `Bearer ${KEY}`;

test('the certificate of the integration is shown to its API, and to no other', async () => {
  expect((await call('direct')).status).toBe(200);
  expect((await call('plain')).status).toBe(200);
  expect((await call('direct')).status).toBe(200);
  expect(seen.map((one) => [one.url, one.client])).toEqual([
    ['/d/x', 'the-broker'],
    ['/p/x', undefined],
    ['/d/x', 'the-broker'],
  ]);
  expect(egress.asked).toEqual([]);
});

test('through an egress proxy the API is called by a tunnel, with the same certificate', async () => {
  expect(await call('tunnel')).toEqual({ status: 200, text: 'ok' });
  expect(seen).toEqual([{ url: '/t/x', client: 'the-broker', authorization }]);
  expect(egress.asked).toEqual(['CONNECT api.example:443']);
});

test('an egress proxy that refuses, or takes no one through: 503, and nothing was sent', async () => {
  egress.cut();
  egress.faults = [502];
  const { status, text } = await call('tunnel');
  expect([status, JSON.parse(text).code]).toEqual([503, 'upstream_unavailable']);
  expect(seen).toEqual([]);
  egress.faults = [];
});

test('an API whose certificate is not for its name is sent nothing', async () => {
  const { status, text } = await call('stranger');
  expect([status, JSON.parse(text).code]).toEqual([503, 'upstream_unavailable']);
  expect(text).not.toContain(KEY);
  expect(seen).toEqual([]);
});
