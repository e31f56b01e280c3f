// More than one attempt: a token that the API rejects is renewed once, and what is safe to repeat is repeated where the caller
// asks for it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestSetup, type TestSetup } from '../../support/broker-setup.ts';
import { answer, type ByteUpstream, type ReceivedRequest, startByteUpstream } from '../../support/byte-upstream.ts';
import { type RawAnswer, rawCall } from '../../support/raw-call.ts';

let setup: TestSetup;
let upstream: ByteUpstream;
let owners = 0;
beforeAll(async () => {
  [setup, upstream] = await Promise.all([startTestSetup(), startByteUpstream()]);
});
afterAll(async () => {
  await setup.close();
  await upstream.close();
});
/** A new version each time: the circuit breaker of its host, which many tests make fail, begins closed. */
beforeEach(async () => {
  upstream.reset();
  const body = setup.integrationBody as { overrides: object };
  const overrides = { ...body.overrides, api_base_url: `${upstream.url}/api` };
  const { status } = await setup.broker.ask('PUT', '/v1/integrations/acme', { ...body, overrides });
  expect(status).toBe(200);
});

const connect = () =>
  setup.importConnection(`owner-${owners++}`, { access_token: 'old', expires_at: setup.inSeconds(3_600) });
const unauthorized = (error = 'invalid_token') =>
  answer('no', { status: '401 Unauthorized', headers: [`WWW-Authenticate: Bearer error="${error}"`] });
const tokens = () => upstream.requests.map((request) => request.header('authorization'));
/** Answers 401 to the old token once its request is here, and 200 to any other. */
const rejectOld = (request: ReceivedRequest) =>
  void request.socket.write(request.header('authorization') === 'Bearer old' ? unauthorized() : answer());

async function call(
  id: string,
  method: string,
  { headers = [] as string[], body = undefined as Buffer | undefined, chunked = false, query = '' } = {},
): Promise<RawAnswer> {
  const length = body === undefined ? [] : [chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`];
  const head = [
    `${method} /v1/connections/${id}/proxy/x${query} HTTP/1.1`,
    'Host: x',
    `Authorization: Bearer ${setup.broker.adminKey}`,
    ...headers,
    ...length,
    '',
    '',
  ];
  const sent = rawCall(setup.broker.url, head.join('\r\n'));
  if (body && chunked) sent.socket.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
  else if (body) sent.socket.write(body);
  const got = await sent.answer;
  sent.socket.destroy();
  return got;
}

describe('a token that the API rejects', () => {
  test('is renewed, and the call sent once more', async () => {
    upstream.onHead = () => undefined;
    upstream.onComplete = rejectOld;
    const before = setup.refreshCount();
    const got = await call(await connect(), 'POST', { body: Buffer.from('a small body') });
    expect([got.status, got.header('valetkey-attempts'), got.header('valetkey-retry')]).toEqual([200, '2', undefined]);
    expect(upstream.requests.map(({ body }) => body.toString())).toEqual(['a small body', 'a small body']);
    expect([tokens()[0], setup.refreshCount() - before]).toEqual(['Bearer old', 1]);
  });

  test('is renewed, and the API cannot send the new one back', async () => {
    upstream.onHead = (request) => {
      const sent = request.header('authorization')!;
      request.socket.write(sent === 'Bearer old' ? unauthorized() : answer('', { headers: [`X-Echo: ${sent}`] }));
    };
    const got = await call(await connect(), 'GET');
    expect([got.status, got.header('x-echo'), tokens().length]).toEqual([200, 'Bearer', 2]);
  });

  test('by many calls at once is renewed once', async () => {
    upstream.onHead = rejectOld;
    const before = setup.refreshCount();
    const id = await connect();
    const all = await Promise.all(Array.from({ length: 20 }, () => call(id, 'GET')));
    expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(setup.refreshCount() - before).toBe(1);
  });

  test('in chunks that were small is sent once more, too', async () => {
    upstream.onHead = () => undefined;
    upstream.onComplete = rejectOld;
    const got = await call(await connect(), 'POST', { body: Buffer.from('chunk'), chunked: true });
    expect([got.status, upstream.requests.map(({ body }) => body.toString())]).toEqual([200, ['chunk', 'chunk']]);
  });

  test('of a body that is too large to be kept: the caller may send it once more', async () => {
    upstream.onHead = () => undefined;
    upstream.onComplete = rejectOld;
    const id = await connect();
    const body = Buffer.alloc(70_000, 'x');
    const got = await call(id, 'POST', { body });
    expect([got.status, got.header('valetkey-retry'), got.header('valetkey-attempts')]).toEqual([
      401,
      'token-renewed',
      '1',
    ]);
    expect(got.body.toString()).toBe('no');
    expect((await call(id, 'POST', { body })).status).toBe(200);
  });

  test('is renewed once: a second 401 comes back', async () => {
    upstream.onHead = ({ socket }) => socket.write(unauthorized());
    const before = setup.refreshCount();
    const got = await call(await connect(), 'GET', { headers: ['Valetkey-Retry: 5'] });
    expect([got.status, got.header('valetkey-attempts'), setup.refreshCount() - before]).toEqual([401, '2', 1]);
    expect(got.header('valetkey-retry')).toBeUndefined();
  });

  test('just after it was renewed is not renewed with every call', async () => {
    upstream.onHead = () => undefined;
    upstream.onComplete = ({ socket }) => socket.write(unauthorized());
    const before = setup.refreshCount();
    const id = await connect();
    for (let i = 0; i < 3; i++) expect((await call(id, 'GET')).status).toBe(401);
    const large = await call(id, 'POST', { body: Buffer.alloc(70_000) });
    expect([large.status, large.header('valetkey-retry')]).toEqual([401, undefined]);
    expect(setup.refreshCount() - before).toBe(1);
  });

  test('and that it had accepted since it was renewed is renewed at once', async () => {
    const rejected = new Set(['Bearer old']);
    upstream.onHead = ({ socket, header }) =>
      void socket.write(rejected.has(header('authorization')!) ? unauthorized() : answer());
    const before = setup.refreshCount();
    const id = await connect();
    for (let renewals = 1; renewals <= 3; renewals++) {
      expect((await call(id, 'GET')).status).toBe(200);
      expect(setup.refreshCount() - before).toBe(renewals);
      rejected.add(tokens().at(-1)!);
    }
  });

  test('for want of a scope is not renewed', async () => {
    upstream.onHead = ({ socket }) => socket.write(unauthorized('insufficient_scope'));
    const before = setup.refreshCount();
    expect((await call(await connect(), 'GET')).status).toBe(401);
    expect([upstream.requests.length, setup.refreshCount() - before]).toEqual([1, 0]);
  });
});

describe('a call that fails', () => {
  const fails = (times: number, status: string, headers: string[] = []) => {
    let left = times;
    return ({ socket }: ReceivedRequest) =>
      void socket.write(left-- > 0 ? answer('no', { status, headers }) : answer());
  };

  // A limit that does not say how long is waited for by the second.
  test.each([
    ['429 Too Many', 1],
    ['502 Bad Gateway', 2],
    ['503 Unavailable', 2],
    ['504 Timeout', 2],
  ])('with %s is repeated where the caller asks for it', async (status, times) => {
    const id = await connect();
    upstream.onHead = fails(times, status);
    const got = await call(id, 'GET', { headers: ['Valetkey-Retry: 2'] });
    expect([got.status, got.header('valetkey-attempts')]).toEqual([200, String(times + 1)]);
    upstream.reset();
    upstream.onHead = fails(1, status);
    expect([(await call(id, 'GET')).status, upstream.requests.length]).toEqual([Number(status.slice(0, 3)), 1]);
  });

  test('is repeated as often as asked, and then its answer comes back', async () => {
    upstream.onHead = fails(9, '503 Unavailable');
    const got = await call(await connect(), 'PUT', { headers: ['Valetkey-Retry: 1'], body: Buffer.from('x') });
    expect([got.status, got.body.toString(), got.header('valetkey-attempts')]).toEqual([503, 'no', '2']);
  });

  test.each([
    ['POST', [], ''],
    ['PATCH', [], ''],
    ['PROPFIND', [], ''],
    ['PUT', ['X-HTTP-Method-Override: POST'], ''],
    ['DELETE', ['X_HTTP_Method: patch'], ''],
    ['GET', [], '?_method=POST'],
    ['POST', ['X-HTTP-Method-Override: PUT'], ''],
  ])(
    'is not repeated when it is or may be taken for what is not idempotent: %s %j %s',
    async (method, headers, query) => {
      upstream.onHead = fails(9, '503 Unavailable');
      await call(await connect(), method, { headers: ['Valetkey-Retry: 5', ...headers], query });
      expect(upstream.requests).toHaveLength(1);
    },
  );

  test.each(['500 Oh', '404 Not Found', '400 Bad', '501 Never'])('with %s is not repeated', async (status) => {
    upstream.onHead = fails(9, status);
    await call(await connect(), 'GET', { headers: ['Valetkey-Retry: 5'] });
    expect(upstream.requests).toHaveLength(1);
  });

  test('and whose API asks for a longer wait than a moment is not repeated', async () => {
    upstream.onHead = fails(9, '503 Unavailable', ['Retry-After: 3600']);
    const got = await call(await connect(), 'GET', { headers: ['Valetkey-Retry: 5'] });
    expect([got.status, got.header('retry-after'), upstream.requests.length]).toEqual([503, '3600', 1]);
  });

  test('after its first byte is not repeated', async () => {
    upstream.onHead = ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    const got = await call(await connect(), 'GET', { headers: ['Valetkey-Retry: 5'] });
    expect([got.isComplete, upstream.requests.length]).toEqual([false, 1]);
  });
});

describe('a grant that ends', () => {
  test('ends what runs and would run for ever, and what comes then is 410', async () => {
    const id = await connect();
    const asked = new Promise<ReceivedRequest>((resolve) => {
      upstream.onHead = resolve;
    });
    const head = `GET /v1/connections/${id}/proxy/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${setup.broker.adminKey}\r\n\r\n`;
    const stream = rawCall(setup.broker.url, head);
    const { socket, closed } = await asked;
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
    await stream.until(/data: 1/);
    const waiting = rawCall(setup.broker.url, head);
    while (upstream.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
    await setup.broker.ask('DELETE', `/v1/connections/${id}`);
    await Promise.all([closed, stream.closed, upstream.requests[1]!.closed]);
    expect((await waiting.answer).status).toBe(410);
    waiting.socket.destroy();
    const later = await call(id, 'GET');
    expect([later.status, later.header('valetkey-error')]).toEqual([410, '1']);
    expect(upstream.requests).toHaveLength(2);
  });
});
