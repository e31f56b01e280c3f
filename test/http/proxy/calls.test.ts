// Calls through the proxy, byte by byte: where they go, what the API is sent, and what comes back.
import type { Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answer, type ReceivedRequest } from '../../support/byte-upstream.ts';
import { type ProxySetup, startProxySetup } from '../../support/proxy-setup.ts';
import { rawCall } from '../../support/raw-call.ts';

let setup: ProxySetup;
let ada: string;
beforeAll(async () => {
  setup = await startProxySetup();
  ada = await setup.connect('bearer', 'ada');
});
afterAll(() => setup.close());
beforeEach(() => setup.upstream.reset());

const json = (body: Buffer) => JSON.parse(body.toString()) as Record<string, unknown>;
/** The next request that the API gets. */
const nextRequest = () =>
  new Promise<ReceivedRequest>((resolve) => {
    setup.upstream.onHead = resolve;
  });
const last = () => setup.upstream.requests.at(-1)!;

describe('a call', () => {
  test('goes below the base URL, with the token and the headers of the entry, and its answer comes back as it is', async () => {
    setup.upstream.onHead = ({ socket }) =>
      socket.write(
        answer('{"a":1}', {
          status: '201 Made',
          headers: ['ETag: "x"', 'Link: <a>', 'Link: <b>', 'Content-Type: text/x'],
        }),
      );
    const { status, body, headers, header } = await setup.call(ada, 'GET', '/users/me?a=%7e&b=//..', {
      headers: ['X-Mine: 1', 'Accept: a/b'],
    });
    expect(last().line).toBe('GET /api/v1/users/me?a=%7e&b=//.. HTTP/1.1');
    expect(last().headers).toEqual([
      ['host', setup.upstream.host],
      ['connection', 'keep-alive'],
      ['X-Mine', '1'],
      ['Accept', 'a/b'],
      ['Acme-Version', '2022-11-28'],
      ['Acme-Client', 'of the entry'],
      ['User-Agent', 'valetkey'],
      ['Authorization', 'Bearer secret-of-ada'],
    ]);
    expect([status, body.toString(), header('etag'), header('content-type')]).toEqual([
      201,
      '{"a":1}',
      '"x"',
      'text/x',
    ]);
    expect(headers.filter(([name]) => name === 'link').map(([, value]) => value)).toEqual(['<a>', '<b>']);
    expect(header('valetkey-attempts')).toBe('1');
    expect(header('valetkey-request-id')).toMatch(/^[\w-]{36}$/);
    expect(header('valetkey-error')).toBeUndefined();
  });

  test('goes by owner, at another host of the API, and at the base URL itself', async () => {
    await setup.connect('bearer', 'grace', undefined, { label: 'work' });
    const ask = async (target: string, ...headers: string[]) => {
      const lines = [
        `GET ${target} HTTP/1.1`,
        'Host: x',
        `Authorization: Bearer ${setup.broker.adminKey}`,
        ...headers,
        '',
        '',
      ];
      return (await rawCall(setup.broker.url, lines.join('\r\n')).answer).status;
    };
    expect(
      await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: gr%61ce', 'Valetkey-Label: work', 'Valetkey-Host: files'),
    ).toBe(200);
    expect([last().line, last().header('authorization')]).toEqual(['GET /files/x HTTP/1.1', 'Bearer secret-of-grace']);
    expect(await ask('/v1/proxy/bearer?q=1', 'Valetkey-Owner: grace')).toBe(200);
    expect(last().line).toBe('GET /api/v1?q=1 HTTP/1.1');
    expect(await ask('/v1/proxy/bearer/x')).toBe(400);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: nobody')).toBe(404);
    expect(await ask('/v1/proxy/nowhere/x', 'Valetkey-Owner: grace')).toBe(404);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: grace', 'Valetkey-Label: home')).toBe(404);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: %ff')).toBe(400);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: grace', 'Valetkey-Owner: ada')).toBe(400);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: grace', `Valetkey-Host: ${setup.upstream.host}`)).toBe(400);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: grace', 'Valetkey-Host: elsewhere')).toBe(400);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: grace', 'Valetkey-Retry: 9')).toBe(400);
    expect(await ask('/v1/proxy/bearer/x', 'Valetkey-Owner: grace', 'Valetkey-Max-Wait: -1')).toBe(400);
    expect(setup.upstream.requests).toHaveLength(2);
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY', 'REPORT'])(
    'may be %s',
    async (method) => {
      const { status } = await setup.call(ada, method, '/x');
      expect([status, last().line]).toEqual([200, `${method} /api/v1/x HTTP/1.1`]);
    },
  );

  test.each(['TRACE'])('may not be %s, which would show the token', async (method) => {
    const { status, body } = await setup.call(ada, method, '/x');
    expect([status, json(body).code, setup.upstream.requests]).toEqual([400, 'invalid_request', []]);
  });

  test.each([
    ['bearer', { api_key: 'k' }, ['authorization', 'Bearer k']],
    ['scheme', { api_key: 'k' }, ['authorization', 'Token k']],
    ['header', { api_key: 'k' }, ['x-acme-key', 'k']],
    ['basic', { username: 'u', password: 'p' }, ['authorization', `Basic ${btoa('u:p')}`]],
  ])('of %s carries its credential, and none of the caller', async (integration, credentials, [name, value]) => {
    const id = await setup.connect(integration, 'creds', credentials);
    await setup.call(id, 'GET', '/x', { headers: ['X-Acme-Key: of the caller', 'Cookie: a=b', 'DPoP: x'] });
    expect(last().headers.filter(([one]) => one.toLowerCase() === name)).toEqual([[expect.anything(), value]]);
    expect(last().header('cookie')).toBeUndefined();
    expect(last().header('dpop')).toBeUndefined();
    expect(last().headers.map(([, text]) => text)).not.toContain(`Bearer ${setup.broker.adminKey}`);
  });

  test('of a key in the query carries it once, and the API cannot send it back', async () => {
    const id = await setup.connect('query', 'ada', { api_key: 'se cret&' });
    setup.upstream.onHead = ({ socket, line }) =>
      socket.write(answer('', { status: '302 Found', headers: [`Location: http://x${line.split(' ')[1]}`] }));
    const { status, header } = await setup.call(id, 'GET', '/x?api_key=theirs&a=%20&api%5Fkey=theirs');
    expect(last().line).toBe('GET /api/v1/x?a=%20&api_key=se%20cret%26 HTTP/1.1');
    expect([status, header('location')]).toEqual([302, 'http://x/api/v1/x?a=%20&api_key=']);
  });

  const location = (value: string) => answer('', { status: '302 Found', headers: [`Location: ${value}`] });
  test.each<[string, (target: string) => string]>([
    ['its status text', (target) => answer('', { status: `200 ${target}` })],
    ['early hints', (target) => `HTTP/1.1 103 Early Hints\r\nLink: <${target}>\r\n\r\n${answer()}`],
    ['a header, in lower case', (target) => location(target.replace(/%../g, (one) => one.toLowerCase()))],
    ['a header, half decoded', (target) => location(target.replaceAll('%2F', '/').replaceAll('%3D', '='))],
    ['a header, as a form', (target) => location(target.replaceAll('%20', '+'))],
    ['a header, encoded twice', (target) => location(`/login?next=${encodeURIComponent(target)}`)],
  ])('of a key in the query: the API cannot send it back in %s', async (_, answered) => {
    const id = await setup.connect('query', 'eve', { api_key: 'k+e/y z==' });
    setup.upstream.onHead = ({ socket, line }) => socket.write(answered(line.split(' ')[1]!));
    const call = setup.open(id, 'GET', '/x');
    expect((await call.answer).status).toBeGreaterThan(0);
    call.socket.destroy();
    const received = Array.from({ length: 3 }).reduce<string>(
      (text) => text.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      call.received(),
    );
    expect(received).toContain('api_key=');
    expect(received.replaceAll('+', ' ')).not.toContain('k e/y z');
  });

  test('of a token that goes into a body is refused', async () => {
    const id = await setup.connect('body', 'ada');
    const { status, body } = await setup.call(id, 'GET', '/x');
    expect([status, json(body).code]).toEqual([400, 'invalid_request']);
  });
});

test('headers may have 30 kB, in both directions', async () => {
  const long = 'x'.repeat(30_000);
  setup.upstream.onHead = ({ socket }) => socket.write(answer('', { headers: [`X-Back: ${long}`] }));
  const got = await setup.call(ada, 'GET', '/x', { headers: [`X-Long: ${long}`] });
  expect([got.status, last().header('x-long'), got.header('x-back')]).toEqual([200, long, long]);
  expect((await setup.call(ada, 'GET', '/x', { headers: [`X-Long: ${long}${long}`] })).status).toBe(431);
});

test.each([
  [['Idempotency-Key: '], 1],
  [['Idempotency-Key: a', 'Connection: idempotency-key'], 1],
  [['Idempotency-Key: a'], 2],
])('a POST is repeated only with a key that the API is sent: %j', async (headers, times) => {
  setup.upstream.onHead = ({ socket }) => socket.write(answer('', { status: '502 Bad Gateway' }));
  await setup.call(ada, 'POST', '/x', { headers: ['Valetkey-Retry: 1', ...headers] });
  expect(setup.upstream.requests).toHaveLength(times);
});

test('early hints that the caller does not read do not fill the memory', async () => {
  const asked = new Promise<ReceivedRequest>((resolve) => {
    setup.upstream.onHead = resolve;
  });
  const call = setup.open(ada, 'GET', '/x');
  const { socket } = await asked;
  call.socket.pause();
  const hints = `HTTP/1.1 103 Early Hints\r\nLink: </${'x'.repeat(30_000)}>\r\n\r\n`.repeat(30);
  for (let i = 0; i < 30; i++) await new Promise((written) => socket.write(hints, written));
  socket.write(answer('done'));
  await new Promise((passed) => setTimeout(passed, 500));
  call.socket.resume();
  await call.until(/done$/);
  call.socket.destroy();
  expect(call.received().length).toBeLessThan((30 * hints.length) / 2);
});

describe('nothing leads elsewhere', () => {
  test.each([
    '/..',
    '/%2e%2e/x',
    '/%252e%252e',
    '//host',
    '//host/x',
    '/\\x',
    '/%5cx',
    '/a%00',
    '/..;/x',
    '/%EF%BC%8E%EF%BC%8E',
    '/https://host/',
    '/a%2F..%2Fb',
    '/%c0%ae',
  ])('%s: 400 invalid_path', async (target) => {
    const { status, body, header } = await setup.call(ada, 'GET', target);
    expect([status, json(body).code, header('valetkey-error'), setup.upstream.requests]).toEqual([
      400,
      'invalid_path',
      '1',
      [],
    ]);
  });

  test('an encoded slash stays part of its segment', async () => {
    await setup.call(ada, 'GET', '/projects/a%2fb/issues');
    expect(last().line).toBe('GET /api/v1/projects/a%2Fb/issues HTTP/1.1');
  });

  test.each([
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a folded header', 'X-A: a\r\n b\r\n\r\n'],
    ['a name with a space', 'X-A : a\r\n\r\n'],
    ['another coding', 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
  ])('%s: refused before the API hears of it', async (_, rest) => {
    const head = `POST /v1/connections/${ada}/proxy/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${setup.broker.adminKey}\r\n`;
    const { status } = await rawCall(
      setup.broker.url,
      `${head}${rest}GET /v1/connections/${ada}/proxy/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
    ).answer;
    expect([status, setup.upstream.requests]).toEqual([400, []]);
  });
});

describe('an upgrade', () => {
  test('is refused with what to do instead; an offer of HTTP/2 is passed over', async () => {
    const asked = await setup.call(ada, 'GET', '/x', { headers: ['Connection: Upgrade', 'Upgrade: websocket'] });
    expect([asked.status, json(asked.body).code]).toEqual([501, 'upgrade_not_supported']);
    const offered = await setup.call(ada, 'GET', '/x', {
      headers: ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAM'],
    });
    expect([offered.status, last().header('upgrade'), last().header('http2-settings')]).toEqual([
      200,
      undefined,
      undefined,
    ]);
  });

  test('CONNECT: 501', async () => {
    const { status } = await rawCall(setup.broker.url, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n')
      .answer;
    expect(status).toBe(501);
  });
});

describe('who may call', () => {
  const keyWith = async (grant: object) =>
    String(
      (
        await setup.broker.ask('POST', '/v1/callers', {
          name: 'a test',
          grants: [{ integrations: ['*'], owners: ['*'], ...grant }],
        })
      ).body.key,
    );

  test('a caller with proxy alone calls, and is given no token', async () => {
    const key = await keyWith({ actions: ['proxy'] });
    expect((await setup.call(ada, 'GET', '/x', { key })).status).toBe(200);
    const read = await setup.broker.ask('GET', `/v1/connections/${ada}/token`, undefined, key);
    expect([read.status, read.body.code]).toEqual([403, 'forbidden']);
  });

  test('no key 401, another action 403, no grant for the owner 404', async () => {
    expect((await setup.call(ada, 'GET', '/x', { key: '' })).status).toBe(401);
    const token = await setup.call(ada, 'GET', '/x', { key: await keyWith({ actions: ['token'] }) });
    expect([token.status, json(token.body).missing]).toEqual([
      403,
      { action: 'proxy', integration: 'bearer', owner: 'ada' },
    ]);
    expect(
      (await setup.call(ada, 'GET', '/x', { key: await keyWith({ actions: ['proxy'], owners: ['bob'] }) })).status,
    ).toBe(404);
    expect((await setup.call('con_nothing', 'GET', '/x')).status).toBe(404);
    expect(setup.upstream.requests).toEqual([]);
  });

  test('methods and paths of a grant hold for what the API reads', async () => {
    const key = await keyWith({ actions: ['proxy'], methods: ['GET'], paths: ['/repos/*', '/user', 'files:/up/*'] });
    const status = async (method: string, target: string, ...headers: string[]) =>
      (await setup.call(ada, method, target, { key, headers })).status;
    expect(await status('GET', '/repos/a')).toBe(200);
    expect(await status('HEAD', '/user')).toBe(200);
    expect(await status('GET', '/%72epos/a')).toBe(200);
    expect(await status('GET', '/up/x', 'Valetkey-Host: files')).toBe(200);
    setup.upstream.reset();
    expect(await status('POST', '/repos/a')).toBe(403);
    expect(await status('GET', '/users')).toBe(403);
    expect(await status('GET', '/user/keys')).toBe(403);
    expect(await status('GET', '/repos%2Fa')).toBe(403);
    expect(await status('GET', '/repos/a', 'Valetkey-Host: files')).toBe(403);
    expect(await status('GET', '/repos/a', 'X-HTTP-Method-Override: DELETE')).toBe(403);
    expect(await status('GET', '/repos/a?_method=delete')).toBe(403);
    expect(await status('GET', '/repos/a?method=delete')).toBe(403);
    expect(await status('GET', '/repos/../user')).toBe(400);
    expect(setup.upstream.requests).toEqual([]);
    const { body } = await setup.call(ada, 'POST', '/admin', { key });
    expect(json(body).missing).toEqual({
      action: 'proxy',
      integration: 'bearer',
      owner: 'ada',
      method: 'POST',
      path: '/admin',
    });
    const who = await setup.broker.ask('GET', '/v1/whoami', undefined, key);
    expect(who.body.grants).toEqual([
      expect.objectContaining({ methods: ['GET'], paths: ['/repos/*', '/user', 'files:/up/*'] }),
    ]);
  });

  test('a header that names another resource is covered by a grant for all paths alone', async () => {
    const paths = ['/bucket/mine/*', 'files:/bucket/*'];
    const limited = await keyWith({ actions: ['proxy'], paths });
    const put = async (key: string, ...headers: string[]) => {
      const { status, body } = await setup.call(ada, 'PUT', '/bucket/mine/copy', { key, headers });
      return [status, status === 403 && (json(body).missing as { path?: string }).path];
    };
    for (const header of [
      'x-amz-copy-source: /bucket/theirs/secret',
      'X-Amz-Rename-Source: /bucket/theirs/secret',
      'x-goog-copy-source: bucket/mine/%2e%2e/theirs',
      'x_ms_rename_source: /bucket/theirs/secret',
      'X-Copy-From: bucket/theirs/secret',
      'Destination: https://api.example/bucket/theirs/new',
    ])
      expect(await put(limited, header), header).toEqual([403, '*']);
    expect(setup.upstream.requests).toEqual([]);
    const agent = { owner: 'ada', integrations: ['bearer'], actions: ['proxy'], purpose: 'a test', paths };
    const session = String((await setup.broker.ask('POST', '/v1/sessions', agent)).body.token);
    expect(await put(session, 'x-amz-copy-source: /bucket/theirs/secret')).toEqual([403, '*']);
    const all = ['x-amz-copy-source: /bucket/theirs/secret', 'Destination: /x'];
    expect((await setup.call(ada, 'PUT', '/x', { headers: all })).status).toBe(200);
    const whole = { headers: all, key: await keyWith({ actions: ['proxy'], paths: ['*'] }) };
    expect((await setup.call(ada, 'PUT', '/x', whole)).status).toBe(200);
    expect(setup.upstream.requests.at(-1)?.header('x-amz-copy-source')).toBe('/bucket/theirs/secret');
    // What names no other resource is not taken for it.
    const others = ['x-amz-copy-source-if-match: "e"', 'X-Source: a', 'X-Destination: b', 'Sec-Fetch-Dest: empty'];
    expect((await setup.call(ada, 'PUT', '/bucket/mine/x', { key: limited, headers: others })).status).toBe(200);
  });

  test('a caller with a rate limit is limited here as well', async () => {
    const limited = {
      name: 'x',
      grants: [{ actions: ['proxy'], integrations: ['*'], owners: ['*'] }],
      rate_limit: { requests: 1, window: 60 },
    };
    const key = String((await setup.broker.ask('POST', '/v1/callers', limited)).body.key);
    const first = await setup.call(ada, 'GET', '/x', { key });
    expect([first.status, first.header('ratelimit')]).toEqual([200, expect.stringContaining('r=0')]);
    const second = await setup.call(ada, 'GET', '/x', { key });
    expect([second.status, json(second.body).code, second.header('valetkey-error')]).toEqual([
      429,
      'rate_limited',
      '1',
    ]);
    expect(setup.upstream.requests).toHaveLength(1);
  });

  test('a grant with scopes covers no token whose scopes are not known', async () => {
    const key = await keyWith({ actions: ['proxy'], scopes: ['read'] });
    expect((await setup.call(ada, 'GET', '/x', { key })).status).toBe(403);
  });

  test.each([
    { actions: ['token'], methods: ['GET'] },
    { actions: ['token'], paths: ['/x'] },
    { actions: ['proxy'], methods: ['get'] },
    { actions: ['proxy'], methods: [] },
    { actions: ['proxy'], paths: ['x'] },
    { actions: ['proxy'], paths: ['/a/../b'] },
    { actions: ['proxy'], paths: ['/%72epos/*'] },
    { actions: ['proxy'], paths: ['/a*b'] },
  ])('a grant %j: 400', async (grant) => {
    const { status } = await setup.broker.ask('POST', '/v1/callers', {
      name: 'x',
      grants: [{ integrations: ['*'], owners: ['*'], ...grant }],
    });
    expect(status).toBe(400);
  });
});

describe('a caller that hangs up', () => {
  // No time limit of the proxy is over by then.
  test.each([
    ['before the answer', ''],
    ['in the middle of it', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
  ])('%s ends the call at the API', async (_, bytes) => {
    const asked = nextRequest();
    const call = setup.open(ada, 'GET', '/x');
    const got = await asked;
    if (bytes !== '') {
      got.socket.write(bytes);
      await call.until(/half/);
    }
    call.socket.destroy();
    await got.closed;
  });

  test('in the middle of its request ends it at the API', async () => {
    const asked = nextRequest();
    const call = setup.open(ada, 'POST', '/x', { headers: ['Content-Length: 100000'] });
    call.socket.write('half');
    const got = await asked;
    call.socket.destroy();
    await got.closed;
    expect(got.isComplete).toBe(false);
  });
});

describe('back-pressure', () => {
  const piece = Buffer.alloc(65_536, 'x');
  /** Writes until the socket keeps megabytes, or far more went through than kernels and buffers hold. */
  async function fill(socket: Socket, bytes: Buffer): Promise<void> {
    for (let n = 0; n < 2_000 && socket.writableLength < 4_000_000; n++) {
      socket.write(bytes);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(socket.writableLength).toBeGreaterThan(3_900_000);
  }

  test('an API that takes nothing stops the caller', async () => {
    const asked = nextRequest();
    const call = setup.open(ada, 'PUT', '/x', { headers: ['Content-Length: 1000000000'] });
    call.socket.write(piece);
    (await asked).socket.pause();
    await fill(call.socket, piece);
    call.socket.destroy();
  });

  test('a caller that takes nothing stops the API', async () => {
    const asked = nextRequest();
    const call = setup.open(ada, 'GET', '/x');
    call.socket.pause();
    const { socket } = await asked;
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
    await fill(socket, piece);
    call.socket.destroy();
  });

  test('a hundred callers that take nothing cost little memory, and when they leave, all of it ends', async () => {
    const taken = () => process.memoryUsage().arrayBuffers;
    const before = taken();
    const got: ReceivedRequest[] = [];
    setup.upstream.onHead = (request) => {
      got.push(request);
      request.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
      let left = 128;
      const more = () => {
        while (left-- > 0) if (!request.socket.write(piece)) return void request.socket.once('drain', more);
      };
      more();
    };
    const calls = Array.from({ length: 100 }, () => setup.open(ada, 'GET', '/x', { headers: ['Valetkey-Retry: 5'] }));
    for (const { socket } of calls) socket.pause();
    const written = () => got.reduce((sum, { socket }) => sum + socket.bytesWritten, 0);
    let last = -1;
    const takesNoMore = () => {
      const before = last;
      last = written();
      return got.length === calls.length && last === before;
    };
    await expect.poll(takesNoMore, { timeout: 60_000, interval: 300 }).toBe(true);
    // Without back-pressure, what kernels do not take of 800 MB would be here.
    expect(taken() - before).toBeLessThan(100_000_000);
    for (const { socket } of calls) socket.destroy();
    await Promise.all(got.map(({ closed }) => closed));
  }, 180_000);
});

test('each call is told in the log and in the metrics, and counted in the audit log: never its query, nor its token', async () => {
  const id = await setup.connect('query', 'told', { api_key: 'very-secret' });
  const hidden = 'hidden-in-the-query';
  await Promise.all([1, 2, 3].map(() => setup.call(id, 'GET', `/items/12345?q=${hidden}`)));
  const lines = setup.log.filter(({ message, fields }) => message === 'proxy: call' && fields.connection_id === id);
  expect(lines).toHaveLength(3);
  expect(lines[0]!.fields).toMatchObject({
    method: 'GET',
    host: setup.upstream.host,
    path: '/items/{}',
    status: '200',
    bytes: 2,
    attempts: 1,
    complete: true,
  });
  const metrics = await (await fetch(`${setup.broker.url}/metrics`)).text();
  expect(metrics).toContain('valetkey_proxied_calls_total{integration="query",method="GET",outcome="2xx"}');
  let entries: Record<string, unknown>[] = [];
  while (entries.length === 0) {
    const { body } = await setup.broker.ask('GET', `/v1/audit?connection_id=${id}&action=proxy.called`);
    entries = body.data as Record<string, unknown>[];
  }
  expect(entries.reduce((sum, { count }) => sum + Number(count), 0)).toBe(3);
  const everything = JSON.stringify([setup.log, entries]) + metrics;
  expect(everything).not.toContain(hidden);
  expect(everything).not.toContain('very-secret');
});
