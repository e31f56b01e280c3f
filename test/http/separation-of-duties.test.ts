// An admin passes on nothing that it does not have itself, by whatever way; and a grant may bound forced refreshes.
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, type Json, startTestBroker } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectOk, expectProblem } from '../support/contract.ts';

/** The SQLite file is locked by a test. */
const usesPostgres = process.env.VALETKEY_TEST_STORE === 'postgres';

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

  test('has no key of a caller that has more live longer than it was given', async () => {
    const grants = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
    const made = { name: 'short', grants, key_expires_at: new Date(Date.now() + 60_000).toISOString() };
    const { id, key } = expectOk(await ask('POST', '/v1/callers', made), 201);
    const declared = { callers: [{ id, name: 'renamed', grants, key }] };
    expectProblem(await ask('POST', '/v1/apply', declared, admin), 403, 'forbidden');
    const [stored] = expectOk(await ask('GET', `/v1/callers/${id}`)).keys as Json[];
    expect(stored?.expires_at).toBe(made.key_expires_at);
    expectOk(await ask('POST', '/v1/apply', declared));
  });

  describe.skipIf(usesPostgres)('gives nothing back that another admin takes away meanwhile', () => {
    const grants = [{ actions: ['token'], integrations: ['*'], owners: ['*'] }];
    /** The requests are decided on what is stored now, in their order, and stored in it. */
    async function together(...requests: (() => Promise<Answer>)[]): Promise<Answer[]> {
      const writer = new Database(testSetup.broker.database);
      writer.exec('begin immediate');
      const answers: Promise<Answer>[] = [];
      for (const request of requests) {
        answers.push(request());
        await ask('GET', '/v1/callers');
      }
      writer.exec('rollback');
      writer.close();
      return Promise.all(answers);
    }
    const other = async () => expectOk(await ask('POST', '/v1/callers', { name: 'other', grants }), 201);
    const current = async (id: unknown) => expectOk(await ask('GET', `/v1/callers/${id}`));

    test.each<[string, (id: unknown) => Promise<Answer>]>([
      ['PUT', (id) => ask('PUT', `/v1/callers/${id}`, { name: 'again', grants }, admin)],
      ['a declaration', (id) => ask('POST', '/v1/apply', { callers: [{ id, name: 'again', grants }] }, admin)],
    ])('no grants: %s', async (_, giveBack) => {
      const { id } = await other();
      const narrow = () => ask('PUT', `/v1/callers/${id}`, { name: 'narrow', grants: [] });
      const [narrowed, refused] = await together(narrow, () => giveBack(id));
      expectOk(narrowed!);
      expectProblem(refused!, 403, 'forbidden');
      expect((await current(id)).grants).toEqual([]);
    });

    test('no caller that is deleted', async () => {
      const { id } = await other();
      const again = { callers: [{ id, name: 'again', grants }] };
      const [deleted, refused] = await together(
        () => ask('DELETE', `/v1/callers/${id}`),
        () => ask('POST', '/v1/apply', again, admin),
      );
      expect(deleted?.status).toBe(204);
      expectProblem(refused!, 403, 'forbidden');
      expect((await ask('GET', `/v1/callers/${id}`)).status).toBe(404);
    });

    test('no key that is deleted', async () => {
      const { id, key, key_id } = await other();
      const again = { callers: [{ id, name: 'again', grants, key }] };
      const [deleted, refused] = await together(
        () => ask('DELETE', `/v1/callers/${id}/keys/${key_id}`),
        () => ask('POST', '/v1/apply', again, admin),
      );
      expect(deleted?.status).toBe(204);
      expectProblem(refused!, 403, 'forbidden');
      expect((await current(id)).keys).toEqual([]);
    });
  });

  test('is refused in the audit log, by what is missing', async () => {
    await ask('POST', '/v1/callers', { name: 'wide', grants: [grant({ owners: ['team:c:1'] })] }, admin);
    const { data } = expectOk(await ask('GET', `/v1/audit?actor=${adminId}&action=access.denied&limit=200`));
    expect(data).toContainEqual(expect.objectContaining({ outcome: 'denied', owner: 'team:c:1', integration: 'acme' }));
  });
});

describe('a grant with max_refreshes', () => {
  const bounded = async (max_refreshes: Json) => {
    const grants = [{ ...grant({ owners: ['*'] }), max_refreshes }];
    return expectOk(await testSetup.broker.ask('POST', '/v1/callers', { name: 'bounded', grants }), 201);
  };
  const refreshAs = (key: unknown, id: string, body: Json = {}) =>
    ask('POST', `/v1/connections/${id}/refresh`, body, String(key));

  test('429 after so many forced refreshes: across its keys, its connections, rejected tokens and replicas', async () => {
    const { broker, importConnection, refreshCount } = testSetup;
    const [id, other] = [await importConnection('bounded'), await importConnection('bounded-too')];
    const caller = await bounded({ requests: 3, window: 3_600 });
    const second = expectOk(await ask('POST', `/v1/callers/${caller.id}/keys`, {}), 201);
    const before = refreshCount();
    expectOk(await refreshAs(caller.key, id));
    expectOk(await refreshAs(second.key, other));
    const { access_token } = expectOk(await ask('GET', `/v1/connections/${id}/token`, undefined, String(caller.key)));
    expectOk(await refreshAs(caller.key, id, { rejected_token: access_token }));
    // A token that is no longer the stored one costs nothing.
    expectOk(await refreshAs(caller.key, id, { rejected_token: access_token }));
    for (const key of [caller.key, second.key]) {
      const refused = await refreshAs(key, other);
      expectProblem(refused, 429, 'rate_limited');
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(60);
    }
    expectProblem(await refreshAs(caller.key, id, { rejected_token: await stored(id) }), 429, 'rate_limited');
    expect(refreshCount() - before).toBe(3);
    const replica = await startTestBroker({ VALETKEY_DATABASE_URL: `file:${broker.database}` });
    try {
      const refused = await replica.ask('POST', `/v1/connections/${id}/refresh`, {}, String(caller.key));
      expectProblem(refused, 429, 'rate_limited');
    } finally {
      await replica.stop();
    }
    expect(refreshCount() - before).toBe(3);
  });

  test('bounds reads that ask for a longer life than the default: then the token that there is', async () => {
    const { importConnection, refreshCount, advance } = testSetup;
    const id = await importConnection('patient');
    const { key } = await bounded({ requests: 1, window: 3_600 });
    const read = (query = '') => ask('GET', `/v1/connections/${id}/token${query}`, undefined, String(key));
    // So that its whole life is known.
    expectOk(await ask('POST', `/v1/connections/${id}/refresh`, {}));
    const life = Number(expectOk(await read()).expires_in);
    const before = refreshCount();
    for (const expected of [1, 1]) {
      advance(10_000);
      expectOk(await read(`?min_ttl=${life - 5}`));
      expect(refreshCount() - before).toBe(expected);
    }
    expectOk(await read());
  });

  test('allows the next one when the bucket has filled up', async () => {
    const id = await testSetup.importConnection('brief');
    const { key } = await bounded({ requests: 1, window: 1 });
    expectOk(await refreshAs(key, id));
    expectProblem(await refreshAs(key, id), 429, 'rate_limited');
    await expect.poll(async () => (await refreshAs(key, id)).status, { timeout: 30_000 }).toBe(200);
  });
});

const stored = async (id: string) =>
  expectOk(await ask('GET', `/v1/connections/${id}/token`, undefined, testSetup.broker.adminKey)).access_token;
