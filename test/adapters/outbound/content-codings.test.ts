// Response bodies in every content coding and character encoding, from a real server.
import { randomBytes } from 'node:crypto';
import * as zlib from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOutbound, type Outbound, OutboundError } from '../../../src/adapters/outbound/outbound.ts';
import { type RawServer, startRawServer } from '../../support/raw-server.ts';

const LIMIT = 1_000_000;
const BODY = JSON.stringify({
  access_token: 'ä-token',
  filler: 'x'.repeat(500),
  noise: randomBytes(3_000).toString('hex'),
});

let server: RawServer;
let outbound: Outbound;
beforeAll(async () => {
  server = await startRawServer();
  outbound = createOutbound({ allow: ['127.0.0.1'] });
});
afterAll(async () => {
  await outbound.close();
  await server.close();
});

async function received(body: Uint8Array | string, headers: Record<string, string | string[]>) {
  server.answer = (res) => res.writeHead(200, headers).end(body);
  return outbound(server.url);
}

async function failure(body: Uint8Array | string, headers: Record<string, string | string[]>): Promise<OutboundError> {
  const error: unknown = await received(body, headers).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OutboundError)) throw new Error(`expected an OutboundError, got ${error}`);
  return error;
}

const QUICK = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } };
const { gzipSync, deflateSync, deflateRawSync, brotliCompressSync, zstdCompressSync } = zlib;

describe('content coding', () => {
  test.each<[string, (body: string) => Uint8Array | string]>([
    ['gzip', gzipSync],
    ['GZip', gzipSync],
    [' gzip ', gzipSync],
    ['x-gzip', gzipSync],
    ['X-GZIP', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
    ['BR', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['gzip, br', (body) => brotliCompressSync(gzipSync(body))],
    ['br , GZIP', (body) => gzipSync(brotliCompressSync(body))],
    ['gzip,,identity', gzipSync],
    ['gzip, gzip, gzip, gzip', (body) => gzipSync(gzipSync(gzipSync(gzipSync(body))))],
    // The header is wrong, or says less than was done.
    ['', (body) => body],
    ['identity', (body) => body],
    ['IDENTITY', (body) => body],
    ['utf-8', (body) => body],
    ['none', (body) => body],
    ['gzip', (body) => body],
    ['deflate', (body) => body],
    ['br', (body) => body],
    ['zstd', (body) => body],
    ['gzip, br', gzipSync],
    ['br', gzipSync],
    ['gzip', (body) => gzipSync(gzipSync(body))],
    ['utf-8', gzipSync],
    ['binary, gzip', gzipSync],
  ])('%j is decoded (%#)', async (coding, encode) => {
    const response = await received(encode(BODY), { 'content-encoding': coding });
    expect(await response.text()).toBe(BODY);
    expect(await response.json()).toMatchObject({ access_token: 'ä-token' });
    expect(response.isPartial).toBe(false);
  });

  test('in two header fields is decoded', async () => {
    const body = brotliCompressSync(gzipSync(BODY));
    expect(await (await received(body, { 'content-encoding': ['gzip', 'br'] })).text()).toBe(BODY);
  });

  test('that no header names is decoded', async () => {
    expect(await (await received(gzipSync(BODY), {})).text()).toBe(BODY);
    expect(await (await received(zstdCompressSync(BODY), {})).text()).toBe(BODY);
  });

  test('of an empty body', async () => {
    expect(await (await received('', { 'content-encoding': 'gzip' })).text()).toBe('');
    server.answer = (res) => res.writeHead(204, { 'content-encoding': 'br' }).end();
    expect((await outbound(server.url)).status).toBe(204);
  });

  test.each<[string, (body: string) => Uint8Array]>([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', (body) => brotliCompressSync(body, QUICK)],
    ['zstd', zstdCompressSync],
  ])('%s that ends early: what could be decoded is there (%#)', async (coding, encode) => {
    // Enough for several blocks, so that none of the codings keeps everything back.
    const long = JSON.stringify({ noise: randomBytes(300_000).toString('hex') });
    const whole = encode(long);
    const response = await received(whole.subarray(0, whole.length - 10), { 'content-encoding': coding });
    expect(response.isPartial).toBe(true);
    const text = await response.text();
    expect(text.length).toBeGreaterThan(100_000);
    expect(long.startsWith(text)).toBe(true);
  });

  test('with a wrong checksum: the body is there', async () => {
    const body = gzipSync(BODY);
    body[body.length - 6]! ^= 0xff;
    const response = await received(body, { 'content-encoding': 'gzip' });
    expect(await response.text()).toBe(BODY);
    expect(response.isPartial).toBe(true);
  });
});

describe('decompression bomb', () => {
  const zeros = Buffer.alloc(200_000_000);
  test.each<[string, Uint8Array]>([
    ['gzip', gzipSync(zeros)],
    ['deflate', deflateSync(zeros)],
    ['br', brotliCompressSync(zeros, QUICK)],
    ['zstd', zstdCompressSync(zeros)],
    ['gzip, gzip', gzipSync(gzipSync(zeros))],
    ['x, gzip, gzip', gzipSync(gzipSync(zeros))],
  ])('%s is decoded up to the limit', async (coding, bomb) => {
    expect(bomb.length).toBeLessThan(LIMIT);
    const before = process.memoryUsage.rss();
    const error = await failure(bomb, { 'content-encoding': coding });
    expect(error).toMatchObject({ code: 'too_large', sent: true });
    expect((await error.received!.text()).length).toBe(LIMIT);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000);
  });

  test('codings beyond four are not decoded', async () => {
    let body: Uint8Array = gzipSync(BODY);
    for (let n = 1; n < 5; n++) body = gzipSync(body);
    expect(await (await received(body, { 'content-encoding': 'gzip,gzip,gzip,gzip,gzip' })).text()).not.toBe(BODY);
    const many = Array.from({ length: 1_000 }, () => 'gzip').join(',');
    expect(await (await received(BODY, { 'content-encoding': many })).text()).toBe(BODY);
  });

  test('a Zstandard window that needs gigabytes is refused', async () => {
    // Magic number; a frame header that asks for a window of 2 GB (RFC 8878 3.1.1).
    const body = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x0b, 0x00, 0x00, 0x61]);
    expect((await received(body, { 'content-encoding': 'zstd' })).status).toBe(200);
  });
});

describe('body whose end is missing', () => {
  test('is in the error, for a status 2xx', async () => {
    server.answer = (res) => {
      res.writeHead(200, { 'content-length': '500' });
      res.write('{"access_token":"a"}', () => res.destroy());
    };
    const error: unknown = await outbound(server.url).catch((thrown: unknown) => thrown);
    if (!(error instanceof OutboundError)) throw error;
    expect(error).toMatchObject({ code: 'network', sent: true });
    expect(error.received!.isPartial).toBe(true);
    expect(await error.received!.json()).toEqual({ access_token: 'a' });
  });

  test('is in the error of the deadline', async () => {
    server.answer = (res) => {
      res.writeHead(200, { 'content-encoding': 'gzip' });
      res.write(gzipSync('{"access_token":"a"}'));
    };
    const error: unknown = await outbound(server.url, { timeoutMs: 200 }).catch((thrown: unknown) => thrown);
    if (!(error instanceof OutboundError)) throw error;
    expect(error.code).toBe('timeout');
    expect(await error.received!.json()).toEqual({ access_token: 'a' });
  });

  test('is not kept for other statuses', async () => {
    server.answer = (res) => res.writeHead(500).end('x'.repeat(LIMIT + 1));
    const error: unknown = await outbound(server.url).catch((thrown: unknown) => thrown);
    expect((error as OutboundError).received).toBeUndefined();
  });
});

describe('character encoding', () => {
  const text = '{"access_token":"ä","who":"Ünï"}';
  const utf16be = Buffer.from(text, 'utf16le').swap16();
  test.each<[string, Uint8Array, string]>([
    ['UTF-8', Buffer.from(text), 'application/json'],
    ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${text}`), 'application/json'],
    ['UTF-8, announced as Latin-1', Buffer.from(text), 'application/json; charset=iso-8859-1'],
    ['Latin-1', Buffer.from(text, 'latin1'), 'text/plain; charset="ISO-8859-1"'],
    ['UTF-16 with a byte order mark', Buffer.from(`\ufeff${text}`, 'utf16le'), 'application/json'],
    ['UTF-16 without one', Buffer.from(text, 'utf16le'), 'application/json;charset=utf-16'],
    ['big-endian UTF-16', Buffer.concat([Buffer.from([0xfe, 0xff]), utf16be]), 'text/html'],
    ['big-endian UTF-16 without a byte order mark', utf16be, 'application/json'],
    ['UTF-8 with an unknown charset', Buffer.from(text), 'application/json; charset=wat'],
  ])('%s', async (_, body, type) => {
    expect(await (await received(body, { 'content-type': type })).text()).toBe(text);
  });
});
