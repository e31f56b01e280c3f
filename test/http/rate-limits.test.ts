// Rate limits of callers, and their headers.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';

let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker({ VALETKEY_RATE_LIMIT: '5/3600' });
});
afterAll(() => broker.stop());

const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
const create = async (more: Json = {}) =>
  expectOk(await broker.ask('POST', '/v1/callers', { name: 'a test', grants, ...more }), 201);
const look = (key: unknown) => broker.ask('GET', '/v1/whoami', undefined, String(key));
const limitHeaders = ({ headers }: Answer) => [headers.get('ratelimit-policy'), headers.get('ratelimit')];

test('rate limit: headers say how much is left; 429 with Retry-After above it', async () => {
  const { key } = await create();
  const first = await look(key);
  expect(expectOk(first).rate_limit).toEqual({ requests: 5, window: 3_600 });
  expect(limitHeaders(first)).toEqual(['"caller";q=5;w=3600', expect.stringMatching(/^"caller";r=4;t=3600$/)]);
  for (let left = 3; left >= 0; left--) {
    const [, limit] = limitHeaders(await broker.ask('GET', '/v1/nowhere', undefined, String(key)));
    expect(limit).toMatch(new RegExp(`^"caller";r=${left};t=3[56]\\d\\d$`));
  }
  const over = await look(key);
  expect(expectProblem(over, 429, 'rate_limited').limit).toEqual({ requests: 5, window: 3_600 });
  expect(limitHeaders(over)[1]).toMatch(/^"caller";r=0;t=\d+$/);
  expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(3_500);
});

test('rate limit: counts token reads and verifications', async () => {
  const { key } = await create({ rate_limit: { requests: 2, window: 60 } });
  const read = () => broker.ask('GET', '/v1/token?integration=x&owner=y', undefined, String(key));
  const verify = () => broker.ask('POST', '/v1/jwt/verify', { token: 'x' }, String(key));
  expectProblem(await read(), 404, 'not_found');
  expect(limitHeaders(await verify())).toEqual([
    '"caller";q=2;w=60',
    expect.stringMatching(/^"caller";r=0;t=(60|5\d)$/),
  ]);
  expectProblem(await read(), 429, 'rate_limited');
  expectProblem(await verify(), 429, 'rate_limited');
});

test('rate limit: per caller, all of its keys together', async () => {
  const { id, key } = await create({ rate_limit: { requests: 2, window: 60 } });
  const second = expectOk(await broker.ask('POST', `/v1/callers/${id}/keys`), 201);
  const other = await create({ rate_limit: { requests: 2, window: 60 } });
  expectOk(await look(key));
  expectOk(await look(second.key));
  expectProblem(await look(key), 429, 'rate_limited');
  expectOk(await look(other.key));
});

test("rate limit: the caller's own replaces the default; none for the admin key", async () => {
  const { id, key } = await create({ rate_limit: { requests: 1, window: 60 } });
  expectOk(await look(key));
  expectProblem(await look(key), 429, 'rate_limited');
  expectOk(await broker.ask('PUT', `/v1/callers/${id}`, { name: 'a test', grants }));
  expect(limitHeaders(await look(key))[0]).toBe('"caller";q=5;w=3600');
  for (let i = 0; i < 10; i++) expect(limitHeaders(await look(broker.adminKey))).toEqual([null, null]);
});

test('rate limit: no headers without one', async () => {
  const free = await startTestBroker();
  try {
    const key = await free.callerKey();
    const answer = await free.ask('GET', '/v1/whoami', undefined, key);
    expect(expectOk(answer).rate_limit).toBeNull();
    expect(limitHeaders(answer)).toEqual([null, null]);
  } finally {
    await free.stop();
  }
});

test('rate limit: 400 that names each invalid member', async () => {
  const ask = (rate_limit: Json) => broker.ask('POST', '/v1/callers', { name: 'x', grants, rate_limit });
  expectIssues(await ask({ requests: 0, window: 60 }), 'rate_limit.requests');
  expectIssues(await ask({ requests: 1, window: 0 }), 'rate_limit.window');
  await expect(startTestBroker({ VALETKEY_RATE_LIMIT: '100' })).rejects.toThrow(
    /VALETKEY_RATE_LIMIT: requests\/seconds/,
  );
});
