// An admin passes on nothing that it does not have itself, by whatever way; and a grant may bound forced refreshes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk, expectProblem } from '../support/contract.ts';

let testSetup: TestSetup;
let admin: string;
let adminId: string;
beforeAll(async () => {
  testSetup = await startTestSetup({}, undefined, { trusted_issuers: [{ issuer: WORKLOAD.issuer }] });
  const own = expectOk(
    await testSetup.broker.ask('POST', '/v1/callers', {
      name: 'deployer',
      grants: [
        { actions: ['admin', 'connections:read'], integrations: ['*'], owners: ['*'] },
        { actions: ['token'], integrations: ['acme'], owners: ['team:a:*'], scopes: ['read:*'], max_min_ttl: 60 },
      ],
    }),
    201,
  );
  [admin, adminId] = [String(own.key), String(own.id)];
});
afterAll(() => testSetup.close());

const ask = (method: string, path: string, body?: unknown, key?: string) =>
  testSetup.broker.ask(method, path, body, key);
const grant = (more: Json = {}): Json => ({
  actions: ['token'],
  integrations: ['acme'],
  owners: ['team:a:1'],
  ...more,
});
const within = { scopes: ['read:mail'], max_min_ttl: 60 };

const TOO_WIDE: [string, Json][] = [
  ['token of all owners', grant({ ...within, owners: ['*'] })],
  ['token of another owner', grant({ ...within, owners: ['team:b:1'] })],
  ['a shorter prefix of owners', grant({ ...within, owners: ['team:a*'] })],
  ['one owner too many', grant({ ...within, owners: ['team:a:1', 'team:b:1'] })],
  ['another integration', grant({ ...within, integrations: ['other'] })],
  ['all integrations', grant({ ...within, integrations: ['*'] })],
  ['every action', grant({ ...within, actions: ['*'] })],
  ['another action', grant({ ...within, actions: ['token', 'connections:write'] })],
  ['any scope', grant({ max_min_ttl: 60 })],
  ['another scope', grant({ max_min_ttl: 60, scopes: ['read:mail', 'write'] })],
  ['all scopes', grant({ max_min_ttl: 60, scopes: ['*'] })],
  ['any min_ttl', grant({ scopes: ['read:mail'] })],
  ['a longer min_ttl', grant({ scopes: ['read:mail'], max_min_ttl: 61 })],
];
const WORKLOAD = { issuer: 'https://issuer.example', audience: 'valetkey', claims: { sub: 'x' } };

describe('an admin without token', () => {
  test.each(TOO_WIDE)('creates no caller with %s', async (_, wanted) => {
    const answer = await ask('POST', '/v1/callers', { name: 'wide', grants: [wanted] }, admin);
    expectProblem(answer, 403, 'forbidden');
    const declared = { callers: [{ name: 'wide', key: `vk_${'x'.repeat(40)}`, grants: [wanted] }] };
    expectProblem(await ask('POST', '/v1/apply', declared, admin), 403, 'forbidden');
    const self = { name: 'deployer', grants: [{ actions: ['admin'], integrations: ['*'], owners: ['*'] }, wanted] };
    expectProblem(await ask('PUT', `/v1/callers/${adminId}`, self, admin), 403, 'forbidden');
  });

  test('creates callers with what it has itself', async () => {
    for (const wanted of [
      grant(within),
      grant({ ...within, owners: ['team:a:*'], max_min_ttl: 0 }),
      grant({ actions: ['admin'] }),
    ])
      expectOk(await ask('POST', '/v1/callers', { name: 'narrow', grants: [wanted] }, admin), 201);
  });

  test('gets no key, no binding and no wider grant of a caller that has more', async () => {
    const wide = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
    const other = expectOk(await ask('POST', '/v1/callers', { name: 'other', grants: wide }), 201);
    const path = `/v1/callers/${other.id}`;
    expectProblem(await ask('POST', `${path}/keys`, {}, admin), 403, 'forbidden');
    const bound = { name: 'other', grants: wide, workloads: [WORKLOAD] };
    expectProblem(await ask('PUT', path, bound, admin), 403, 'forbidden');
    const declared = { id: other.id, name: 'other', grants: wide };
    const newKey = { callers: [{ ...declared, key: `vk_${'y'.repeat(40)}` }] };
    expectProblem(await ask('POST', '/v1/apply', newKey, admin), 403, 'forbidden');
    // Not even where the same declaration takes the grants away, which would be given back after.
    const narrowed = { callers: [{ ...declared, grants: [], key: `vk_${'z'.repeat(40)}` }] };
    expectProblem(await ask('POST', '/v1/apply', narrowed, admin), 403, 'forbidden');
    expectProblem(
      await ask('PUT', path, { name: 'other', grants: [...wide, grant({ actions: ['proxy'] })] }, admin),
      403,
      'forbidden',
    );
    // What is there may stay, and may be taken away.
    expectOk(await ask('PUT', path, { name: 'renamed', grants: wide }, admin));
    expectOk(await ask('PUT', path, { name: 'renamed', grants: [] }, admin));
    expectProblem(await ask('PUT', path, { name: 'renamed', grants: wide }, admin), 403, 'forbidden');
    expect((await ask('DELETE', path, undefined, admin)).status).toBe(204);
  });

  test('has a binding of a caller that has more take no older tokens', async () => {
    const wide = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
    const caller = (max_age?: number) => ({
      name: 'bound',
      grants: wide,
      workloads: [{ ...WORKLOAD, ...(max_age !== undefined && { max_age }) }],
    });
    const { id } = expectOk(await ask('POST', '/v1/callers', caller(60)), 201);
    const put = (max_age?: number) => ask('PUT', `/v1/callers/${id}`, caller(max_age), admin);
    expectProblem(await put(61), 403, 'forbidden');
    expectProblem(await put(), 403, 'forbidden');
    expectProblem(await ask('POST', '/v1/apply', { callers: [{ id, ...caller(61) }] }, admin), 403, 'forbidden');
    expectOk(await put(60));
    expectOk(await put(59));
  });

  test('is refused in the audit log, by what is missing', async () => {
    await ask('POST', '/v1/callers', { name: 'wide', grants: [grant({ owners: ['team:c:1'] })] }, admin);
    const { data } = expectOk(await ask('GET', `/v1/audit?actor=${adminId}&action=access.denied&limit=200`));
    expect(data).toContainEqual(expect.objectContaining({ outcome: 'denied', owner: 'team:c:1', integration: 'acme' }));
  });
});

test('a grant with max_refreshes: 429 after so many forced refreshes, until the window ends', async () => {
  const { broker, importConnection, advance, refreshCount } = testSetup;
  const id = await importConnection('bounded');
  const limit = { requests: 2, window: 60 };
  const grants = [{ ...grant({ owners: ['*'] }), max_refreshes: limit }];
  const caller = expectOk(await broker.ask('POST', '/v1/callers', { name: 'bounded', grants }), 201);
  const refresh = () => ask('POST', `/v1/connections/${id}/refresh`, {}, String(caller.key));
  const before = refreshCount();
  expectOk(await refresh());
  expectOk(await refresh());
  const refused = await refresh();
  expectProblem(refused, 429, 'rate_limited');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refreshCount() - before).toBe(2);
  // Reads are not bounded by it.
  expectOk(await ask('GET', `/v1/connections/${id}/token`, undefined, String(caller.key)));
  advance(60_000);
  expectOk(await refresh());
});
