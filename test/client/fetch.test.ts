// Requests to APIs on loopback with tokens of the real broker: how the token is attached, retries and redirects.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { createTestClient, rejectionOf, type TestClient } from '../support/client.ts';
import { newOwner } from '../support/owner-browser.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../support/scripted-server.ts';

const KEY = 'k3y/with+odd=chars&more';
const send = (place: string, name: string, prefix = '') => ({ send: { in: place, name, prefix } });
/** One provider with all ways to attach a key. */
const MANIFOLD = {
  id: 'manifold',
  name: 'Manifold',
  category: 'generic',
  docs_url: 'https://manifold.example/docs',
  confidence: 'unverified',
  auth: [
    { mode: 'api_key', variant: 'header', ...send('header', 'X-API-Key') },
    { mode: 'api_key', variant: 'bare', ...send('header', 'Authorization') },
    { mode: 'api_key', variant: 'bot', ...send('header', 'Authorization', 'Bot ') },
    { mode: 'api_key', variant: 'query', ...send('query', 'key') },
    { mode: 'api_key', variant: 'body', ...send('body', 'token') },
    { mode: 'basic' },
    { mode: 'aws_sigv4' },
  ],
};

let folder: string;
let testSetup: TestSetup;
const servers: ScriptedServer[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-client-'));
  mkdirSync(join(folder, 'providers'));
  writeFileSync(join(folder, 'providers', 'manifold.json'), JSON.stringify(MANIFOLD));
  testSetup = await startTestSetup({ VALETKEY_PROVIDERS_DIR: join(folder, 'providers') });
});
afterAll(async () => {
  await testSetup.close();
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  testSetup.proxy.setRule('pass');
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const client = (options: Partial<Parameters<typeof createTestClient>[0]> = {}): TestClient =>
  createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey, ...options });
const at = (owner: string) => ({ integration: 'acme', owner });

async function startApi(answer: (request: ReceivedRequest) => ScriptedResponse): Promise<ScriptedServer> {
  const server = await startScriptedServer(answer);
  servers.push(server);
  return server;
}
const OK: ScriptedResponse = { body: { fine: true } };
/** Responds with these, one after the other; the last one repeats. */
const says = (...script: ScriptedResponse[]) => startApi(() => (script.length > 1 ? script.shift()! : script[0]!));

/** An owner with a connection at `acme`, and the token that is served for it now. */
async function adopted(): Promise<{ owner: string; id: string; token: string }> {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner);
  const { body } = await testSetup.broker.ask('GET', `/v1/connections/${id}/token`);
  return { owner, id, token: String(body.access_token) };
}

/** A connection of the manifold provider in one of its modes. */
async function keyed(mode: string, credentials: Json = { api_key: KEY }): Promise<{ connection: string }> {
  const setup = { provider: 'manifold', params: { mode } };
  const put = await testSetup.broker.ask('PUT', `/v1/integrations/${mode}`, setup);
  expect(put.status, JSON.stringify(put.body)).toBeLessThan(300);
  const body = { integration: mode, owner: newOwner(), credentials };
  const answer = await testSetup.broker.ask('POST', '/v1/connections', body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return { connection: String(answer.body.id) };
}

describe('a request', () => {
  test('sent as given, with the token; the response is returned as it is', async () => {
    const { owner, token } = await adopted();
    const api = await says({ status: 201, headers: { 'x-own': '1' }, body: { id: 7 } });
    const response = await client().valetkey.fetch(at(owner), `${api.url}/a?b=c%20d`, {
      method: 'patch',
      headers: { 'Content-Type': 'application/json', Authorization: 'Bearer of-another-caller' },
      body: '{"a":1}',
    });
    expect(await response.json()).toEqual({ id: 7 });
    expect([response.status, response.headers.get('x-own')]).toEqual([201, '1']);
    const [request] = api.received;
    expect(request).toMatchObject({ method: 'PATCH', path: '/a?b=c%20d', body: '{"a":1}' });
    expect(request?.headers).toMatchObject({ authorization: `Bearer ${token}`, 'content-type': 'application/json' });
  });

  test.each([
    ['header', { 'x-api-key': KEY }],
    ['bare', { authorization: KEY }],
    ['bot', { authorization: `Bot ${KEY}` }],
  ])('carries the key of mode %s in its header', async (mode, headers) => {
    const which = await keyed(mode);
    const api = await says(OK);
    await client().valetkey.fetch(which, api.url);
    expect(api.received[0]?.headers).toMatchObject(headers);
  });

  test('user name and password: sent as Basic', async () => {
    const which = await keyed('basic', { username: 'ada', password: 'pä:ss' });
    const api = await says(OK);
    await client().valetkey.fetch(which, api.url);
    const expected = Buffer.from('ada:pä:ss').toString('base64');
    expect(api.received[0]?.headers.authorization).toBe(`Basic ${expected}`);
  });

  test('key in the query: appended, the rest is unchanged', async () => {
    const which = await keyed('query');
    const api = await says(OK);
    const { valetkey } = client();
    await valetkey.fetch(which, `${api.url}/a?b=c%20d+e#f`);
    await valetkey.fetch(which, new URL(`${api.url}/a`));
    const key = `key=${encodeURIComponent(KEY)}`;
    expect(api.received.map(({ path }) => path)).toEqual([`/a?b=c%20d+e&${key}`, `/a?${key}`]);
  });

  test.each<[string, Json | undefined]>([
    ['body', undefined],
    [
      'aws_sigv4',
      { access_key_id: 'AKIDEXAMPLEEXAMPLE12', secret_access_key: 'a-secret-access-key-of-forty-characters' },
    ],
  ])('is refused before it is sent where fetch cannot carry what mode %s serves', async (mode, credentials) => {
    const which = await keyed(mode, credentials);
    const api = await says(OK);
    const error = await rejectionOf(client().valetkey.fetch(which, api.url));
    expect(error).toMatchObject({ code: 'unsupported_token' });
    expect(api.received).toEqual([]);
  });

  test('key in the query: not in the error of a failed request', async () => {
    const which = await keyed('query');
    const leaky = (url: string, init: RequestInit) =>
      url.startsWith(testSetup.broker.url) ? fetch(url, init) : Promise.reject(new TypeError(`cannot reach ${url}`));
    const error = await rejectionOf(client({ fetch: leaky }).valetkey.fetch(which, 'https://api.example/a'));
    expect(error).toMatchObject({ code: 'network', detail: 'api.example did not answer' });
  });

  test('plain http: nothing is sent, not even to the broker', async () => {
    const { valetkey, sent } = client();
    for (const url of ['http://api.example/', 'http://10.1.2.3/', 'http://127.0.0.1.example/'])
      expect(await rejectionOf(valetkey.fetch(at('a'), url))).toMatchObject({ code: 'insecure_url', status: 0 });
    expect(sent).toEqual([]);
  });

  test('aborted signal: ends the request', async () => {
    const { owner } = await adopted();
    const giveUp = new AbortController();
    const api = await startApi(() => {
      giveUp.abort(new Error('gone'));
      return 'hang';
    });
    const error = await rejectionOf(client().valetkey.fetch(at(owner), api.url, { signal: giveUp.signal }));
    expect(error).toMatchObject({ message: 'gone' });
  });
});

describe('a 401', () => {
  /** Takes every token but this one. */
  const rejecting = (token: string) =>
    startApi(({ headers }) => (headers.authorization === `Bearer ${token}` ? { status: 401, body: 'who?' } : OK));

  test('refreshes once, and repeats the request once', async () => {
    const { owner, token } = await adopted();
    const api = await rejecting(token);
    const before = testSetup.refreshCount();
    const { valetkey } = client();
    const response = await valetkey.fetch(at(owner), api.url, {
      method: 'POST',
      body: new URLSearchParams({ a: '1' }),
    });
    expect([response.status, await response.json()]).toEqual([200, { fine: true }]);
    expect(api.received.map(({ method, body }) => [method, body])).toEqual([
      ['POST', 'a=1'],
      ['POST', 'a=1'],
    ]);
    expect(testSetup.refreshCount() - before).toBe(1);
    await valetkey.fetch(at(owner), api.url);
    expect([api.received.length, testSetup.refreshCount() - before]).toEqual([3, 1]);
  });

  test('concurrent requests: one refresh', async () => {
    const { owner, token } = await adopted();
    const api = await rejecting(token);
    const before = testSetup.refreshCount();
    const { valetkey } = client();
    const responses = await Promise.all(Array.from({ length: 8 }, () => valetkey.fetch(at(owner), api.url)));
    expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(testSetup.refreshCount() - before).toBe(1);
  });

  test('with the new token too: returned, no third attempt', async () => {
    const { owner } = await adopted();
    const api = await says({ status: 401, body: 'never' });
    const response = await client().valetkey.fetch(at(owner), api.url);
    expect([response.status, await response.text(), api.received.length]).toEqual([401, 'never', 2]);
  });

  test('consent withdrawn: throws reauthorization_required', async () => {
    const { owner, id, token } = await adopted();
    const api = await rejecting(token);
    testSetup.provider.withdrawGrants();
    const error = await rejectionOf(client().valetkey.fetch(at(owner), api.url));
    expect(error).toMatchObject({ code: 'reauthorization_required', connectionId: id });
    expect(api.received).toHaveLength(1);
  });

  test('nothing to refresh: returned', async () => {
    const which = await keyed('header');
    const api = await says({ status: 401, body: 'no' });
    const response = await client().valetkey.fetch(which, api.url);
    expect([response.status, await response.text(), api.received.length]).toEqual([401, 'no', 1]);
  });

  test('stream body: returned; the next request has a new token', async () => {
    const { owner, token } = await adopted();
    const api = await rejecting(token);
    const { valetkey } = client();
    const stream = () => new Blob(['a', 'b']).stream();
    const init = () => ({ method: 'PUT', body: stream(), duplex: 'half' }) as RequestInit;
    const first = await valetkey.fetch(at(owner), api.url, init());
    expect([first.status, await first.text()]).toEqual([401, 'who?']);
    expect((await valetkey.fetch(at(owner), api.url, init())).status).toBe(200);
    expect(api.received.map(({ body }) => body)).toEqual(['ab', 'ab']);
  });
});

describe('Retry-After of an API', () => {
  const later = (status: number, seconds: number): ScriptedResponse => ({
    status,
    headers: { 'retry-after': String(seconds) },
    body: 'later',
  });

  test.each([429, 503])('%i: repeated once, after the wait', async (status) => {
    const { owner } = await adopted();
    const api = await says(later(status, 4), OK);
    const { valetkey, waits } = client();
    expect((await valetkey.fetch(at(owner), api.url, { method: 'PUT', body: 'a' })).status).toBe(200);
    expect([waits, api.received.map(({ body }) => body)]).toEqual([[4], ['a', 'a']]);
  });

  test.each<[string, ScriptedResponse, RequestInit]>([
    ['a second time', later(429, 1), {}],
    ['longer than ten seconds', later(429, 11), {}],
    ['of what may not be done twice', later(503, 1), { method: 'POST', body: 'a' }],
    ['without saying when', { status: 503, body: 'later' }, {}],
    ['of something else', later(500, 1), {}],
  ])('%s: that is the answer', async (title, answer, init) => {
    const { owner } = await adopted();
    const api = await says(answer);
    const { valetkey } = client();
    const response = await valetkey.fetch(at(owner), api.url, init);
    expect([response.status, await response.text()]).toEqual([(answer as { status: number }).status, 'later']);
    expect(api.received).toHaveLength(title === 'a second time' ? 2 : 1);
  });

  test('stream body: returned', async () => {
    const { owner } = await adopted();
    const api = await says(later(429, 1), OK);
    const init = { method: 'PUT', body: new Blob(['a']).stream(), duplex: 'half' } as RequestInit;
    expect((await client().valetkey.fetch(at(owner), api.url, init)).status).toBe(429);
  });

  test('maxWait covers the waits for the broker and the API', async () => {
    const token = { connection_id: 'con_1', ...at('ada'), access_token: 'at', token_type: 'Bearer', scopes: [] };
    const problem = { code: 'provider_unavailable', detail: 'Not now.', request_id: 'req_1' };
    const broker = await says(
      { ...(later(503, 6) as object), body: problem },
      { body: { ...token, expires_in: null } },
    );
    const api = await says(later(429, 6), OK);
    const { valetkey, waits } = client({ url: broker.url });
    expect((await valetkey.fetch(at('ada'), api.url)).status).toBe(429);
    expect((await valetkey.fetch(at('ada'), api.url)).status).toBe(200);
    expect(waits).toEqual([6]);
  });
});

describe('a redirect', () => {
  const to = (location: string, status = 302): ScriptedResponse => ({ status, headers: { location }, body: '' });

  test('same origin: followed with the token', async () => {
    const { owner, token } = await adopted();
    const api = await startApi(({ path }) => (path === '/old' ? to('/new?a=1', 307) : OK));
    const init = { method: 'POST', body: 'a' };
    expect((await client().valetkey.fetch(at(owner), `${api.url}/old`, init)).status).toBe(200);
    expect(api.received.map(({ path, method, body }) => [path, method, body])).toEqual([
      ['/old', 'POST', 'a'],
      ['/new?a=1', 'POST', 'a'],
    ]);
    expect(api.received[1]?.headers.authorization).toBe(`Bearer ${token}`);
  });

  test.each(['header', 'query', 'bot', 'basic'])('other origin: followed without the token (%s)', async (mode) => {
    const which = await keyed(mode, mode === 'basic' ? { username: 'a', password: KEY } : undefined);
    const elsewhere = await says(OK);
    const api = await says(to(`${elsewhere.url}/file`));
    const headers = { cookie: 'a=b', accept: 'text/csv' };
    expect((await client().valetkey.fetch(which, api.url, { headers })).status).toBe(200);
    const [request] = elsewhere.received;
    expect(request?.path).toBe('/file');
    expect(request?.headers).not.toHaveProperty('authorization');
    expect(request?.headers).not.toHaveProperty('x-api-key');
    expect(request?.headers).not.toHaveProperty('cookie');
    expect(request?.headers.accept).toBe('text/csv');
  });

  test('other origin, then within it: without the token', async () => {
    const which = await keyed('header');
    const elsewhere = await startApi(({ path }) => (path === '/2' ? OK : to('/2')));
    const api = await says(to(`${elsewhere.url}/1`));
    expect((await client().valetkey.fetch(which, api.url)).status).toBe(200);
    expect(elsewhere.received.map(({ path }) => path)).toEqual(['/1', '/2']);
    for (const { headers } of elsewhere.received) expect(headers).not.toHaveProperty('x-api-key');
  });

  test('stream body: the redirect is returned', async () => {
    const { owner } = await adopted();
    const api = await says(to('/new', 307));
    const init = { method: 'POST', body: new Blob(['a']).stream(), duplex: 'half' } as RequestInit;
    expect((await client().valetkey.fetch(at(owner), api.url, init)).status).toBe(307);
    expect(api.received).toHaveLength(1);
  });

  test('other origin and back: without the token', async () => {
    const which = await keyed('header');
    const elsewhere = await startApi(() => to(`${api.url}/back`));
    const api: ScriptedServer = await startApi(({ path }) => (path === '/back' ? OK : to(elsewhere.url)));
    await client().valetkey.fetch(which, api.url);
    expect(api.received[1]?.headers).not.toHaveProperty('x-api-key');
  });

  test('to plain http: not followed', async () => {
    const which = await keyed('header');
    const api = await says(to('http://files.example/'));
    const error = await rejectionOf(client().valetkey.fetch(which, api.url));
    expect(error).toMatchObject({ code: 'insecure_url' });
  });

  test.each([
    [301, 'POST', 'GET'],
    [302, 'POST', 'GET'],
    [302, 'PUT', 'PUT'],
    [303, 'PUT', 'GET'],
    [303, 'HEAD', 'HEAD'],
    [308, 'POST', 'POST'],
  ])('of status %i makes of a %s a %s, as fetch does', async (status, method, becomes) => {
    const { owner } = await adopted();
    const api = await startApi(({ path }) => (path === '/new' ? OK : to('/new', status)));
    const init = method === 'HEAD' ? { method } : { method, body: 'a' };
    await client().valetkey.fetch(at(owner), api.url, init);
    await fetch(api.url, init);
    const [, ours, , theirs] = api.received;
    expect(ours?.method).toBe(becomes);
    expect([ours?.method, ours?.body, ours?.headers['content-type']]).toEqual([
      theirs?.method,
      theirs?.body,
      theirs?.headers['content-type'],
    ]);
  });

  test('redirect: manual returns it, error throws; a loop ends', async () => {
    const { owner } = await adopted();
    const api = await says(to('/again'));
    const { valetkey } = client();
    expect((await valetkey.fetch(at(owner), api.url, { redirect: 'manual' })).status).toBe(302);
    expect(await rejectionOf(valetkey.fetch(at(owner), api.url, { redirect: 'error' }))).toBeInstanceOf(TypeError);
    expect(api.received).toHaveLength(2);
    expect(await rejectionOf(valetkey.fetch(at(owner), api.url))).toBeInstanceOf(TypeError);
    expect(api.received).toHaveLength(2 + 21);
  });

  test.each(['mailto:ada@example.com', 'http://'])('to %s: returned', async (location) => {
    const { owner } = await adopted();
    const api = await says(to(location));
    expect((await client().valetkey.fetch(at(owner), api.url)).status).toBe(302);
  });
});
