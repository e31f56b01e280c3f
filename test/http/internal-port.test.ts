// Two ports: what the public one serves, and what it does not, in any spelling.
import { request } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { PUBLISHED_PATHS } from '../../src/http/published-paths.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { read } from '../support/deploy-files.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker({ VALETKEY_INTERNAL_PORT: '0' });
});
afterAll(() => broker.stop());

/** The target is sent as it is. */
function statusOf(url: string, target: string, method = 'GET'): Promise<number> {
  const { hostname, port } = new URL(url);
  const headers = { authorization: `Bearer ${broker.adminKey}` };
  return new Promise((resolve, reject) => {
    request({ hostname, port, path: target, method, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}
const onBoth = async (target: string, method?: string) => ({
  public: await statusOf(broker.url, target, method),
  internal: await statusOf(broker.internalUrl!, target, method),
});

test('what is published is what the guide for operators lists', () => {
  const guide = read('docs/operations.md');
  const section = guide.slice(guide.indexOf('### Two ports'), guide.indexOf('### Whose address it is'));
  const listed = section
    .split('\n')
    .flatMap((line) => [...(/^\| (`.*?) \|/.exec(line)?.[1] ?? '').matchAll(/`([^`]+)`/g)]);
  const published = [...PUBLISHED_PATHS.prefixes.map((prefix) => `${prefix}*`), ...PUBLISHED_PATHS.exact];
  expect(listed.map(([, path]) => path).toSorted()).toEqual(published.toSorted());
});

test('both ports are told apart, and ready', async () => {
  expect(broker.internalUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(broker.internalUrl).not.toBe(broker.url);
  for (const target of ['/healthz', '/readyz']) expect(await onBoth(target)).toEqual({ public: 200, internal: 200 });
});

test.each([
  ['/v1/whoami', 'GET', 200],
  ['/v1/token?integration=a&owner=b', 'GET', 404],
  ['/v1/connections', 'GET', 200],
  ['/v1/jwt/verify', 'POST', 400],
  ['/v1/proxy/a/x', 'GET', 400],
  ['/v1/connections/con_x/proxy/x', 'POST', 404],
  ['/oauth2/token', 'POST', 400],
  ['/oauth2/introspect', 'POST', 400],
  ['/metrics', 'GET', 200],
  ['/docs', 'GET', 200],
  ['/openapi.json', 'GET', 200],
])('%s is for the internal port', async (target, method, internal) => {
  expect(await onBoth(target, method)).toEqual({ public: 404, internal });
});

test.each([
  ['/.well-known/oauth-authorization-server', 200],
  ['/oauth2/jwks', 200],
  ['/oauth2/callback/nobody?state=x', 403],
  ['/connect/nothing', 404],
])('%s is published', async (target, status) => {
  expect(await onBoth(target)).toEqual({ public: status, internal: status });
  const page = await (await fetch(new URL('/connect/nothing', broker.url))).text();
  const [, stylesheet] = /href="([^"]*\/assets\/[^"]+)"/.exec(page)!;
  expect(await onBoth(new URL(stylesheet!, broker.url).pathname)).toEqual({ public: 200, internal: 200 });
});

test('the metadata of each port name what it serves: the public one no token endpoint', async () => {
  const WELL_KNOWN = '/.well-known/oauth-authorization-server';
  const open = await fetch(new URL(WELL_KNOWN, broker.url));
  const jwks_uri = `${broker.url}/oauth2/jwks`;
  const none = { response_types_supported: [], grant_types_supported: [] };
  expect(await open.json()).toEqual({ issuer: broker.url, jwks_uri, ...none });
  const inside = await fetch(new URL(WELL_KNOWN, broker.internalUrl));
  const metadata = (await inside.json()) as Record<string, string>;
  expect(metadata).toMatchObject({
    issuer: broker.url,
    jwks_uri,
    token_endpoint: `${broker.internalUrl}/oauth2/token`,
  });
  // Each is served where it is said to be.
  for (const name of ['token_endpoint', 'introspection_endpoint'])
    expect((await fetch(metadata[name]!, { method: 'POST' })).status, name).toBe(400);
  expect((await fetch(metadata.service_documentation!)).status).toBe(200);
  const behindTls = await fetch(new URL(WELL_KNOWN, broker.internalUrl), { headers: { 'x-forwarded-proto': 'https' } });
  expect(((await behindTls.json()) as typeof metadata).token_endpoint).toMatch(/^https:/);
  expect(behindTls.headers.get('cache-control')).toBe('no-store');
});

test.each([
  '/connect/../v1/whoami',
  '/connect/%2e%2e/v1/whoami',
  '/connect/..%2fv1/whoami',
  '//v1/whoami',
  '/connect//v1/whoami',
  '/%76%31/whoami',
  '/v1%2fwhoami',
  '/V1/whoami',
  '/v1/whoami/',
  '/./v1/whoami',
  '/healthz/../metrics',
  '/.well-known/..//metrics',
  '/metrics?/connect/',
  '/metrics#/connect/',
  '/metrics;/connect/',
  '/connect/\\..\\..\\metrics',
  'http://127.0.0.1/v1/whoami',
  'http://127.0.0.1/connect/../metrics',
  '/oauth2/jwks/../token',
  '/docs/',
  '/console',
  '/',
])('%s reaches nothing of the internal port', async (target) => {
  expect(await statusOf(broker.url, target)).toBeGreaterThanOrEqual(400);
});

test('the public port authenticates no one: no key is tried there', async () => {
  const wrong = (url: string) => fetch(new URL('/v1/whoami', url), { headers: { authorization: 'Bearer vk_guess' } });
  for (let n = 0; n < 40; n++) expect((await wrong(broker.url)).status).toBe(404);
  expect((await wrong(broker.internalUrl!)).status).toBe(401);
});

/** Its path is told by what is answered, not by its method. */
test('another method is no way around', async () => {
  for (const method of ['HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'])
    expect((await onBoth('/v1/whoami', method)).public, method).toBe(404);
});

describe('starting and stopping', () => {
  let taken: Server;
  let other: Server;
  beforeAll(async () => {
    const listening = (): Promise<Server> =>
      new Promise((resolve) => {
        const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
      });
    [taken, other] = await Promise.all([listening(), listening()]);
  });
  afterAll(() => Promise.all([taken, other].map((server) => new Promise((closed) => server.close(closed)))));
  const portOf = (server: Server) => String((server.address() as { port: number }).port);
  const startWith = async (env: Record<string, string>) => {
    const settings = { VALETKEY_DATABASE_URL: 'file::memory:', VALETKEY_PORT: '0', ...env };
    const parsed = parseConfig(settings, () => '');
    if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
    return start(parsed.config, createLogger('silent'));
  };

  test('both ports in use: both are named', async () => {
    const env = { VALETKEY_PORT: portOf(taken), VALETKEY_INTERNAL_PORT: portOf(other) };
    await expect(startWith(env)).rejects.toMatchObject({
      name: 'SetupError',
      issues: [
        expect.stringMatching(`^VALETKEY_PORT: ${env.VALETKEY_PORT} is in use`),
        expect.stringMatching(`^VALETKEY_INTERNAL_PORT: ${env.VALETKEY_INTERNAL_PORT} is in use`),
      ],
    });
  });

  test('the internal port in use: the public one is let go', async () => {
    const env = { VALETKEY_INTERNAL_PORT: portOf(taken) };
    await expect(startWith(env)).rejects.toMatchObject({ issues: [expect.stringMatching('^VALETKEY_INTERNAL_PORT')] });
  });

  test.each([
    ['an address of another machine', '192.0.2.1', /^VALETKEY_HOST: 192\.0\.2\.1 is not an address of this machine/],
    ['a name that does not exist', 'nowhere.invalid', /^VALETKEY_HOST: nowhere\.invalid is not a name/],
  ])('a host that is %s: one issue, by name', async (_, host, issue) => {
    const env = { VALETKEY_HOST: host, VALETKEY_INTERNAL_PORT: '0', VALETKEY_PUBLIC_URL: 'http://localhost' };
    await expect(startWith(env)).rejects.toMatchObject({ issues: [expect.stringMatching(issue)] });
  });

  test('[::1], with brackets: listens there, and the URLs have them', async () => {
    const running = await startWith({ VALETKEY_HOST: '[::1]', VALETKEY_INTERNAL_PORT: '0' });
    expect([running.url, running.internalUrl]).toEqual(Array(2).fill(expect.stringMatching(/^http:\/\/\[::1\]:\d+$/)));
    expect((await fetch(`${running.internalUrl}/healthz`)).status).toBe(200);
    await running.stop();
  });

  test('a stop lets requests of both ports end, and closes both', async () => {
    const running = await startWith({ VALETKEY_INTERNAL_PORT: '0' });
    const urls = [running.url, running.internalUrl!];
    const open = urls.map((url) => {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname);
      let answer = '';
      socket.setEncoding('latin1').on('data', (chunk) => {
        answer += chunk;
      });
      socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n');
      const done = new Promise<string>((resolve) => socket.on('close', () => resolve(answer)));
      return { socket, done, begun: new Promise((resolve) => socket.on('connect', resolve)) };
    });
    await Promise.all(open.map(({ begun }) => begun));
    await Promise.all(urls.map((url) => fetch(`${url}/healthz`)));
    const stopped = running.stop();
    for (const { socket } of open) socket.write('\r\n');
    for (const { done } of open) expect(await done).toMatch(/^HTTP\/1\.1 200 /);
    await stopped;
    for (const url of urls) await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });
});
