// Bodies of calls through the proxy: streamed both ways, and ended when either side hangs up.
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answer, type ReceivedRequest } from '../../support/byte-upstream.ts';
import { type ProxySetup, startProxySetup } from '../../support/proxy-setup.ts';

const PATIENT = { firstByteMs: 60_000, idleMs: 60_000 };
/** Read with each call. */
const upstreamTimeouts = { connectMs: 60_000, ...PATIENT };
let setup: ProxySetup;
let ada: string;
beforeAll(async () => {
  setup = await startProxySetup({}, { upstreamTimeouts });
  ada = await setup.connect('bearer', 'ada');
});
afterAll(() => setup.close());
beforeEach(() => {
  setup.upstream.reset();
  Object.assign(upstreamTimeouts, PATIENT);
});

const json = (body: Buffer) => JSON.parse(body.toString()) as Record<string, unknown>;
/** The next request that the API gets. */
const nextRequest = () =>
  new Promise<ReceivedRequest>((resolve) => {
    setup.upstream.onHead = resolve;
  });
const CHUNKED = ['Transfer-Encoding: chunked'];

describe('a response', () => {
  test.each([
    ['206', 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab', 'ab'],
    ['304', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', ''],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
    ['307', 'HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n', ''],
    ['500', 'HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\noh!', 'oh!'],
    ['418', 'HTTP/1.1 418\r\nContent-Length: 0\r\n\r\n', ''],
    ['200', 'HTTP/1.0 200 OK\r\n\r\nuntil the end', 'until the end'],
    [
      '200',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
      'abc',
    ],
    [
      '200',
      'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx',
      'x',
    ],
  ])('%s comes back as it is: %j', async (status, bytes, body) => {
    setup.upstream.onHead = ({ socket }) => {
      socket.write(bytes);
      if (bytes.includes('HTTP/1.0')) socket.end();
    };
    const got = await setup.call(ada, 'GET', '/x', { headers: ['Range: bytes=0-1'] });
    expect([String(got.status), got.body.toString(), got.isComplete]).toEqual([status, body, true]);
    expect(setup.upstream.requests).toHaveLength(1);
    expect(setup.upstream.requests[0]!.header('range')).toBe('bytes=0-1');
  });

  test('keeps its content coding, and a HEAD its length', async () => {
    const packed = gzipSync('packed');
    setup.upstream.onHead = ({ socket, line }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`);
      if (!line.startsWith('HEAD')) socket.write(packed);
    };
    const got = await setup.call(ada, 'GET', '/x');
    expect([got.header('content-encoding'), got.body]).toEqual(['gzip', packed]);
    const call = setup.open(ada, 'HEAD', '/x');
    await call.until(/\r\n\r\n$/);
    expect(call.received()).toMatch(new RegExp(`content-length: ${packed.length}\r\n`, 'i'));
    call.socket.destroy();
  });

  test('comes piece by piece, its head before the first one', async () => {
    const asked = nextRequest();
    const call = setup.open(ada, 'GET', '/events', { headers: ['Accept: text/event-stream'] });
    const { socket } = await asked;
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
    await call.until(/text\/event-stream/);
    for (const n of [1, 2, 3]) {
      socket.write(`data: ${n}\n\n`);
      await call.until(new RegExp(`data: ${n}\n\n`));
    }
    socket.end();
    expect((await call.answer).isComplete).toBe(true);
    call.socket.destroy();
  });

  test.each([
    ['in the middle of its length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
    ['in the middle of its chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('that ends %s ends there for the caller, too', async (_, bytes) => {
    setup.upstream.onHead = ({ socket }) => socket.end(bytes);
    const call = setup.open(ada, 'GET', '/x');
    const got = await call.answer;
    expect([got.status, got.body.toString(), got.isComplete]).toEqual([200, 'half', false]);
  });

  test('that stops for too long ends', async () => {
    upstreamTimeouts.idleMs = 600;
    setup.upstream.onHead = ({ socket }) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    const call = setup.open(ada, 'GET', '/x');
    expect((await call.answer).isComplete).toBe(false);
    await setup.upstream.requests[0]!.closed;
  });
});

describe('no response', () => {
  test.each([
    ['closes the connection', 'upstream_unavailable', 503, ''],
    ['sends no HTTP', 'upstream_unavailable', 503, 'SSH-2.0-OpenSSH_9.9\r\n'],
    [
      'sends a length and chunks',
      'upstream_unavailable',
      503,
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'sends another coding',
      'upstream_unavailable',
      503,
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'switches the protocol',
      'upstream_unavailable',
      503,
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
    ],
    [
      'sends endless headers',
      'upstream_unavailable',
      503,
      `HTTP/1.1 200 OK\r\n${`X-Long: ${'a'.repeat(1_000)}\r\n`.repeat(40)}\r\n`,
    ],
  ])('where the API %s: %s', async (_, code, status, bytes) => {
    setup.upstream.onHead = ({ socket }) => void socket.end(bytes);
    const got = await setup.call(ada, 'GET', '/x');
    expect([got.status, json(got.body).code, got.header('valetkey-error')]).toEqual([status, code, '1']);
    expect(setup.upstream.requests).toHaveLength(1);
  });

  test('where it says nothing: upstream_timeout', async () => {
    upstreamTimeouts.firstByteMs = 400;
    setup.upstream.onHead = () => undefined;
    const got = await setup.call(ada, 'GET', '/x');
    expect([got.status, json(got.body).code]).toEqual([504, 'upstream_timeout']);
    expect(got.header('valetkey-attempts')).toBe('1');
    await setup.upstream.requests[0]!.closed;
  });
});

describe('a request', () => {
  test.each([10, 70_000, 3_000_000])('of %i bytes arrives with its length', async (size) => {
    const body = Buffer.alloc(size, 'x');
    setup.upstream.onHead = () => undefined;
    setup.upstream.onComplete = ({ socket }) => socket.write(answer());
    expect((await setup.call(ada, 'POST', '/x', { body })).status).toBe(200);
    const [got] = setup.upstream.requests;
    expect([got!.header('content-length'), got!.body.equals(body)]).toEqual([String(size), true]);
  });

  test('in chunks arrives in chunks, each as it comes', async () => {
    const asked = nextRequest();
    setup.upstream.onComplete = ({ socket }) => socket.write(answer());
    const call = setup.open(ada, 'PUT', '/x', { headers: CHUNKED });
    call.socket.write('3\r\nabc\r\n');
    const got = await asked;
    expect(got.header('transfer-encoding')).toBe('chunked');
    call.socket.write('2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n');
    expect((await call.answer).status).toBe(200);
    expect(got.body.toString()).toBe('abcde');
    expect(setup.upstream.bytes()).not.toContain('X-Trailer');
    call.socket.destroy();
  });

  test('that waits for 100 Continue gets it once it is allowed, and nothing before', async () => {
    setup.upstream.onHead = () => undefined;
    setup.upstream.onComplete = ({ socket }) => socket.write(answer());
    const expecting = ['Expect: 100-continue', 'Content-Length: 4'];
    const call = setup.open(ada, 'POST', '/x', { headers: expecting });
    await call.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    call.socket.write('body');
    expect((await call.answer).status).toBe(200);
    expect([setup.upstream.requests[0]!.header('expect'), setup.upstream.requests[0]!.body.toString()]).toEqual([
      undefined,
      'body',
    ]);
    call.socket.destroy();
    const refused = setup.open(ada, 'POST', '/..', { headers: expecting });
    expect((await refused.answer).status).toBe(400);
    expect(refused.received()).not.toContain('100 Continue');
    refused.socket.destroy();
  });

  test('that is answered while it is sent: the answer arrives, and the API is sent no more', async () => {
    setup.upstream.onHead = ({ socket }) =>
      void socket.end(answer('too large', { status: '413 Content Too Large', headers: ['Connection: close'] }));
    const call = setup.open(ada, 'POST', '/x', { headers: ['Content-Length: 100000000'] });
    call.socket.write(Buffer.alloc(100_000));
    const got = await call.answer;
    expect([got.status, got.body.toString()]).toEqual([413, 'too large']);
    await call.closed;
  });
});

test('a caller that takes nothing for too long loses its stream, and its place in the limits of the API', async () => {
  upstreamTimeouts.idleMs = 600;
  const asked = nextRequest();
  const call = setup.open(ada, 'GET', '/x');
  call.socket.pause();
  const { socket, closed } = await asked;
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n');
  const piece = Buffer.alloc(65_536, 'x');
  const more = () => {
    while (!socket.destroyed) if (!socket.write(piece)) return void socket.once('drain', more);
  };
  more();
  await closed;
  call.socket.destroy();
});
