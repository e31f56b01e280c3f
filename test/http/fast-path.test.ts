// The fast path and the framework: the same request in a plain and in an encoded form has the same answer, and counts once.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';

let testSetup: TestSetup;
let key: string;
const owner = newOwner();
let id: string;
let revoked: string;
beforeAll(async () => {
  testSetup = await startTestSetup();
  id = await testSetup.importConnection(owner, {
    access_token: 'at',
    expires_at: testSetup.inSeconds(3_600),
    scopes: ['cal'],
  });
  const tombstone = newOwner();
  revoked = await testSetup.importConnection(tombstone, { access_token: 'at', scopes: ['cal'] });
  expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${revoked}`));
  for (const label of ['a', 'b']) await testSetup.importConnection('two', { access_token: 'at' }, { label });
  const grants = [{ actions: ['token'], integrations: ['acme', 'other'], owners: ['*'], scopes: ['cal', 'openid'] }];
  key = String(expectOk(await testSetup.broker.ask('POST', '/v1/callers', { name: 'a test', grants }), 201).key);
});
afterAll(() => testSetup.close());

interface Received {
  status: number;
  headers: Record<string, string>;
  body: string;
}

async function send(method: string, path: string, as: string, body?: string): Promise<Received> {
  const response = await fetch(new URL(path, testSetup.broker.url), {
    method,
    headers: {
      authorization: `Bearer ${as}`,
      'x-request-id': 'trace-1',
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body }),
  });
  const { date: _, 'keep-alive': __, 'x-request-id': id = '', ...headers } = Object.fromEntries(response.headers);
  const text = (await response.text()).replaceAll(id, '<id>');
  return { status: response.status, headers, body: text.replace(/"expires_in":\d+/, '"expires_in":0') };
}

/** Percent-encodes the first letter of the last value: the fast path leaves that to the framework. */
const encoded = (path: string) =>
  path.includes('owner=')
    ? path.replace(/owner=(.)/, (_, letter: string) => `owner=%${letter.charCodeAt(0).toString(16)}`)
    : path.replace('/connections/c', '/connections/%63');

const limited = async (): Promise<string> => {
  const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['nobody'] }];
  return String(expectOk(await testSetup.broker.ask('POST', '/v1/callers', { name: 'b', grants }), 201).key);
};

describe('token read on the fast path', () => {
  it.each<[string, () => string, number]>([
    ['a token by id', () => `/v1/connections/${id}/token`, 200],
    ['a token by owner', () => `/v1/token?integration=acme&owner=${owner}`, 200],
    ['a token with a min_ttl', () => `/v1/connections/${id}/token?min_ttl=10`, 200],
    ['an unknown id', () => '/v1/connections/con_nothing/token', 404],
    ['an unknown owner', () => '/v1/token?integration=acme&owner=nobody', 404],
    ['a revoked connection', () => `/v1/connections/${revoked}/token`, 410],
    ['several connections', () => '/v1/token?integration=acme&owner=two', 409],
    ['an integration beyond the grants', () => '/v1/token?integration=foreign&owner=user_1', 404],
    ['an owner that is a pattern', () => '/v1/token?integration=acme&owner=u*', 400],
    ['an integration that is no slug', () => '/v1/token?integration=ACME&owner=user_1', 400],
    ['an unknown parameter without a value', () => `/v1/token?integration=acme&owner=${owner}&labelx`, 200],
    ['an owner without a value', () => '/v1/token?integration=acme&ownerx', 400],
    ['a parameter twice', () => '/v1/token?integration=acme&integration=other&owner=user_1', 400],
  ])('%s: the same status, headers and body as the framework', async (_, path, status) => {
    // Twice: from the store, then from memory.
    for (let i = 0; i < 2; i++) {
      const [fast, framework] = [await send('GET', path(), key), await send('GET', encoded(path()), key)];
      expect(fast).toEqual(framework);
      expect(fast.status).toBe(status);
    }
  });

  it('counts and audits a refusal once', async () => {
    const path = `/v1/token?integration=acme&owner=${owner}`;
    const stranger = await limited();
    const before = await requests('/v1/token', 404);
    expectProblem(await testSetup.broker.ask('GET', path, undefined, stranger), 404, 'not_found');
    expect((await requests('/v1/token', 404)) - before).toBe(1);
    const { data } = expectOk(await testSetup.broker.ask('GET', `/v1/audit?owner=${owner}&outcome=denied`));
    expect((data as Json[]).map(({ action, count }) => [action, count])).toEqual([['access.denied', 1]]);
  });
});

describe('probes on the fast path', () => {
  it.each(['/healthz', '/readyz', '/metrics'])('%s: the same answer as the framework, counted once', async (path) => {
    const before = await requests(path, 200);
    const fast = await send('GET', path, key);
    expect((await requests(path, 200)) - before).toBe(path === '/metrics' ? 2 : 1);
    // A query leaves it to the framework.
    const framework = await send('GET', `${path}?x`, key);
    if (path === '/metrics') for (const { headers } of [fast, framework]) delete headers['content-length'];
    const told = ({ body, ...others }: Received) => ({
      ...others,
      body: path === '/metrics' ? body.split(' ')[0] : body,
    });
    expect(told(fast)).toEqual(told(framework));
    expect(fast.status).toBe(200);
  });
});

describe('JWT verification on the fast path', () => {
  const request = '{"token":"not a JWT"}';
  it('the same refusal as the framework, counted and audited once', async () => {
    const route = '/v1/jwt/verify';
    const before = await requests(route, 403);
    const fast = await send('POST', route, key, request);
    expect(fast.status).toBe(403);
    expect((await requests(route, 403)) - before).toBe(1);
    const query = '/v1/audit?action=access.denied&limit=1';
    expect(expectOk(await testSetup.broker.ask('GET', query)).data).toMatchObject([
      { count: 1, detail: 'no grant for jwt:verify' },
    ]);
    // A query leaves it to the framework.
    expect(await send('POST', `${route}?x`, key, request)).toEqual(fast);
  });
});

/** Requests to a route with this status, as the metrics count them. */
async function requests(route: string, status: number): Promise<number> {
  const text = await (await fetch(new URL('/metrics', testSetup.broker.url))).text();
  const line = text
    .split('\n')
    .find(
      (one) =>
        one.startsWith('valetkey_http_requests_total') &&
        one.includes(`route="${route}"`) &&
        one.includes(`status="${status}"`),
    );
  return line === undefined ? 0 : Number(line.split(' ').at(-1));
}
