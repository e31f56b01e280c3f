// Callers, their keys and their grants.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CallerCreated, CallerView, KeyCreated } from '../../src/api/index.ts';
import { type Json, startTestBroker } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem, RFC3339_UTC, readPages } from '../support/contract.ts';
import { readDatabaseFiles } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());

const ask = (method: string, path: string, body?: unknown, key?: string) =>
  testSetup.broker.ask(method, path, body, key);
const everything = { actions: ['*'], integrations: ['*'], owners: ['*'] };
const create = async (grants: object[] = [everything], name = 'billing'): Promise<Json> =>
  expectOk(await ask('POST', '/v1/callers', { name, grants }), 201);
/** Whether the key authenticates. */
const entry = async (key: unknown) => (await ask('GET', '/v1/providers?limit=1', undefined, String(key))).status;

describe('caller key', () => {
  test('shown once; only its digest is stored', async () => {
    const body = await create();
    const { id, key } = CallerCreated.strict().required().parse(body);
    if (key === null) throw new Error('no key');
    expect(body).toEqual({
      id: expect.stringMatching(/^clr_/),
      name: 'billing',
      key: expect.stringMatching(/^vk_[0-9A-Za-z]{49}$/),
      key_id: expect.stringMatching(/^key_/),
      key_expires_at: null,
      grants: [everything],
      workloads: [],
      rate_limit: null,
      max_session_ttl: null,
      audiences: null,
      created_at: expect.stringMatching(RFC3339_UTC),
    });
    expect(await entry(key)).toBe(200);
    const list = expectOk(await ask('GET', '/v1/callers'));
    expect((list.data as Json[]).map((caller) => CallerView.strict().parse(caller).id)).toContain(id);
    const disk = await readDatabaseFiles(testSetup.broker);
    expect(disk).toContain(createHash('sha256').update(key).digest('hex'));
    for (const where of [disk, JSON.stringify(list)]) expect(where).not.toContain(key.slice(12));
  });

  test('a second key works beside the first; each stops at once when it is deleted', async () => {
    const { id, key, key_id } = await create();
    const second = expectOk(await ask('POST', `/v1/callers/${id}/keys`), 201);
    KeyCreated.strict().parse(second);
    expect(second).toMatchObject({ expires_at: null, prefix: String(second.key).slice(0, 8) });
    expect([await entry(key), await entry(second.key)]).toEqual([200, 200]);
    expect(await ask('DELETE', `/v1/callers/${id}/keys/${key_id}`)).toMatchObject({ status: 204, body: {} });
    expect([await entry(key), await entry(second.key)]).toEqual([401, 200]);
    expectProblem(await ask('DELETE', `/v1/callers/${id}/keys/${key_id}`), 404, 'not_found');
    const other = await create();
    expectProblem(await ask('DELETE', `/v1/callers/${other.id}/keys/${second.id}`), 404, 'not_found');
    expect(await entry(second.key)).toBe(200);
    expect(await ask('DELETE', `/v1/callers/${id}`)).toMatchObject({ status: 204, body: {} });
    expect(await entry(second.key)).toBe(401);
    expectProblem(await ask('DELETE', `/v1/callers/${id}`), 404, 'not_found');
    expectProblem(await ask('POST', `/v1/callers/${id}/keys`), 404, 'not_found');
  });

  test('works until it expires', async () => {
    const { id } = await create();
    const expires_at = testSetup.inSeconds(60);
    const minted = expectOk(await ask('POST', `/v1/callers/${id}/keys`, { expires_at }), 201);
    expect(minted).toMatchObject({ expires_at });
    expect(await entry(minted.key)).toBe(200);
    testSetup.advance(59_000);
    expect(await entry(minted.key)).toBe(200);
    testSetup.advance(1_000);
    expect(await entry(minted.key)).toBe(401);
    expectIssues(await ask('POST', `/v1/callers/${id}/keys`, { expires_at: 'tomorrow' }), 'expires_at');
    expectIssues(await ask('POST', `/v1/callers/${id}/keys`, { expires_at: '2030-01-01T00:00:00' }), 'expires_at');
    expectIssues(await ask('POST', `/v1/callers/${id}/keys`, { ends: expires_at }), 'ends');
  });

  test('the first key may expire too; 400 for an expiry in the past', async () => {
    const grants = [everything];
    const key_expires_at = testSetup.inSeconds(60);
    const { key, key_expires_at: told } = expectOk(
      await ask('POST', '/v1/callers', { name: 'x', grants, key_expires_at }),
      201,
    );
    expect(told).toBe(key_expires_at);
    expect(await entry(key)).toBe(200);
    testSetup.advance(60_000);
    expect(await entry(key)).toBe(401);
    const past = testSetup.inSeconds(-1);
    expectIssues(await ask('POST', '/v1/callers', { name: 'x', grants, key_expires_at: past }), 'key_expires_at');
    const { id } = await create();
    expectIssues(await ask('POST', `/v1/callers/${id}/keys`, { expires_at: past }), 'expires_at');
  });

  test('401 with a reason: missing, mistyped, unknown or expired', async () => {
    const { id, key, key_id } = await create();
    const second = expectOk(await ask('POST', `/v1/callers/${id}/keys`, { expires_at: testSetup.inSeconds(60) }), 201);
    const why = async (presented: string) =>
      expectProblem(await ask('GET', '/v1/whoami', undefined, presented), 401, 'unauthenticated').reason;
    expect(await why(String(key).slice(0, -3))).toBe('mistyped');
    expect(await why('x'.repeat(40))).toBe('unknown');
    testSetup.advance(60_000);
    expect(await why(String(second.key))).toBe('expired');
    expect((await ask('DELETE', `/v1/callers/${id}/keys/${key_id}`)).status).toBe(204);
    expect(await why(String(key))).toBe('unknown');
    const bare = await fetch(new URL('/v1/whoami', testSetup.broker.url));
    expect([bare.status, bare.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="valetkey"']);
    expect(((await bare.json()) as Json).reason).toBe('missing');
  });

  test('shows when it was last used; null before', async () => {
    const { id, key, key_id } = await create();
    const lastUsed = async () => {
      const { data } = expectOk(await ask('GET', '/v1/callers?limit=500'));
      const { keys } = CallerView.parse((data as Json[]).find((caller) => caller.id === id));
      return keys.find((one) => one.id === key_id)?.last_used_at ?? null;
    };
    expect(await lastUsed()).toBeNull();
    const before = testSetup.now();
    expect(await entry(key)).toBe(200);
    await expect.poll(lastUsed, { timeout: 30_000 }).not.toBeNull();
    expect(Date.parse((await lastUsed()) ?? '')).toBeGreaterThanOrEqual(before);
  });
});

describe('grant', () => {
  const tokenOf = (owner: string, key: unknown) =>
    ask('GET', `/v1/token?integration=acme&owner=${encodeURIComponent(owner)}`, undefined, String(key));
  const withOwners = async (...owners: string[]) =>
    (await create([{ actions: ['token'], integrations: ['acme'], owners }])).key;

  test('owners match exactly, by prefix with a trailing *, or all with *', async () => {
    for (const owner of ['user_1', 'user_10', 'User_1', 'user%'])
      await testSetup.importConnection(owner, { access_token: 'at' });
    const opened = async (key: unknown) => {
      const found: string[] = [];
      for (const owner of ['user_1', 'user_10', 'User_1', 'user%'])
        if ((await tokenOf(owner, key)).status === 200) found.push(owner);
      return found;
    };
    expect(await opened(await withOwners('user_1'))).toEqual(['user_1']);
    expect(await opened(await withOwners('user_*'))).toEqual(['user_1', 'user_10']);
    expect(await opened(await withOwners('user%'))).toEqual(['user%']);
    expect(await opened(await withOwners('user_1*', 'User_1'))).toEqual(['user_1', 'user_10', 'User_1']);
    expect(await opened(await withOwners('*'))).toEqual(['user_1', 'user_10', 'User_1', 'user%']);
    expect(await opened(await withOwners('nobody'))).toEqual([]);
  });

  test('one grant alone must cover action, integration and owner', async () => {
    const { key } = await create([
      { actions: ['token'], integrations: ['other'], owners: ['user_1'] },
      { actions: ['connections:read'], integrations: ['acme'], owners: ['*'] },
    ]);
    const { missing } = expectProblem(await tokenOf('user_1', key), 403, 'forbidden');
    expect(missing).toEqual({ action: 'token', integration: 'acme', owner: 'user_1' });
  });

  test('a caller without grants authenticates and sees nothing', async () => {
    const { key } = await create([]);
    expectProblem(await tokenOf('user_1', key), 404, 'not_found');
    expectProblem(await ask('GET', '/v1/connections', undefined, String(key)), 403, 'forbidden');
  });

  test('a denial is in the audit log, with the missing permission and the address', async () => {
    const { id, key, key_id } = await create([{ actions: ['proxy'], integrations: ['acme'], owners: ['user_10'] }]);
    const denied = await tokenOf('user_10', key);
    const { missing, detail } = expectProblem(denied, 403, 'forbidden');
    expect(missing).toEqual({ action: 'token', integration: 'acme', owner: 'user_10' });
    expect(detail).toContain('user_10');
    const { data } = expectOk(await ask('GET', `/v1/audit?actor=${id}&outcome=denied`));
    expect(data).toMatchObject([
      {
        action: 'access.denied',
        outcome: 'denied',
        actor: id,
        key_id,
        integration: 'acme',
        owner: 'user_10',
        address: '127.0.0.1',
        request_id: denied.headers.get('x-request-id'),
        detail: expect.stringContaining('token'),
        count: 1,
      },
    ]);
  });

  test('403 without admin, to read or to change callers', async () => {
    const { id, key_id } = await create();
    const grants = [
      { actions: ['token', 'connections:read', 'connections:write'], integrations: ['*'], owners: ['*'] },
    ];
    const { key } = await create(grants);
    const narrow = await create([{ actions: ['admin'], integrations: ['acme'], owners: ['*'] }]);
    for (const mine of [String(key), String(narrow.key)]) {
      for (const [method, path, body, action = 'admin'] of [
        ['POST', '/v1/callers', { name: 'me', grants: [everything] }],
        ['GET', '/v1/callers', undefined, 'admin:read'],
        ['POST', `/v1/callers/${id}/keys`],
        ['DELETE', `/v1/callers/${id}/keys/${key_id}`],
        ['DELETE', `/v1/callers/${id}`],
        ['GET', '/v1/audit', undefined, 'audit:read'],
      ] as const) {
        const { missing } = expectProblem(await ask(method, path, body, mine), 403, 'forbidden');
        expect(missing).toMatchObject({ action });
      }
    }
  });

  test('400 that names each invalid grant', async () => {
    const post = (grant: object, more: object = {}) =>
      ask('POST', '/v1/callers', { name: 'x', grants: [{ ...everything, ...grant }], ...more });
    expectIssues(await post({ owners: ['user*x'] }), 'grants.0.owners.0');
    expectIssues(await post({ owners: ['**'] }), 'grants.0.owners.0');
    expectIssues(await post({ integrations: [''] }), 'grants.0.integrations.0');
    expectIssues(await post({ actions: ['fly'] }), 'grants.0.actions.0');
    expectIssues(await post({ actions: [] }), 'grants.0.actions');
    expectIssues(await post({ colour: 'red' }), 'grants.0.colour');
    expectIssues(await post({}, { name: '' }), 'name', 'name');
    expectIssues(await post({}, { key: 'vk_mine' }), 'key');
  });
});

test('list of callers: oldest first, paged', async () => {
  const made = [await create(), await create(), await create()].map(({ id }) => id);
  const list = (path: string) => ask('GET', path);
  const all = (expectOk(await list('/v1/callers')).data as Json[]).map(({ id }) => id);
  expect(all.slice(-3)).toEqual(made);
  expect((await readPages(list, '/v1/callers', 2)).flat().map(({ id }) => id)).toEqual(all);
});

describe('authentication', () => {
  test('401 with a challenge: no key, a wrong key, another scheme', async () => {
    const bare = (headers: Record<string, string>) =>
      fetch(new URL('/v1/providers', testSetup.broker.url), { headers });
    const { key } = await create();
    for (const headers of [{}, { authorization: 'Bearer vk_nobody' }, { authorization: `Basic ${key}` }] as const) {
      const response = await bare(headers);
      const answer = { status: response.status, headers: response.headers, body: (await response.json()) as Json };
      expectProblem(answer, 401, 'unauthenticated');
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer\b/);
    }
    expect((await bare({ authorization: `bearer ${key}` })).status).toBe(200);
  });

  test('429 for an address after 30 failures in a minute; a valid key still passes', async () => {
    const broker = await startTestBroker();
    try {
      const wrong = () => broker.ask('GET', '/v1/providers', undefined, 'vk_guess');
      for (let i = 0; i < 30; i++) expect((await wrong()).status).toBe(401);
      const limited = await wrong();
      expectProblem(limited, 429, 'too_many_requests');
      const wait = Number(limited.headers.get('retry-after'));
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(60);
      expectOk(await broker.ask('GET', '/v1/providers'));
      expectProblem(await wrong(), 429, 'too_many_requests');
    } finally {
      await broker.stop();
    }
  });
});

describe('caller', () => {
  test('is replaced at once, and keeps its keys', async () => {
    const { id, key, key_id } = await create();
    const before = CallerView.strict().parse(expectOk(await ask('GET', `/v1/callers/${id}`)));
    const grants = [{ actions: ['connections:read'], integrations: ['acme'], owners: ['user_1'] }];
    const put = expectOk(await ask('PUT', `/v1/callers/${id}`, { name: 'invoices', grants }));
    expect(put).toMatchObject({ id, name: 'invoices', grants, created_at: before.created_at, keys: [{ id: key_id }] });
    expectProblem(await ask('GET', '/v1/callers', undefined, String(key)), 403, 'forbidden');
    expect(expectOk(await ask('GET', '/v1/whoami', undefined, String(key)))).toEqual({
      id,
      name: 'invoices',
      grants,
      authenticated_by: { kind: 'key', id: key_id, prefix: String(key).slice(0, 8), expires_at: null },
      rate_limit: null,
    });
    const { data } = expectOk(await ask('GET', '/v1/audit?action=caller.updated&limit=1'));
    expect(data).toMatchObject([{ detail: id }]);
  });

  test('404 for replacing one that does not exist', async () => {
    expectProblem(await ask('PUT', '/v1/callers/clr_nobody', { name: 'x', grants: [] }), 404, 'not_found');
    expectProblem(await ask('GET', '/v1/callers/clr_nobody'), 404, 'not_found');
    expectIssues(await ask('PUT', '/v1/callers/clr_nobody', { name: 'x' }), 'grants');
  });

  test('403 for managing callers without admin', async () => {
    const { id } = await create();
    const key = await testSetup.broker.callerKey({ actions: ['token', 'connections:write'] });
    expectProblem(await ask('GET', `/v1/callers/${id}`, undefined, key), 403, 'forbidden');
    expectProblem(await ask('PUT', `/v1/callers/${id}`, { name: 'x', grants: [] }, key), 403, 'forbidden');
  });

  test('the admin key is a caller', async () => {
    expect(expectOk(await ask('GET', '/v1/whoami'))).toMatchObject({
      id: 'clr_admin',
      authenticated_by: { kind: 'key', prefix: null, expires_at: null },
    });
  });
});

test('a grant whose path has a * before its end: 400 that says so', async () => {
  const paths = ['/a*b', '*/b', '/a**', 'a'];
  const grants = [{ actions: ['proxy'], integrations: ['*'], owners: ['*'], paths }];
  const { issues } = expectProblem(await ask('POST', '/v1/callers', { name: 'x', grants }), 400, 'invalid_request');
  const messages = (issues as { message: string }[]).map(({ message }) => message);
  const star = 'a * stands only at the end, and matches all that follows';
  expect(messages).toEqual([star, star, star, expect.stringContaining('begins with /')]);
});
