// Calls to APIs through the broker: what the API gets, what comes back, the errors, and pages.
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  ApiError,
  createValetkey,
  InvalidPath,
  RateLimited,
  ReauthorizationRequired,
  UpstreamTimeout,
  UpstreamUnavailable,
  type Valetkey,
  ValetkeyError,
} from '../../src/client/index.ts';
import { answer, type ReceivedRequest } from '../support/byte-upstream.ts';
import { createTestClient, rejectionOf } from '../support/client.ts';
import { type ProxySetup, startProxySetup } from '../support/proxy-setup.ts';
import { type ScriptedResponse, type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

let setup: ProxySetup;
let valetkey: Valetkey;
let ada: string;
beforeAll(async () => {
  setup = await startProxySetup();
  ada = await setup.connect('bearer', 'ada');
  valetkey = createValetkey({ url: setup.broker.url, key: setup.broker.adminKey });
});
afterAll(() => setup.close());
beforeEach(() => setup.upstream.reset());

const last = () => setup.upstream.requests.at(-1)!;
const JSON_TYPE = 'Content-Type: application/json; charset=utf-8';

/** What the API answers, when all of a request is there. */
function answers(of: (request: ReceivedRequest, count: number) => string): void {
  let count = 0;
  setup.upstream.onHead = () => undefined;
  setup.upstream.onComplete = (request) => void request.socket.write(of(request, count++));
}
const jsonAnswer = (value: unknown, headers: string[] = [], status = '200 OK') =>
  answer(JSON.stringify(value), { status, headers: [JSON_TYPE, ...headers] });

describe('a call', () => {
  test('sends a query, headers and JSON, and gives the body by its content type', async () => {
    const api = valetkey.api(ada);
    answers(() => jsonAnswer({ ok: true, id: 7 }));
    const query = { q: 'a b&c', tag: ['x', 'y'], none: undefined, zero: 0 };
    expect(await api.get('/items?first=1', { query, headers: { 'x-mine': '1' } })).toEqual({ ok: true, id: 7 });
    expect(last().line).toBe('GET /api/v1/items?first=1&q=a+b%26c&tag=x&tag=y&zero=0 HTTP/1.1');
    expect([last().header('x-mine'), last().header('authorization')]).toEqual(['1', 'Bearer secret-of-ada']);

    expect(await api.post('/items', { name: 'é' })).toEqual({ ok: true, id: 7 });
    expect([last().line, last().header('content-type'), last().body.toString()]).toEqual([
      'POST /api/v1/items HTTP/1.1',
      'application/json',
      '{"name":"é"}',
    ]);
    await api.put('/items/7', 'plain', { headers: { 'content-type': 'text/x' } });
    expect([last().line, last().header('content-type'), last().body.toString()]).toEqual([
      'PUT /api/v1/items/7 HTTP/1.1',
      'text/x',
      'plain',
    ]);
    await api.patch('/items/7', new URLSearchParams({ a: '1' }));
    expect([last().header('content-type'), last().body.toString()]).toEqual([
      'application/x-www-form-urlencoded;charset=UTF-8',
      'a=1',
    ]);
    await api.post('/items', [null]);
    expect(last().body.toString()).toBe('[null]');

    answers(() => answer('', { status: '204 No Content' }));
    expect(await api.delete('/items/7')).toBeUndefined();
    answers(() => answer('<a/>', { headers: ['Content-Type: application/xml'] }));
    expect(await api.get('/x')).toBe('<a/>');
    answers(() => answer('\u0001', { headers: ['Content-Type: image/png'] }));
    expect(await api.get('/x')).toEqual(new Uint8Array([1]));
  });

  test('streams both ways, and gives the response itself, when it is asked to', async () => {
    const api = valetkey.api(ada);
    answers(({ body }) => answer(`got ${body}`, { headers: ['X-Api: 1'] }));
    const sent = new ReadableStream({
      start(controller) {
        for (const part of ['one ', 'two']) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    });
    const stream = await api.put('/file', sent, { as: 'stream' });
    expect(await new Response(stream).text()).toBe('got one two');
    const response = await api.get('/file', { as: 'response' });
    expect([response.status, response.headers.get('x-api')]).toEqual([200, '1']);
    answers(() => answer('no', { status: '418 No' }));
    expect((await api.get('/file', { as: 'response' })).status).toBe(418);
    expect(await rejectionOf(api.get('/file', { as: 'stream' }))).toMatchObject({ status: 418 });
  });

  test('by owner and label, at another host, with defaults, and as a whole answer', async () => {
    await setup.connect('bearer', 'zoë/1', { api_key: 'of-zoe' }, { label: 'für' });
    const api = valetkey.api(
      { integration: 'bearer', owner: 'zoë/1', label: 'für' },
      { host: 'files', headers: { 'x-a': '1', 'x-b': '1' } },
    );
    answers(() => jsonAnswer([1], ['ETag: "x"'], '203 Yes'));
    const whole = await api.request<number[]>('report', '/x', { headers: { 'X-B': '2' } });
    expect(whole).toMatchObject({
      status: 203,
      body: [1],
      attempts: 1,
      requestId: expect.stringMatching(/^[\w-]{36}$/),
    });
    expect(whole.headers.get('etag')).toBe('"x"');
    expect([last().line, last().header('x-a'), last().header('x-b')]).toEqual(['REPORT /files/x HTTP/1.1', '1', '2']);
    expect(last().header('authorization')).toBe('Bearer of-zoe');
  });

  test('repeats a POST with the key that the API knows it by, and refuses a key where it takes none', async () => {
    answers((_, count) =>
      count === 0 ? answer('', { status: '503 No', headers: ['Retry-After: 0'] }) : jsonAnswer({ done: true }),
    );
    const api = valetkey.api(ada, { retry: 1 });
    const { body, attempts } = await api.request('POST', '/pay', { body: { amount: 1 }, idempotencyKey: true });
    expect([body, attempts]).toEqual([{ done: true }, 2]);
    const keys = setup.upstream.requests.map((one) => one.header('idempotency-key'));
    expect(keys).toEqual([expect.stringMatching(/^[\da-f-]{36}$/), keys[0]]);
    answers(() => answer('', { status: '503 No' }));
    expect(await rejectionOf(api.post('/pay', {}))).toMatchObject({ status: 503 });
    expect(setup.upstream.requests).toHaveLength(3);
  });

  test('ends when its signal is aborted', async () => {
    setup.upstream.onHead = () => undefined;
    const stop = new AbortController();
    const call = valetkey.api(ada).get('/slow', { signal: stop.signal });
    await expect.poll(() => setup.upstream.requests.length).toBe(1);
    stop.abort(new Error('enough'));
    expect(await rejectionOf(call)).toMatchObject({ message: 'enough' });
    await last().closed;
  });

  test.each([
    ['200 OK', { name: 'TimeoutError' }],
    ['200 OK', new Error('enough')],
    ['404 Not Found', new Error('enough')],
  ])("ends with the signal's reason within the body of an answer: %s", async (status, reason) => {
    const stop = new AbortController();
    const begun = `HTTP/1.1 ${status}\r\n${JSON_TYPE}\r\nContent-Length: 100\r\n\r\n{"a":`;
    answers(() => begun);
    const client = createTestClient({
      url: setup.broker.url,
      key: setup.broker.adminKey,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        stop.abort(reason);
        return response;
      },
    });
    expect(await rejectionOf(client.valetkey.api(ada).get('/slow', { signal: stop.signal }))).toBe(reason);
    await last().closed;
  });

  test("ends with the signal's reason within a problem of the broker", async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    const client = createTestClient({
      url: setup.broker.url,
      key: setup.broker.adminKey,
      fetch: async () => {
        stop.abort(reason);
        const body = new ReadableStream({ start: (controller) => controller.error(reason) });
        return new Response(body, { status: 503, headers: { 'valetkey-error': '1' } });
      },
    });
    expect(await rejectionOf(client.valetkey.api(ada).get('/slow', { signal: stop.signal }))).toBe(reason);
  });
});

describe('errors', () => {
  test('of the API: its status, headers and body, which are not printed', async () => {
    answers(() => jsonAnswer({ message: 'private' }, ['X-Why: because'], '422 No'));
    const error = await rejectionOf(valetkey.api(ada).get('/x'));
    expect(error).toBeInstanceOf(ApiError);
    const { status, headers, body, requestId } = error as ApiError;
    expect([status, headers.get('x-why'), body]).toEqual([422, 'because', { message: 'private' }]);
    expect(requestId).toMatch(/^[\w-]{36}$/);
    expect(inspect(error) + JSON.stringify(error)).not.toMatch(/private|because/);
    answers(() => answer('{"a":', { headers: [JSON_TYPE] }));
    expect(await rejectionOf(valetkey.api(ada).get('/x'))).toMatchObject({
      status: 200,
      body: '{"a":',
      message: expect.stringContaining('JSON'),
    });
    answers(() => answer('', { status: '302 Found', headers: ['Location: https://elsewhere.example/'] }));
    expect(await rejectionOf(valetkey.api(ada).get('/x'))).toMatchObject({ status: 302 });
  });

  test('RateLimited: whose limit it is, and how long; within maxWait the call waits', async () => {
    const limited = await setup.connect('bearer', 'limited');
    answers((_, count) =>
      count < 2 ? answer('', { status: '429 No', headers: ['Retry-After: 1'] }) : jsonAnswer('done'),
    );
    const error = await rejectionOf(valetkey.api(limited, { maxWait: 0 }).get('/x'));
    expect(error).toBeInstanceOf(RateLimited);
    expect(error).toMatchObject({ code: 'upstream_rate_limited', status: 429, retryAfter: 1, scope: 'connection' });
    expect(await valetkey.api(limited, { maxWait: 5 }).get('/x')).toBe('done');
  });

  test('UpstreamUnavailable: the API hung up', async () => {
    setup.upstream.onHead = ({ socket }) => void socket.destroy();
    const error = await rejectionOf(valetkey.api(ada).post('/x', {}));
    expect(error).toBeInstanceOf(UpstreamUnavailable);
    expect(error).toMatchObject({ status: 503, retryAfter: expect.any(Number), requestId: expect.any(String) });
  });

  test.each([
    ['/../../../callers'],
    ['/a/%2e%2E/b'],
    ['/a/..;x/b'],
    ['/a/.\t./b'],
    ['/a\\..\\b'],
    ['//evil.example/x'],
    ['/a//b'],
    ['/a b'],
    ['/a#b'],
    ['/a?b#c'],
    ['a'],
    ['https://evil.example/x'],
  ])('InvalidPath: %j is sent nowhere', async (path) => {
    const { valetkey: own, sent } = createTestClient({ url: setup.broker.url, key: setup.broker.adminKey });
    const error = await rejectionOf(own.api(ada).get(path));
    expect(error).toBeInstanceOf(InvalidPath);
    expect(error).toMatchObject({ code: 'invalid_path', status: 0 });
    expect(sent).toEqual([]);
  });

  test('InvalidPath: what the broker refuses, and a host that the API does not have', async () => {
    const { broker } = setup;
    const api = createValetkey({ url: broker.url, key: broker.adminKey }).api(ada);
    expect(await rejectionOf(api.get('/a/%252e%252e/b'))).toMatchObject({ code: 'invalid_path', status: 400 });
    expect(await rejectionOf(api.get('/x', { host: 'nowhere' }))).toBeInstanceOf(InvalidPath);
    expect(setup.upstream.requests).toEqual([]);
  });

  test('what a caller may not: which method and path it lacks', async () => {
    const grants = [
      { actions: ['proxy'], integrations: ['bearer'], owners: ['*'], methods: ['GET'], paths: ['/repos/*'] },
    ];
    const { body } = await setup.broker.ask('POST', '/v1/callers', { name: 'reader', grants });
    const api = createValetkey({ url: setup.broker.url, key: String(body.key) }).api(ada);
    answers(() => jsonAnswer([1]));
    const got: unknown[] = [];
    for await (const page of api.pages('/repos/x', { pagination: { style: 'link_header' } })) got.push(page);
    expect(got).toEqual([[1]]);
    expect(await rejectionOf(api.post('/repos/x', {}))).toMatchObject({
      code: 'forbidden',
      missing: { action: 'proxy', method: 'POST' },
    });
    expect(setup.upstream.requests).toHaveLength(1);
    const other = await setup.broker.ask('POST', '/v1/callers', {
      name: 'no proxy',
      grants: [{ ...grants[0], actions: ['token'], methods: undefined, paths: undefined }],
    });
    const { status } = await fetch(`${setup.broker.url}/v1/connections/${ada}/api`, {
      headers: { authorization: `Bearer ${other.body.key}` },
    });
    expect(status).toBe(403);
  });
});

describe('pages', () => {
  const pagination = { style: 'link_header' } as const;
  const link = (to: string) => `Link: <${to}>; rel="next"`;
  const all = async (pages: AsyncIterable<unknown>) => {
    const got: unknown[] = [];
    for await (const page of pages) got.push(page);
    return got;
  };

  test('follows links through the proxy, with the headers of the first call', async () => {
    answers((_, count) =>
      jsonAnswer([count], count < 2 ? [link(`${setup.upstream.url}/api/v1/repos?page=${count + 2}`)] : []),
    );
    const pages = valetkey.api(ada).pages('/repos', { pagination, query: { per_page: 1 }, headers: { 'x-a': '1' } });
    expect(await all(pages)).toEqual([[0], [1], [2]]);
    expect(setup.upstream.requests.map(({ line }) => line.split(' ')[1])).toEqual([
      '/api/v1/repos?per_page=1',
      '/api/v1/repos?page=2',
      '/api/v1/repos?page=3',
    ]);
    expect(last().header('x-a')).toBe('1');
  });

  test('stops where the next page is elsewhere, or has come already', async () => {
    const api = valetkey.api(ada);
    answers(() => jsonAnswer([1], [link('http://127.0.0.1:9/api/v1/repos')]));
    expect(await rejectionOf(all(api.pages('/repos', { pagination })))).toMatchObject({ reason: 'foreign_link' });
    answers(() => jsonAnswer([1], [link(`${setup.upstream.url}/api/v1/repos`)]));
    expect(await rejectionOf(all(api.pages('/repos', { pagination })))).toMatchObject({ reason: 'repeated' });
    setup.upstream.requests = [];
    answers(() => jsonAnswer([1]));
    expect(await rejectionOf(all(api.pages('/repos', { pagination: { style: 'page', param: 'p' } })))).toMatchObject({
      reason: 'repeated',
    });
    expect(setup.upstream.requests).toHaveLength(2);
  });

  test('says when it is not known how lists go on, and how the API is called', async () => {
    expect(await rejectionOf(all(valetkey.api(ada).pages('/repos')))).toMatchObject({
      code: 'pagination',
      reason: 'unknown',
    });
    const { body } = await setup.broker.ask('GET', `/v1/connections/${ada}/api`);
    expect(body).toEqual({
      connection_id: ada,
      integration: 'bearer',
      provider: 'acme-bearer',
      base_url: `${setup.upstream.url}/api/v1`,
      other_hosts: { files: `${setup.upstream.url}/files` },
      pagination: null,
      idempotency: { header: 'Idempotency-Key' },
    });
    expect((await setup.broker.ask('GET', '/v1/api?integration=bearer&owner=ada')).body).toEqual(body);
    expect((await setup.broker.ask('GET', '/v1/connections/con_none/api')).status).toBe(404);
  });
});

describe('fetch', () => {
  test('URLs of the API go through the proxy, with its status as it is; all others are refused', async () => {
    const api = valetkey.api(ada);
    const { url } = setup.upstream;
    answers(({ line }) => answer(line.split(' ')[1], { status: '404 No' }));
    const headers = { authorization: 'Bearer of another' };
    const response = await api.fetch(`${url}/api/v1/a?b=c`, { headers });
    expect([response.status, await response.text()]).toEqual([404, '/api/v1/a?b=c']);
    expect(last().header('authorization')).toBe('Bearer secret-of-ada');
    expect(await (await api.fetch(new URL(`${url}/files/a`))).text()).toBe('/files/a');
    expect(await (await api.fetch('/b')).text()).toBe('/api/v1/b');
    await api.fetch(new Request(`${url}/api/v1/c`, { method: 'POST', body: 'x', headers: { 'x-a': '1' } }));
    expect([last().line, last().body.toString(), last().header('x-a')]).toEqual(['POST /api/v1/c HTTP/1.1', 'x', '1']);
    const before = setup.upstream.requests.length;
    for (const other of [`${url}/other`, 'https://evil.example/api/v1/a', 'a'])
      expect(await rejectionOf(api.fetch(other))).toBeInstanceOf(InvalidPath);
    expect(setup.upstream.requests).toHaveLength(before);
  });
});

describe('a broker', () => {
  async function withBroker(
    script: (path: string, count: number) => ScriptedResponse,
    use: (broker: ScriptedServer) => Promise<void>,
  ) {
    let count = 0;
    const broker = await startScriptedServer(({ path }) => script(path, count++));
    await use(broker).finally(() => broker.close());
  }
  const problem = (
    status: number,
    code: string,
    more: object = {},
    headers: Record<string, string> = {},
  ): ScriptedResponse => ({
    status,
    headers: { 'valetkey-error': '1', 'valetkey-request-id': 'r', ...headers },
    body: { code, detail: 'It is so', request_id: 'r', ...more },
  });

  test('says that the owner must connect again: the error makes the link', async () => {
    const gone = problem(409, 'reauthorization_required', { connection_id: 'con_1', reason: 'grant_revoked' });
    const made = {
      status: 201,
      body: { id: 'cs_1', url: 'https://x.example/connect/1', expires_at: '2027-01-01T00:00:00Z' },
    };
    await withBroker(
      (path) => (path === '/v1/connect-sessions' ? made : gone),
      async (broker) => {
        const error = await rejectionOf(createValetkey({ url: broker.url, key: 'k' }).api('con_1').get('/x'));
        expect(error).toBeInstanceOf(ReauthorizationRequired);
        expect(error).toMatchObject({ connectionId: 'con_1', reason: 'grant_revoked' });
        const { url } = await (error as ReauthorizationRequired).connectUrl({ return_url: 'https://app.example/' });
        expect(url).toBe('https://x.example/connect/1');
        expect(JSON.parse(broker.received.at(-1)!.body)).toEqual({
          connection_id: 'con_1',
          return_url: 'https://app.example/',
        });
      },
    );
  });

  test('limits its caller: nothing was sent, so the client waits, and sends any method again', async () => {
    const script = (_: string, count: number): ScriptedResponse =>
      count === 0
        ? problem(429, 'rate_limited', {}, { 'retry-after': '3' })
        : { headers: { 'valetkey-request-id': 'r' } };
    await withBroker(script, async ({ url, received }) => {
      const { valetkey: own, waits } = createTestClient({ url, key: 'k' });
      await own.api('con_1').post('/x', {});
      expect(waits).toEqual([3]);
      expect(received.map(({ headers }) => headers['valetkey-max-wait'])).toEqual([
        '10',
        expect.stringMatching(/^[67]$/),
      ]);
    });
    await withBroker(
      () => problem(429, 'rate_limited', {}, { 'retry-after': '30' }),
      async ({ url, received }) => {
        const error = await rejectionOf(createTestClient({ url, key: 'k' }).valetkey.api('con_1').post('/x', {}));
        expect(error).toMatchObject({ code: 'rate_limited', retryAfter: 30 });
        expect(received).toHaveLength(1);
      },
    );
  });

  test('has renewed a token that the API rejected: the client repeats a body that the broker has not kept', async () => {
    const renewed = { status: 401, headers: { 'valetkey-request-id': 'r', 'valetkey-retry': 'token-renewed' } };
    await withBroker(
      (_, count) => (count === 0 ? renewed : { headers: { 'valetkey-request-id': 'r' } }),
      async ({ url, received }) => {
        await createValetkey({ url, key: 'k' }).api('con_1').put('/x', 'large');
        expect(received.map(({ body }) => body)).toEqual(['large', 'large']);
      },
    );
    await withBroker(
      () => renewed,
      async ({ url, received }) => {
        expect(await rejectionOf(createValetkey({ url, key: 'k' }).api('con_1').put('/x', 'large'))).toMatchObject({
          status: 401,
        });
        expect(received).toHaveLength(2);
      },
    );
  });

  test('an API that was too slow; a limit that is told with success; another server; none at all', async () => {
    const ask = async (response: ScriptedResponse) => {
      let error: unknown;
      await withBroker(
        () => response,
        async ({ url }) => {
          error = await rejectionOf(createValetkey({ url, key: 'k' }).api('con_1').get('/x'));
        },
      );
      return error;
    };
    expect(await ask(problem(504, 'upstream_timeout'))).toBeInstanceOf(UpstreamTimeout);
    const headers = { 'valetkey-request-id': 'r', 'valetkey-rate-limited': 'true', 'retry-after': '4' };
    const limited = await ask({ headers, body: { errors: [] } });
    expect(limited).toBeInstanceOf(RateLimited);
    expect(limited).toMatchObject({ status: 200, retryAfter: 4 });
    expect(await ask({ status: 502, body: 'Bad gateway' })).toMatchObject({ code: 'invalid_answer' });
    expect(await ask({ status: 200, body: 'Welcome' })).toMatchObject({ code: 'invalid_answer' });
    const down = await ask('drop');
    expect(down).toBeInstanceOf(ValetkeyError);
    expect(down).toMatchObject({ code: 'network' });
  });
});
