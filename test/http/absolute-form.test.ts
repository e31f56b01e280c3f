// Requests whose target is a whole URL (RFC 9112 3.2.2), to brokers whose public URL has a path.
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';

const BASE = '/valet';
const env = {
  VALETKEY_PUBLIC_URL: `https://broker.example${BASE}`,
  VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
};

let one: TestBroker;
let two: TestBroker;
beforeAll(async () => {
  [one, two] = await Promise.all([startTestBroker(env), startTestBroker({ ...env, VALETKEY_INTERNAL_PORT: '0' })]);
});
afterAll(() => Promise.all([one.stop(), two.stop()]));

/** The target is sent as it is, with another host in `Host`. */
function sent(url: string, target: string, key: string, method = 'GET'): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(url);
  const headers = { authorization: `Bearer ${key}`, host: 'other.example' };
  return new Promise((resolve, reject) => {
    request({ hostname, port, path: target, method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    })
      .on('error', reject)
      .end();
  });
}

const withoutId = ({ status, text }: { status: number; text: string }) => ({
  status,
  text: text.replace(/"request_id":"[^"]*"/, ''),
});

const TARGETS: [string, string, number][] = [
  ['GET', '/healthz', 200],
  ['GET', '/readyz', 200],
  ['GET', '/v1/whoami', 200],
  ['GET', '/v1/connections?limit=1&owner=http://x/y', 200],
  ['GET', '/v1/connections/con_none/token', 404],
  ['GET', '/v1/token?integration=a&owner=b', 404],
  ['POST', '/v1/jwt/verify', 400],
  ['PROPFIND', '/v1/connections/con_none/proxy/a', 404],
  ['POST', '/webhooks/none', 404],
  ['GET', '/nothing', 404],
];

test.each(TARGETS)(
  '%s %s: a whole URL is answered as its path is, with the base and without',
  async (method, path, status) => {
    const plain = withoutId(await sent(one.url, path, one.adminKey, method));
    expect(plain.status).toBe(status);
    for (const origin of ['http://broker.example', 'https://broker.example:8443', 'HTTP://[::1]:1'])
      for (const base of ['', BASE])
        expect(withoutId(await sent(one.url, origin + base + path, one.adminKey, method)), origin).toEqual(plain);
  },
);

test('a URL without a path is that of the root; the query is kept', async () => {
  const root = withoutId(await sent(one.url, '/?a=/b', one.adminKey));
  for (const target of ['http://broker.example?a=/b', `http://broker.example${BASE}?a=/b`])
    expect(withoutId(await sent(one.url, target, one.adminKey))).toEqual(root);
});

test('the host is that of the target, and not that of the header', async () => {
  const target = `http://inside.example:81${BASE}/.well-known/oauth-authorization-server`;
  const { text } = await sent(two.internalUrl!, target, two.adminKey);
  expect(JSON.parse(text)).toMatchObject({ token_endpoint: 'http://inside.example:81/oauth2/token' });
});

test.each(['http://user@broker.example', 'http://user:pw@broker.example', 'ftp://broker.example', 'broker.example'])(
  '%s is no origin of a request: refused, or not found',
  async (origin) => {
    for (const base of ['', BASE])
      for (const [method, path] of [
        ['GET', '/v1/whoami'],
        ['GET', '/openapi.json'],
        ['POST', '/oauth2/token'],
        ['POST', '/connect/abc'],
      ] as const)
        for (const { url } of [one, two])
          expect([400, 404], path).toContain((await sent(url, `${origin}${base}${path}`, one.adminKey, method)).status);
  },
);

test.each([
  'http://broker.example/valet/v1/whoami',
  'http://broker.example/v1/whoami',
  'http://broker.example/valet/metrics',
  'http://broker.example/valet/connect/../metrics',
  'http://broker.example/connect/../valet/metrics',
  'http://broker.example/valet/%2e%2e/metrics',
  'http://broker.example//metrics',
  'http://broker.example/valet//metrics',
  'http://broker.example/valet/http://broker.example/metrics',
  'http://broker.example/valethttp://broker.example/metrics',
  'http://http://broker.example/metrics',
  'http:///connect/?/../metrics',
  'http://broker.example?/../metrics',
  'http://broker.example#/../metrics',
  'http://broker.example\\@x/metrics',
  'http://[::1/metrics',
  'http://a%20b/metrics',
  'http:///valet/metrics',
  'https://broker.example:99999/metrics',
  'http://user@broker.example/metrics',
  'http://user@broker.example/valet/metrics',
])('%s reaches nothing of the internal port', async (target) => {
  expect((await sent(two.url, target, two.adminKey)).status).toBeGreaterThanOrEqual(400);
});

test('the public port serves what is published by a whole URL', async () => {
  for (const path of ['/healthz', '/readyz', '/oauth2/jwks'])
    for (const base of ['', BASE])
      expect((await sent(two.url, `http://broker.example${base}${path}`, two.adminKey)).status, path).toBe(200);
});
