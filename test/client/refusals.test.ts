// Errors of the broker: what the client throws, how long it waits, and that no error contains a secret.
import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createValetkey, isReauthorizationRequired, mustConnect, ValetkeyError } from '../../src/client/index.ts';
import { CODES } from '../../src/http/errors/problem-table.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { createTestClient, rejectionOf } from '../support/client.ts';
import { newOwner } from '../support/owner-browser.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const KEY = 'vk_must-not-be-shown-anywhere-0123456789';
const TOKEN = { connection_id: 'con_1', integration: 'acme', owner: 'a', access_token: 'at', token_type: 'Bearer' };
const GOOD: ScriptedResponse = { body: { ...TOKEN, scopes: [], expires_at: null, expires_in: null } };
const at = (owner: string) => ({ integration: 'acme', owner });

const later = (status: number, code: string, headers: Record<string, string>): ScriptedResponse => ({
  status,
  headers: { 'content-type': 'application/problem+json', ...headers },
  body: { type: `urn:${code}`, title: code, status, detail: 'Not now.', code, request_id: 'req_1' },
});
const unavailable = (seconds: number | string) =>
  later(503, 'provider_unavailable', { 'retry-after': String(seconds) });
const limited = (seconds: number) => later(429, 'too_many_requests', { 'retry-after': String(seconds) });

let testSetup: TestSetup;
const servers: ScriptedServer[] = [];
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());
afterEach(async () => {
  testSetup.proxy.setRule('pass');
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

/** A broker with these responses, one after the other; the last one repeats. */
async function scripted(...script: ScriptedResponse[]) {
  const server = await startScriptedServer(() => (script.length > 1 ? script.shift()! : script[0]!));
  servers.push(server);
  return { ...server, ...createTestClient({ url: server.url, key: KEY }) };
}

describe('an error response', () => {
  test('forbidden: has the missing permission', async () => {
    const key = await testSetup.broker.callerKey({ actions: ['connections:read'] });
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key });
    const error = await rejectionOf(valetkey.token(at('ada')));
    expect(error).toBeInstanceOf(ValetkeyError);
    expect(error).toMatchObject({
      code: 'forbidden',
      status: 403,
      requestId: expect.stringMatching(/./),
      missing: { action: 'token', integration: 'acme', owner: 'ada' },
    });
    expect(mustConnect(error)).toBe(false);
  });

  test('ambiguous_connection: has the candidates', async () => {
    const owner = newOwner();
    const ids = [
      await testSetup.importConnection(owner),
      await testSetup.importConnection(owner, {}, { label: 'work' }),
    ];
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey });
    const error = (await rejectionOf(valetkey.token(at(owner)))) as ValetkeyError;
    expect(error).toMatchObject({ code: 'ambiguous_connection', status: 409 });
    expect(error.candidates?.map(({ connection_id }) => connection_id).sort()).toEqual(ids.sort());
  });

  test('invalid_request: has the issues', async () => {
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey });
    const error = await rejectionOf(valetkey.token({ integration: 'NOT A SLUG', owner: 'a' }));
    expect(error).toMatchObject({ code: 'invalid_request', status: 400, issues: [{ path: 'integration' }] });
  });

  test('reauthorization_required: has the reason and the connection', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey });
    const token = await valetkey.token(at(owner));
    testSetup.provider.withdrawGrants();
    const error = await rejectionOf(valetkey.refresh(token));
    expect(error).toMatchObject({ code: 'reauthorization_required', reason: 'grant_revoked', connectionId: id });
    expect([isReauthorizationRequired(error), mustConnect(error)]).toEqual([true, true]);
  });

  test('unauthenticated: a wrong key', async () => {
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: KEY });
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject({ code: 'unauthenticated', status: 401 });
  });

  test('an unknown code: passed on', async () => {
    const { valetkey } = await scripted(later(418, 'brand_new', {}));
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject({ code: 'brand_new', status: 418 });
    expect(CODES).not.toContain('brand_new');
  });
});

describe('another server that answers 200 with JSON', () => {
  test.each<[string, string | object]>([
    ['an object', { status: 'ok' }],
    ['a list', '[]'],
    ['a token without its type', { ...TOKEN, token_type: undefined }],
    ['a problem', { code: 'not_found', detail: 'Not here.' }],
  ])('%s: invalid_answer', async (_, body) => {
    const { valetkey } = await scripted({ body, headers: { 'content-type': 'application/json' } });
    const token = { connection_id: 'con_1', access_token: 'at' };
    const calls = {
      token: () => valetkey.token(at('a')),
      refresh: () => valetkey.refresh(token),
      fetch: () => valetkey.fetch(at('a'), 'https://api.example.com/'),
      connectUrl: () => valetkey.connectUrl(at('a')),
      finish: () => valetkey.finish('cs_1', { finish_code: 'code', owner: 'a' }),
      sessions: () => valetkey.connectSessions()[Symbol.asyncIterator]().next(),
      cancelConnect: () => valetkey.cancelConnect('cs_1'),
      connected: () => valetkey.connected('cs_1'),
      portal: () => valetkey.createPortalSession({ owner: 'a', return_url: 'https://app.example.com/' }),
      verify: () => valetkey.verify('e30.e30.e30'),
      pages: () => valetkey.api(at('a')).pages('/list')[Symbol.asyncIterator]().next(),
    };
    for (const [name, call] of Object.entries(calls))
      expect([name, await rejectionOf(call())]).toMatchObject([name, { code: 'invalid_answer', status: 200 }]);
  });
});

describe('the key', () => {
  test('a function: called for each request; a trailing line break is removed', async () => {
    const keys = [await testSetup.broker.callerKey(), await testSetup.broker.callerKey({ actions: ['admin'] })];
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: async () => `${keys.shift()}\n` });
    const owner = newOwner();
    await testSetup.importConnection(owner);
    await valetkey.token(at(owner));
    expect(await rejectionOf(valetkey.token({ ...at(owner), label: '' }))).toMatchObject({ code: 'forbidden' });
  });

  test.each(['', ' ', 'vk_a\nb', 'vk_ä'])('%j: rejected before anything is sent', async (key) => {
    const { valetkey, sent } = createTestClient({ url: testSetup.broker.url, key });
    const error = await rejectionOf(valetkey.token(at('a')));
    expect(error).toMatchObject({ code: 'invalid_key', status: 0 });
    expect(sent).toEqual([]);
  });

  test.each([undefined, null, 42, () => undefined])('%j: the message says that it is missing', async (key) => {
    const { valetkey, sent } = createTestClient({ url: testSetup.broker.url, key: key as unknown as string });
    const missing = { code: 'invalid_key', status: 0, detail: expect.stringContaining('The caller key is missing') };
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject(missing);
    expect(await rejectionOf(valetkey.api(at('a')).get('/me'))).toMatchObject(missing);
    expect(sent).toEqual([]);
  });

  test('a function that hangs: ends with the timeout, and with the signal of a call', async () => {
    const key = () => new Promise<string>(() => undefined);
    const { valetkey, sent } = createTestClient({ url: testSetup.broker.url, key, timeout: 0.05 });
    const late = { code: 'invalid_key', detail: 'The function "key" has returned no key within 0.05 s' };
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject(late);
    expect(await rejectionOf(valetkey.api(at('a')).get('/me'))).toMatchObject(late);
    const patient = createTestClient({ url: testSetup.broker.url, key, timeout: 1e9 }).valetkey;
    const controller = new AbortController();
    const reason = new Error('gone');
    const calls = [
      patient.verify('e30.e30.e30', { signal: controller.signal }),
      patient.api(at('a')).get('/me', { signal: controller.signal }),
    ];
    controller.abort(reason);
    for (const call of calls) expect(await rejectionOf(call)).toBe(reason);
    expect(sent).toEqual([]);
  });

  test('a function that rejects: the call rejects with its error', async () => {
    const reason = new Error('no such file');
    const key = () => Promise.reject(reason);
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key });
    expect(await rejectionOf(valetkey.token(at('a')))).toBe(reason);
  });

  test.each([
    'http://broker.example',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://10.0.0.1',
    'ftp://127.0.0.1',
  ])('is not sent unencrypted to %s', (url) => {
    expect(() => createValetkey({ url, key: KEY })).toThrow(expect.objectContaining({ code: 'insecure_url' }));
  });

  test.each([
    'https://broker.example',
    'http://localhost:1',
    'http://[::1]:1',
    'http://127.1.2.3',
    'http://in.example',
  ])('may be sent to %s', (url) => {
    expect(() => createValetkey({ url, key: KEY, allowHttp: ['in.example'] })).not.toThrow();
  });
});

test.each([
  [{ url: undefined }, 'The option "url" is missing'],
  [{ url: 'keys.example.com' }, 'The option "url" is not a URL such as https://keys.example.com'],
  [{ timeout: 0 }, 'The option "timeout" is not a number of seconds above 0'],
  [{ timeout: 'soon' }, 'The option "timeout" is not a number of seconds above 0'],
  [{ maxWait: -1 }, 'The option "maxWait" is not a number of seconds'],
  [{ cacheFor: Number.NaN }, 'The option "cacheFor" is not a number of seconds'],
])('createValetkey with %j: says which option is wrong', (options, detail) => {
  const given = { url: 'https://keys.example.com', key: KEY, ...options } as { url: string; key: string };
  expect(() => createValetkey(given)).toThrow(expect.objectContaining({ code: 'invalid_request', detail }));
});

test('createValetkey with a host and a port alone: says what a URL begins with', () => {
  const detail = 'Nothing was sent: a URL begins with https:// (or http://), and this one with localhost:';
  expect(() => createValetkey({ url: 'localhost:8080', key: KEY })).toThrow(
    expect.objectContaining({ code: 'insecure_url', detail }),
  );
});

test.each([Number.POSITIVE_INFINITY, 1e9])(
  'a timeout of %d s: longer than any timer, and no error',
  async (timeout) => {
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey, timeout });
    expect(await valetkey.verify('e30.e30.e30')).toMatchObject({ active: false });
  },
);

test('calls that share a signal: one listener, and none once they have ended', async () => {
  const { valetkey } = createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey });
  const { signal } = new AbortController();
  const calls = Array.from({ length: 50 }, (_, index) =>
    rejectionOf(valetkey.token({ ...at(`absent-${index}`), signal })),
  );
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'not_found' });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

describe('Retry-After', () => {
  test('waits, and the call succeeds', async () => {
    const { valetkey, waits, received } = await scripted(unavailable(3), limited(2), GOOD);
    expect((await valetkey.token(at('a'))).access_token).toBe('at');
    expect([waits, received.length]).toEqual([[3, 2], 3]);
  });

  test('0 means one second', async () => {
    const { valetkey, waits } = await scripted(unavailable(0), GOOD);
    await valetkey.token(at('a'));
    expect(waits).toEqual([1]);
  });

  test("a date: compared with the server's clock", async () => {
    const headers = { date: 'Mon, 05 Jan 2015 10:00:00 GMT', 'retry-after': 'Mon, 05 Jan 2015 10:00:04 GMT' };
    const { valetkey, waits } = await scripted(later(503, 'store_unavailable', headers), GOOD);
    await valetkey.token(at('a'));
    expect(waits).toEqual([4]);
  });

  test('beyond maxWait in all: throws, and no call sends a request earlier', async () => {
    const { valetkey, waits, received, advance } = await scripted(unavailable(6), unavailable(6), GOOD);
    const error = await rejectionOf(valetkey.token(at('a')));
    expect(error).toMatchObject({ code: 'provider_unavailable', status: 503, retryAfter: 6, requestId: 'req_1' });
    expect([waits, received.length]).toEqual([[6], 2]);
    advance(-1);
    // Seven seconds remain, within the maxWait of the next call.
    await valetkey.token(at('a'));
    expect([waits, received.length]).toEqual([[6, 7], 3]);
  });

  test('beyond maxWait: later calls throw at once, with the remaining time', async () => {
    const { valetkey, waits, received, advance } = await scripted(unavailable(600), GOOD);
    for (const expected of [600, 300]) {
      const error = await rejectionOf(valetkey.token(at('a')));
      expect(error).toMatchObject({ code: 'provider_unavailable', retryAfter: expected });
      advance(300);
    }
    expect([waits, received.length]).toEqual([[], 1]);
    expect((await valetkey.token(at('a'))).access_token).toBe('at');
  });

  test('longer than an hour: asked again after an hour', async () => {
    const { valetkey, received, advance } = await scripted(unavailable('Fri, 31 Dec 9999 23:59:59 GMT'), GOOD);
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject({ code: 'provider_unavailable' });
    advance(3_580);
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject({ retryAfter: 20 });
    expect(received).toHaveLength(1);
    advance(20);
    expect((await valetkey.token(at('a'))).access_token).toBe('at');
  });

  test('503 pauses one path; 429 pauses all', async () => {
    const one = await scripted(unavailable(600), GOOD);
    await rejectionOf(one.valetkey.token(at('a')));
    await one.valetkey.token(at('b'));
    expect(one.received).toHaveLength(2);
    const all = await scripted(limited(600), GOOD);
    await rejectionOf(all.valetkey.token(at('a')));
    expect(await rejectionOf(all.valetkey.token(at('b')))).toMatchObject({ code: 'too_many_requests' });
    expect(all.received).toHaveLength(1);
  });

  test('maxWait 0: throws at once', async () => {
    const { url, received } = await scripted(unavailable(1), GOOD);
    const { valetkey } = createTestClient({ url, key: KEY, maxWait: 0 });
    expect(await rejectionOf(valetkey.token(at('a')))).toMatchObject({ retryAfter: 1 });
    expect(received).toHaveLength(1);
  });

  test('aborted signal: ends the wait', async () => {
    const { url } = await scripted(unavailable(9), GOOD);
    const controller = new AbortController();
    const wait = () => new Promise<void>(() => controller.abort(new Error('gone')));
    const { valetkey } = createTestClient({ url, key: KEY, wait });
    const error = await rejectionOf(valetkey.token({ ...at('a'), signal: controller.signal }));
    expect(error).toMatchObject({ message: 'gone' });
  });

  test('a real broker whose provider is down: provider_unavailable with retryAfter', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner);
    testSetup.proxy.setRule('cut');
    const { valetkey } = createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey });
    const error = (await rejectionOf(valetkey.token(at(owner)))) as ValetkeyError;
    expect(error).toMatchObject({ code: 'provider_unavailable', status: 503 });
    expect(error.retryAfter).toBeGreaterThan(0);
  });
});

describe('no broker at the URL', () => {
  test('connection reset: one retry if the request is idempotent', async () => {
    const read = await scripted('drop', GOOD);
    expect((await read.valetkey.token(at('a'))).access_token).toBe('at');
    const dead = await scripted('drop');
    expect(await rejectionOf(dead.valetkey.token(at('a')))).toMatchObject({ code: 'network', status: 0 });
    expect(dead.received).toHaveLength(2);
    const link = await scripted('drop', { status: 201, body: {} });
    expect(await rejectionOf(link.valetkey.connectUrl(at('a')))).toMatchObject({ code: 'network' });
    expect(link.received).toHaveLength(1);
  });

  test('connection refused: the error says so', async () => {
    const gone = await startScriptedServer(() => GOOD);
    await gone.close();
    const { valetkey } = createTestClient({ url: gone.url, key: KEY });
    const error = await rejectionOf(valetkey.token(at('a')));
    expect(error).toMatchObject({ code: 'network', detail: 'The broker did not answer: ECONNREFUSED' });
  });

  test('no response: ends with the timeout', async () => {
    const { url } = await scripted('hang');
    const { valetkey, sent } = createTestClient({ url, key: KEY, timeout: 0.05 });
    const error = await rejectionOf(valetkey.token(at('a')));
    expect(error).toMatchObject({ code: 'network', detail: 'The broker did not answer within 0.05 s' });
    expect(sent).toHaveLength(1);
  });

  test("no response and an aborted signal: rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error('gone');
    const silent = await startScriptedServer(() => {
      controller.abort(reason);
      return 'hang';
    });
    servers.push(silent);
    const { valetkey } = createTestClient({ url: silent.url, key: KEY });
    expect(await rejectionOf(valetkey.connectUrl({ ...at('a'), signal: controller.signal }))).toBe(reason);
  });

  test.each<[string, ScriptedResponse]>([
    ['a page', { headers: { 'content-type': 'text/html; charset=utf-8' }, body: `<h1>${KEY}</h1>` }],
    ['a page of an error', { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' }],
    ['a truncated response', { headers: { 'content-type': 'application/json' }, body: '{"access_token":"at' }],
    ['a redirect', { status: 302, headers: { location: 'https://elsewhere.example/' }, body: '' }],
  ])('%s: invalid_answer', async (_, answer) => {
    const { valetkey, received } = await scripted(answer);
    const error = await rejectionOf(valetkey.token(at('a')));
    expect(error).toMatchObject({ code: 'invalid_answer' });
    expect(received).toHaveLength(1);
  });
});

test('errors: never contain the key or a token, however they are printed', async () => {
  const secret = 'at_rejected-0123456789-0123456789';
  const leaky = () => Promise.reject(Object.assign(new Error(`Bearer ${KEY}`), { request: { key: KEY, secret } }));
  const hanging = await scripted('hang');
  const html = await scripted({ status: 500, headers: { 'content-type': 'text/html' }, body: KEY + secret });
  const refusing = createTestClient({ url: testSetup.broker.url, key: KEY });
  const errors = await Promise.all(
    [
      createTestClient({ url: testSetup.broker.url, key: KEY, fetch: leaky }).valetkey,
      createTestClient({ url: hanging.url, key: KEY, timeout: 0.05 }).valetkey,
      createTestClient({ url: testSetup.broker.url, key: `${KEY}\n${KEY}` }).valetkey,
      html.valetkey,
      refusing.valetkey,
    ].map((valetkey) => rejectionOf(valetkey.refresh({ connection_id: 'con_1', access_token: secret }))),
  );
  for (const error of errors) {
    expect(error).toBeInstanceOf(ValetkeyError);
    const { stack, message } = error as ValetkeyError;
    const seen = [String(error), stack, message, JSON.stringify(error), inspect(error, { depth: 9, showHidden: true })];
    expect(seen.join('\n')).not.toMatch(new RegExp(`${KEY.slice(0, 16)}|${secret.slice(0, 16)}`));
  }
  expect(JSON.parse(JSON.stringify(errors[4]))).toMatchObject({ name: 'ValetkeyError', code: 'unauthenticated' });
});
