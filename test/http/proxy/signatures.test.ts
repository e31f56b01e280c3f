// AWS Signature Version 4 of proxied calls, checked by code of the test's own.
import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { answer, type ReceivedRequest } from '../../support/byte-upstream.ts';
import { type ProxySetup, startProxySetup } from '../../support/proxy-setup.ts';

const KEYS = {
  access_key_id: 'AKIAIOSFODNN7EXAMPLE',
  secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  session_token: 'a/session+token==',
};

let setup: ProxySetup;
beforeAll(async () => {
  setup = await startProxySetup();
  const { status } = await setup.broker.ask('PUT', '/v1/integrations/storage', {
    provider: 'acme-aws',
    params: { service: 's3' },
  });
  expect(status).toBe(201);
});
afterAll(() => setup.close());
beforeEach(() => {
  setup.upstream.reset();
  setup.upstream.onHead = () => undefined;
  setup.upstream.onComplete = ({ socket }) => socket.write(answer());
});

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();
const encoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** By the documentation of Signature Version 4: what the signature of a request has to be. */
function signatureOf(request: ReceivedRequest, service: string, region: string): string {
  const [method = '', target = ''] = request.line.split(' ');
  const [path = '', query = ''] = target.split('?');
  const [, signed = ''] = /SignedHeaders=([^,]+)/.exec(request.header('authorization') ?? '') ?? [];
  const pairs =
    query === ''
      ? []
      : query.split('&').map((pair) => pair.split('=').map((part) => encoded(decodeURIComponent(part))));
  const canonicalQuery = pairs
    .map(([name = '', value = '']) => `${name}=${value}`)
    .sort()
    .join('&');
  // Every service but S3 encodes the path once more.
  const segments = path.split('/');
  const canonicalPath = (
    service === 's3' ? segments.map((one) => encoded(decodeURIComponent(one))) : segments.map(encoded)
  ).join('/');
  const headers = signed
    .split(';')
    .map(
      (name) =>
        `${name}:${(request.headers.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value.trim().replace(/\s+/g, ' '))).join(', ')}\n`,
    );
  const payload = request.header('x-amz-content-sha256') ?? sha256(request.body);
  const canonical = [method, canonicalPath, canonicalQuery, headers.join(''), signed, payload].join('\n');
  const at = request.header('x-amz-date')!;
  const scope = `${at.slice(0, 8)}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', at, scope, sha256(canonical)].join('\n');
  const key = ['aws4_request', service, region, at.slice(0, 8)].reduceRight<string | Buffer>(
    (k, part) => hmac(k, part),
    `AWS4${KEYS.secret_access_key}`,
  );
  return hmac(key, toSign).toString('hex');
}

const sentSignature = (request: ReceivedRequest) =>
  /Signature=([0-9a-f]{64})$/.exec(request.header('authorization') ?? '')?.[1];

test.each([
  ['GET', '/tables?limit=10&after=a%20b&b=1%2B1', ''],
  ['GET', '/a%20b/c~d%2Fe', ''],
  ['POST', '/', '{"TableName":"a"}'],
  ['DELETE', '/things/1?z=1&a=2&a=1&empty=', ''],
  ['PUT', '/x?plus=a+b', 'body'],
])('%s %s with the body %j is signed as a whole', async (method, target, body) => {
  const id = await setup.connect('aws', `${method}${target}`.replace(/\W/g, '_'), KEYS);
  const headers = [
    'X-Amz-Target: DynamoDB_20120810.ListTables',
    'X-Amz-Date: 20000101T000000Z',
    'Authorization-X: a',
    'X-Spaced:  a   b ',
  ];
  const { status } = await setup.call(id, method, target, { headers, ...(body !== '' && { body }) });
  expect(status).toBe(200);
  const [request] = setup.upstream.requests;
  expect(request!.body.toString()).toBe(body);
  expect(request!.header('x-amz-security-token')).toBe(KEYS.session_token);
  expect(request!.header('authorization')).toContain(`Credential=${KEYS.access_key_id}/`);
  expect(request!.header('authorization')).toContain('x-amz-target');
  expect(sentSignature(request!)).toBe(signatureOf(request!, 'dynamodb', 'eu-west-1'));
  expect(setup.upstream.bytes()).not.toContain(KEYS.secret_access_key);
});

test('a stream to S3 is not signed, and not kept', async () => {
  const id = await setup.connect('storage', 'ada', KEYS);
  const body = Buffer.alloc(300_000, 'x');
  const { status } = await setup.call(id, 'PUT', '/bucket/key%20name', { body });
  expect(status).toBe(200);
  const [request] = setup.upstream.requests;
  expect([request!.header('x-amz-content-sha256'), request!.header('content-length')]).toEqual([
    'UNSIGNED-PAYLOAD',
    '300000',
  ]);
  expect(request!.body.equals(body)).toBe(true);
  expect(sentSignature(request!)).toBe(signatureOf(request!, 's3', 'eu-west-1'));
});

test('a body in small pieces is signed as a whole, and the same one is sent again', async () => {
  const id = await setup.connect('aws', 'retried', KEYS);
  const pieces = ['a', 'b'.repeat(3), 'c'.repeat(70_000)];
  let answered = 0;
  setup.upstream.onComplete = ({ socket }) =>
    socket.write(answer('', { status: answered++ === 0 ? '503 Service Unavailable' : '200 OK' }));
  const call = setup.open(id, 'PUT', '/x', { headers: ['Valetkey-Retry: 1', 'Transfer-Encoding: chunked'] });
  for (const piece of pieces) call.socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
  call.socket.write('0\r\n\r\n');
  const { status, header } = await call.answer;
  call.socket.destroy();
  expect([status, header('valetkey-attempts')]).toEqual([200, '2']);
  for (const request of setup.upstream.requests) {
    expect(request.body.toString()).toBe(pieces.join(''));
    expect(sentSignature(request)).toBe(signatureOf(request, 'dynamodb', 'eu-west-1'));
  }
});

test('bodies that are signed have a bounded memory: one more waits until another has ended', async () => {
  const id = await setup.connect('aws', 'held', KEYS);
  const large = (sent: string) => {
    const call = setup.open(id, 'PUT', '/x', { headers: [`Content-Length: ${8 * 1_024 * 1_024}`] });
    call.socket.write(sent);
    return call;
  };
  // Half of what there is: the share of one caller.
  const stalled = Array.from({ length: 4 }, () => large('stalls'));
  const small = { headers: ['Content-Length: 100000'] };
  const next = setup.open(id, 'PUT', '/y', small);
  next.socket.write('x'.repeat(100_000));
  // One without a body to be held passes.
  expect((await setup.call(id, 'GET', '/z')).status).toBe(200);
  expect(setup.upstream.requests.map(({ line }) => line)).toEqual([expect.stringContaining('/z')]);
  stalled[0]!.socket.destroy();
  expect((await next.answer).status).toBe(200);
  for (const call of [...stalled, next]) call.socket.destroy();
});
