// APIs and callers that send what no server and no client does: nothing of it ends the broker, becomes another message, or
// reaches the other side in a form that two readers could take for different things.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answer } from '../../support/byte-upstream.ts';
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

describe('an API', () => {
  const OK = 'HTTP/1.1 200 OK\r\n';
  const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
  const TWO = 'Content-Length: 2\r\n\r\nok';
  const hints = (count: number) => 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(count);

  test.each<[string, string]>([
    ['two lengths', `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nokx`],
    ['the same length twice', `${OK}Content-Length: 2\r\n${TWO}`],
    ['a list of lengths', `${OK}Content-Length: 2, 2\r\n\r\nok`],
    ['a length with a sign', `${OK}Content-Length: +2\r\n\r\nok`],
    ['a blank before a colon', `${OK}Content-Length : 2\r\n\r\nok`],
    ['a length and chunks', `${OK}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
    ['a coding like chunked', `${OK}Transfer-Encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
    ['chunked twice', `${OK}Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
    ['a folded header', `${OK}X-A: one\r\n two\r\n${TWO}`],
    ['lines that end with LF', `HTTP/1.1 200 OK\nX-A: one\nContent-Length: 2\n\nok`],
    ['a CR in a value', `${OK}X-A: one\rX-B: two\r\n${TWO}`],
    ['a NUL in a value', `${OK}X-A: one\0two\r\n${TWO}`],
    ['a blank in a name', `${OK}X A: one\r\n${TWO}`],
    ['a line without a colon', `${OK}nothing\r\n${TWO}`],
    ['a status of two digits', `HTTP/1.1 20 OK\r\n${TWO}`],
    ['a status of four digits', `HTTP/1.1 2000 OK\r\n${TWO}`],
    ['a status below 100', `HTTP/1.1 099 OK\r\n${TWO}`],
    ['interim responses without end', `${hints(5_000)}${OK}${TWO}`],
    ['empty headers without end', `${OK}${'a:\r\n'.repeat(20_000)}${TWO}`],
    ['a switch of the protocol', 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nxxxx'],
  ])('that sends %s: there is no response', async (_, bytes) => {
    setup.upstream.onHead = ({ socket }) => void socket.end(bytes, 'latin1');
    const { status, header, body } = await setup.call(ada, 'GET', '/x');
    expect([status, header('valetkey-error')]).toEqual([503, '1']);
    expect(JSON.parse(body.toString())).toMatchObject({ code: 'upstream_unavailable' });
    // The host works, and the breaker shall stay closed.
    setup.upstream.reset();
    expect((await setup.call(ada, 'GET', '/y')).status).toBe(200);
  });

  test.each<[string, string, number, string]>([
    ['a reason phrase with controls', `HTTP/1.1 200 \xff\x01\r\n${TWO}`, 200, 'ok'],
    ['a value beyond ASCII', `${OK}X-A: caf\xe9\r\n${TWO}`, 200, 'ok'],
    ['an odd status', `HTTP/1.1 999 Odd\r\n${TWO}`, 999, 'ok'],
    ['a body with 204', `HTTP/1.1 204 No Content\r\n${TWO}`, 204, ''],
    ['chunks with 204', `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`, 204, ''],
    ['a body with 304', `HTTP/1.1 304 Not Modified\r\n${TWO}`, 304, ''],
    ['extensions of chunks', `${CHUNKED}2;a=b;c="d"\r\nok\r\n0;x\r\n\r\n`, 200, 'ok'],
    ['trailers', `${CHUNKED}2\r\nok\r\n0\r\nSet-Cookie: a\r\nValetkey-Error: 1\r\n\r\n`, 200, 'ok'],
    ['a second response', `${OK}${TWO}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`, 200, 'ok'],
    ['a few interim responses', `${hints(50)}${OK}${TWO}`, 200, 'ok'],
    [
      'our own headers, named by Connection',
      `${OK}Connection: valetkey-attempts, content-length\r\nValetkey-Error: 1\r\nValetkey-Attempts: 9\r\nX-Real: 1\r\n${TWO}`,
      200,
      'ok',
    ],
  ])('that sends %s', async (_, bytes, status, body) => {
    let asked = 0;
    setup.upstream.onHead = ({ socket }) => void socket.write(asked++ === 0 ? bytes : answer('second'), 'latin1');
    const call = setup.open(ada, 'GET', '/x');
    const got = await call.answer;
    expect([got.status, got.body.toString(), got.isComplete]).toEqual([status, body, true]);
    expect([got.header('valetkey-error'), got.header('valetkey-attempts')]).toEqual([undefined, '1']);
    expect(call.received()).not.toMatch(/set-cookie|evil/i);
    call.socket.destroy();
    expect((await setup.call(ada, 'GET', '/y')).body.toString()).toBe('second');
  });

  test('that answers a HEAD with a body: the next answer is its own', async () => {
    setup.upstream.onHead = ({ socket, line }) =>
      void socket.write(answer(line.startsWith('HEAD') ? 'evil' : 'second'));
    const call = setup.open(ada, 'HEAD', '/x');
    await call.until(/\r\n\r\n$/);
    call.socket.destroy();
    expect((await setup.call(ada, 'GET', '/y')).body.toString()).toBe('second');
  });

  test.each([
    '2\nok\n0\n\n',
    '2;\nxx\r\nok\r\n0\r\n\r\n',
    '-2\r\nok\r\n0\r\n\r\n',
    '0x2\r\nok\r\n',
    'fffffffffffffffff\r\nok',
    `0\r\n${`X-Trailer: ${'a'.repeat(1_000)}\r\n`.repeat(40)}\r\n`,
  ])('that sends chunks which are none (%j): the caller can tell that the body is not complete', async (chunks) => {
    setup.upstream.onHead = ({ socket }) => void socket.end(`${CHUNKED}2\r\nok\r\n${chunks}`, 'latin1');
    const { status, isComplete } = await setup.call(ada, 'GET', '/x');
    expect([status, isComplete]).toEqual([200, false]);
  });

  test('that answers before it has the body: the answer arrives, and its connection is used for no other call', async () => {
    setup.upstream.onHead = ({ socket, line }) =>
      void socket.write(answer('early', { status: line.startsWith('POST') ? '413 Too Large' : '200 OK' }));
    const call = setup.open(ada, 'POST', '/x', { headers: ['Content-Length: 1000000'] });
    call.socket.write('x'.repeat(100));
    const got = await call.answer;
    expect([got.status, got.body.toString()]).toEqual([413, 'early']);
    call.socket.destroy();
    await setup.call(ada, 'GET', '/y');
    const [first, second] = setup.upstream.requests;
    expect(second!.socket).not.toBe(first!.socket);
    expect(second!.line).toBe('GET /api/v1/y HTTP/1.1');
  });
});

describe('a caller', () => {
  const at = (rest: string, method = 'GET', target = `/v1/connections/${ada}/proxy/x`) =>
    `${method} ${target} HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer ${setup.broker.adminKey}\r\n${rest}`;
  async function send(bytes: string) {
    setup.upstream.onHead = () => undefined;
    setup.upstream.onComplete = ({ socket }) => void socket.write(answer());
    const call = rawCall(setup.broker.url, Buffer.from(bytes, 'latin1'));
    const got = await call.answer;
    call.socket.destroy();
    return got;
  }

  test.each<[string, () => string, number]>([
    ['a length and chunks', () => at('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'POST'), 400],
    [
      'two codings',
      () => at('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n', 'POST'),
      400,
    ],
    ['a coding like chunked', () => at('Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', 'POST'), 400],
    ['another coding', () => at('Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', 'POST'), 400],
    ['an LF in an extension', () => at('Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nok\r\n0\r\n\r\n', 'POST'), 400],
    ['lines that end with LF', () => at('\r\n').replaceAll('\r', ''), 400],
    ['a folded header', () => at('X-A: b\r\n c\r\n\r\n'), 400],
    ['a blank before a colon', () => at('Transfer-Encoding : chunked\r\n\r\n'), 400],
    ['a CR in a value', () => at('X-A: b\rX-C: d\r\n\r\n'), 400],
    ['a list of lengths', () => at('Content-Length: 2, 2\r\n\r\nok', 'POST'), 400],
    ['a user in the whole URL', () => at('\r\n', 'GET', `http://evil.test@x/v1/connections/${ada}/proxy/x`), 404],
    ['an authority', () => at('\r\n', 'GET', 'evil.test:80'), 400],
    ['a CR and LF in an alias', () => at('Valetkey-Host: files%0d%0aX: y\r\n\r\n'), 400],
    ['a CR and LF in a path', () => at('\r\n', 'GET', `/v1/connections/${ada}/proxy/x%0d%0aX:y`), 400],
    ['another expectation', () => at('Expect: 200-ok\r\nContent-Length: 0\r\n\r\n', 'POST'), 417],
    ['an upgrade', () => at('Connection: upgrade\r\nUpgrade: websocket\r\n\r\n'), 501],
  ])('that sends %s: nothing of it is sent on', async (_, bytes, status) => {
    expect((await send(bytes())).status).toBe(status);
    expect(setup.upstream.requests).toEqual([]);
  });

  test('that names headers of ours in Connection, or sends trailers: the API gets the credential, and no trailer', async () => {
    await send(at('Connection: authorization, host, user-agent, content-length\r\nX-A: 1\r\n\r\n'));
    const trailers =
      'Transfer-Encoding: chunked\r\n\r\n2;a="b"\r\nok\r\n0;x=y\r\nAuthorization: evil\r\nX-T: 1\r\n\r\n';
    await send(at(trailers, 'POST'));
    for (const request of setup.upstream.requests) {
      expect(request.header('authorization')).toBe('Bearer secret-of-ada');
      expect(request.header('host')).toBe(setup.upstream.host);
    }
    expect(setup.upstream.requests.map(({ body }) => body.toString())).toEqual(['', 'ok']);
    expect(setup.upstream.bytes()).not.toMatch(/evil|X-T|a="b"/);
  });

  test('that sends the whole URL, of any host: it is the path at the API that counts', async () => {
    expect((await send(at('\r\n', 'GET', `http://evil.test/v1/connections/${ada}/proxy/x`))).status).toBe(200);
    const [request] = setup.upstream.requests;
    expect([request?.line, request?.header('host')]).toEqual(['GET /api/v1/x HTTP/1.1', setup.upstream.host]);
    expect(setup.upstream.bytes()).not.toContain('evil');
  });

  test('that sends two requests at once gets two answers, in their order', async () => {
    setup.upstream.onHead = ({ socket, line }) => void socket.write(answer(line.split(' ')[1]));
    const call = rawCall(setup.broker.url, at('\r\n') + at('\r\n', 'GET', `/v1/connections/${ada}/proxy/y`));
    await call.until(/v1\/x[\s\S]*v1\/y$/);
    call.socket.destroy();
  });
});
