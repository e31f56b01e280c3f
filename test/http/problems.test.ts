// Malformed requests: what the broker answers.
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../support/broker.ts';
import { readResponse, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(() => broker.stop());

/** As the admin, with a raw body. */
async function send(
  method: string,
  path: string,
  body?: string | ReadableStream,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<Answer> {
  const response = await fetch(new URL(path, broker.url), {
    method,
    headers: { authorization: `Bearer ${broker.adminKey}`, ...headers },
    ...(body !== undefined && { body, duplex: 'half' }),
  });
  return readResponse(method, path, response);
}
const caller = JSON.stringify({ name: 'x', grants: [] });

test.each(['{', '{"name": "x",}', 'name=x', '"\ud800', ''])('malformed JSON: 400: %j', async (body) => {
  expectProblem(await send('POST', '/v1/callers', body), 400, 'invalid_request');
});

test.each(['[]', '"text"', '7', 'null'])('JSON that is not an object: 400: %s', async (body) => {
  expectProblem(await send('POST', '/v1/callers', body), 400, 'invalid_request');
});

test('missing body: 400 that names what is missing', async () => {
  expectIssues(await send('POST', '/v1/callers', undefined, {}), 'grants', 'name');
});

test('unknown and invalid fields: 400 that names all of them, without their values', async () => {
  const body = {
    name: 7,
    grants: [{ actions: ['token'], integrations: ['*'], owner: ['a-secret-by-mistake'] }],
    secret: 'x',
  };
  const answer = await send('POST', '/v1/callers', JSON.stringify(body));
  expectIssues(answer, 'grants.0.owner', 'grants.0.owners', 'name', 'secret');
  expect(JSON.stringify(answer.body)).not.toContain('a-secret-by-mistake');
});

describe('content type', () => {
  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'multipart/form-data; boundary=x',
    'application/json, text/plain',
    'application/json; charset',
    'application/json charset=utf-8',
    'application/json-seq',
  ])('415 for %s', async (type) => {
    expectProblem(await send('POST', '/v1/callers', caller, { 'content-type': type }), 415, 'unsupported_media_type');
  });

  test('415 without one', async () => {
    const body = new Blob([caller]).stream();
    expectProblem(await send('POST', '/v1/callers', body, {}), 415, 'unsupported_media_type');
  });

  test.each([
    'application/json; charset=utf-8',
    'application/json;charset="utf-8"; q=1',
    'APPLICATION/JSON',
    'application/vnd.acme+json',
    'application/vnd.acme.v1+json',
  ])('%s is JSON', async (type) => {
    expectOk(await send('POST', '/v1/callers', caller, { 'content-type': type }), 201);
  });
});

describe('too large body: 413', () => {
  const large = JSON.stringify({ name: 'x'.repeat(200_000), grants: [] });

  test('with a Content-Length', async () => {
    expectProblem(await send('POST', '/v1/callers', large), 413, 'payload_too_large');
  });

  test('in chunks', async () => {
    const body = new Blob([large]).stream();
    expectProblem(await send('POST', '/v1/callers', body), 413, 'payload_too_large');
  });

  test('the next request is answered', async () => {
    expectOk(await send('GET', '/v1/callers', undefined, {}));
  });
});

test('unknown path: 404 for every method', async () => {
  for (const [method, path] of [
    ['GET', '/v1/nothing'],
    ['GET', '/v1'],
    ['GET', '/v1/callers/clr_x/keys'],
    ['PATCH', '/v1/callers'],
    ['DELETE', '/v1/token'],
    ['PUT', '/healthz'],
  ] as const)
    expectProblem(await send(method, path, undefined, {}), 404, 'not_found');
  expectProblem(await send('GET', '/nothing', undefined, {}), 404, 'not_found');
});

test('unknown path under /v1: 401 without a key', async () => {
  for (const path of ['/v1/nothing', '/v1/callers'])
    expectProblem(await send('GET', path, undefined, { authorization: 'Bearer no' }), 401, 'unauthenticated');
});

test('nonsensical paths: answered', async () => {
  for (const path of [
    '/v1/connections/%E0%A4%A/token',
    '/v1/connections/..%2f..%2fetc',
    '/v1/connections/%00',
    `/v1/connections/${'x'.repeat(5_000)}`,
  ])
    expectProblem(await send('GET', path, undefined, {}), 404, 'not_found');
  expectOk(await send('GET', '/v1/callers', undefined, {}));
});

test('request id: in every answer, ours whatever the client sends', async () => {
  for (const sent of ['trace-42', 'a b;"\t', '0'.repeat(300)]) {
    const answer = await send('GET', '/v1/nothing', undefined, { 'x-request-id': sent });
    expect(expectProblem(answer, 404, 'not_found').request_id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  }
  const [a, b] = [await send('GET', '/v1/callers', undefined, {}), await send('GET', '/v1/callers', undefined, {})];
  expect(a.headers.get('x-request-id')).not.toBe(b.headers.get('x-request-id'));
});

test('HEAD: like GET without a body', async () => {
  const { status, headers } = await fetch(new URL('/v1/callers', broker.url), {
    method: 'HEAD',
    headers: { authorization: `Bearer ${broker.adminKey}` },
  });
  expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
});

test('not HTTP: 400, and the next request is answered', async () => {
  const socket = connect(Number(new URL(broker.url).port), '127.0.0.1');
  socket.end('nonsense\r\n\r\n');
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /);
  expectOk(await send('GET', '/v1/callers', undefined, {}));
});
