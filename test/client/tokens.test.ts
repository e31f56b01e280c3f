// Tokens from the cache and the broker: what is cached, how long, and what concurrent calls send.
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCache } from '../../src/client/cache.ts';
import type { Token, ValetkeyError } from '../../src/client/index.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { createTestClient, rejectionOf, type TestClient } from '../support/client.ts';
import { newOwner } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());
afterEach(() => testSetup.proxy.setRule('pass'));

const client = (options: Partial<Parameters<typeof createTestClient>[0]> = {}): TestClient =>
  createTestClient({ url: testSetup.broker.url, key: testSetup.broker.adminKey, ...options });
const at = (owner: string, label?: string) => ({ integration: 'acme', owner, ...(label !== undefined && { label }) });

describe('token', () => {
  test('by owner, by label and by id: the token of the broker', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const labelled = await testSetup.importConnection(owner, {}, { label: 'work' });
    const { valetkey } = client();
    const byId = await valetkey.token({ connection: id });
    const { body } = await testSetup.broker.ask('GET', `/v1/connections/${id}/token`);
    expect(byId).toEqual({ ...body, expires_in: expect.closeTo(Number(body.expires_in), -1) });
    expect(await valetkey.token(at(owner, ''))).toMatchObject({ connection_id: id, access_token: byId.access_token });
    expect((await valetkey.token(at(owner, 'work'))).connection_id).toBe(labelled);
  });

  test('cached: no second request, and expires_in counts down', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner);
    const { valetkey, sent, advance } = client();
    const first = await valetkey.token(at(owner));
    advance(30);
    const second = await valetkey.token(at(owner));
    expect(second).toEqual({ ...first, expires_in: first.expires_in! - 30 });
    expect(sent).toEqual([`GET /v1/token?integration=acme&owner=${owner}`]);
  });

  test('cached for a minute: then a revocation takes effect', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const { valetkey, advance } = client();
    await valetkey.token(at(owner));
    await testSetup.broker.ask('DELETE', `/v1/connections/${id}`);
    advance(59);
    expect(await valetkey.token(at(owner))).toMatchObject({ connection_id: id });
    advance(1.1);
    expect(await rejectionOf(valetkey.token(at(owner)))).toMatchObject({ code: 'connection_revoked', status: 410 });
  });

  test('cacheFor 0: no cache', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner);
    const { valetkey, sent } = client({ cacheFor: 0 });
    await valetkey.token(at(owner));
    await valetkey.token(at(owner));
    expect(sent).toHaveLength(2);
  });

  test('cached: returned only with min_ttl left, counted from the request', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner, { access_token: 'short', expires_at: testSetup.inSeconds(300) });
    const { valetkey, sent, advance } = client({ cacheFor: 1_000 });
    const { access_token, expires_in } = await valetkey.token(at(owner));
    expect(access_token).toBe('short');
    advance(expires_in! - 61);
    expect((await valetkey.token(at(owner))).access_token).toBe('short');
    expect((await valetkey.token({ ...at(owner), min_ttl: 10 })).access_token).toBe('short');
    expect(sent).toHaveLength(1);
    advance(2);
    testSetup.advance(240_000);
    expect((await valetkey.token(at(owner))).access_token).not.toBe('short');
    expect(sent).toHaveLength(2);
  });

  test('slow response: its time counts as lifetime', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner, { access_token: 'slow', expires_at: testSetup.inSeconds(300) });
    let ahead = 0;
    const slow = client({
      cacheFor: 1_000,
      now: () => performance.now() + ahead,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        ahead += 100_000;
        return response;
      },
    });
    expect((await slow.valetkey.token(at(owner))).access_token).toBe('slow');
    ahead += 150_000;
    testSetup.advance(250_000);
    // 50 seconds are left; the default min_ttl is 60.
    expect((await slow.valetkey.token(at(owner))).access_token).not.toBe('slow');
  });

  test('owners with separators or common prefixes: never mixed up', async () => {
    const owners = ['user:1', 'user:10', 'user:1&label=', 'user:1/token', '../user:1', 'user:1%26', 'user 1', 'user+1'];
    const ids = await Promise.all(owners.map((owner) => testSetup.importConnection(owner)));
    const { valetkey } = client();
    for (let round = 0; round < 2; round++) {
      const tokens = await Promise.all(owners.map((owner) => valetkey.token(at(owner))));
      expect(tokens.map(({ connection_id }) => connection_id)).toEqual(ids);
      expect(tokens.map(({ owner }) => owner)).toEqual(owners);
    }
  });

  test('an id that would change the path: invalid_request', async () => {
    const { valetkey, sent } = client();
    for (const connection of ['..', '.', '', '%2e%2e', 'a/b', 'a?b', 'a#b'])
      expect(await rejectionOf(valetkey.token({ connection }))).toMatchObject({ code: 'invalid_request', status: 0 });
    expect(sent).toEqual([]);
  });

  test.each([
    ['owner', undefined, 'owner must be a string, and is undefined'],
    ['owner', null, 'owner must be a string, and is null'],
    ['owner', 42, 'owner must be a string, and is number'],
    ['owner', { id: 'user_42' }, 'owner must be a string, and is object'],
    ['owner', '', 'owner must not be empty'],
    ['owner', 'user_\ud83d', 'owner must be well-formed Unicode'],
    ['integration', undefined, 'integration must be a string, and is undefined'],
    ['label', 7, 'label must be a string, and is number'],
    ['connection', null, 'An id consists of letters, digits, dashes and underscores'],
    ['connection', 42, 'An id consists of letters, digits, dashes and underscores'],
  ])('%s: %j of JavaScript without types: nothing is sent', async (name, value, detail) => {
    const { valetkey, sent } = client();
    const who = { ...at('user_42'), [name]: value } as { integration: string; owner: string };
    const refused = { code: 'invalid_request', status: 0, detail };
    expect(await rejectionOf(valetkey.token(who))).toMatchObject(refused);
    expect(await rejectionOf(valetkey.fetch(who, 'https://api.example.com/me'))).toMatchObject(refused);
    expect(await rejectionOf((async () => valetkey.api(who).get('/me'))())).toMatchObject(
      name === 'integration' ? { code: 'invalid_request', status: 0 } : refused,
    );
    expect(sent).toEqual([]);
  });

  test('ids of what is no token or session: invalid_request', async () => {
    const { valetkey, sent } = client();
    const missing = undefined as unknown as string;
    const token = { access_token: 'at', connection_id: missing };
    for (const call of [valetkey.refresh(token), valetkey.cancelConnect(missing), valetkey.connected(missing)])
      expect(await rejectionOf(call)).toMatchObject({ code: 'invalid_request', status: 0 });
    expect(sent).toEqual([]);
  });

  test('label null, as candidates have it: the connection without a label', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    await testSetup.importConnection(owner, {}, { label: 'work' });
    const { valetkey } = client();
    const { candidates } = (await rejectionOf(valetkey.token(at(owner)))) as ValetkeyError;
    const unlabelled = candidates!.find(({ label }) => label === null)!;
    expect((await valetkey.token({ ...at(owner), label: unlabelled.label })).connection_id).toBe(id);
  });

  test('a caller that changes its copy: no effect on the cache', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner);
    const { valetkey } = client();
    const first = await valetkey.token(at(owner));
    const { access_token, scopes } = structuredClone(first);
    first.access_token = 'changed';
    first.scopes.push('changed');
    expect(await valetkey.token(at(owner))).toMatchObject({ access_token, scopes });
  });
});

describe('concurrent calls', () => {
  test('one request; aborting one call does not affect the others', async () => {
    const owner = newOwner();
    await testSetup.importConnection(owner);
    testSetup.proxy.setRule('withhold');
    const { valetkey, sent } = client();
    const controller = new AbortController();
    const leaving = rejectionOf(valetkey.token({ ...at(owner), signal: controller.signal }));
    const staying = [1, 2, 3].map(() => valetkey.token(at(owner)));
    const reason = new Error('gone');
    controller.abort(reason);
    expect(await leaving).toBe(reason);
    await testSetup.proxy.untilHeld(1);
    testSetup.proxy.release();
    const tokens = new Set((await Promise.all(staying)).map(({ access_token }) => access_token));
    expect([tokens.size, sent.length]).toEqual([1, 1]);
  });

  test('a shared failure is not cached', async () => {
    const owner = newOwner();
    const { valetkey } = client();
    const refused = await Promise.all([1, 2].map(() => rejectionOf(valetkey.token(at(owner)))));
    for (const error of refused) expect(error).toMatchObject({ code: 'not_found', status: 404 });
    const id = await testSetup.importConnection(owner);
    expect((await valetkey.token(at(owner))).connection_id).toBe(id);
  });

  test('refresh of one rejected token: one refresh for all', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const { valetkey, sent } = client();
    const rejected = await valetkey.token(at(owner));
    await valetkey.token({ connection: id });
    const before = testSetup.refreshCount();
    const fresh = await Promise.all([1, 2, 3].map(() => valetkey.refresh(rejected)));
    expect(testSetup.refreshCount() - before).toBe(1);
    expect(new Set(fresh.map(({ access_token }) => access_token)).size).toBe(1);
    expect(fresh[0]?.access_token).not.toBe(rejected.access_token);
    // Cached under each key of the rejected token.
    const asked = sent.length;
    expect((await valetkey.token(at(owner))).access_token).toBe(fresh[0]?.access_token);
    expect((await valetkey.token({ connection: id })).access_token).toBe(fresh[0]?.access_token);
    expect(sent.length).toBe(asked);
  });

  test('refresh of a token that was refreshed elsewhere: no further refresh', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const { valetkey } = client();
    const old = await valetkey.token(at(owner));
    const { body } = await testSetup.broker.ask('POST', `/v1/connections/${id}/refresh`, {});
    const before = testSetup.refreshCount();
    expect((await valetkey.refresh(old)).access_token).toBe(body.access_token);
    expect(testSetup.refreshCount()).toBe(before);
  });

  test('a failed refresh removes the rejected token from the cache', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    const { valetkey, sent } = client();
    const rejected = await valetkey.token(at(owner));
    await testSetup.broker.ask('DELETE', `/v1/connections/${id}`);
    const error = await rejectionOf(valetkey.refresh(rejected));
    expect(error).toMatchObject({ code: 'connection_revoked', connectionId: id });
    const asked = sent.length;
    await rejectionOf(valetkey.token(at(owner)));
    expect(sent.length).toBe(asked + 1);
  });
});

test('cache: bounded, evicts the oldest entries', () => {
  const cache = createCache({ now: () => 0, maxAgeMs: 60_000, maxEntries: 2 });
  const token = { connection_id: 'con_1', integration: 'acme', owner: 'a', access_token: 'a', token_type: 'Bearer' };
  const entry = { token: { ...token, scopes: [], missing_scopes: [], expires_at: null, expires_in: null }, sentAt: 0 };
  for (const key of ['first', 'second', 'first', 'third']) cache.put(key, entry);
  expect(['first', 'second', 'third'].map((key) => cache.get(key, 60) !== undefined)).toEqual([true, false, true]);
});

test('cache: a token is not kept through a sleep of the machine, in which a monotonic clock stands still', () => {
  const cache = createCache({ now: () => 0, maxAgeMs: 60_000, maxEntries: 2 });
  const token = { access_token: 'at', expires_in: 3_600, scopes: [] as string[] } as Token;
  cache.put('a', { token, sentAt: 0 });
  expect(cache.get('a', 60)).toMatchObject({ access_token: 'at' });
  vi.useFakeTimers({ now: Date.now() + 7_200_000, toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  expect(cache.get('a', 60)).toBeUndefined();
});
