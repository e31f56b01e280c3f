// Fine-grained grants: the scopes that a caller's tokens may have, and the largest min_ttl.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';

let testSetup: TestSetup;
let id: string;
beforeAll(async () => {
  testSetup = await startTestSetup();
  id = await testSetup.importConnection('user_1', {
    access_token: 'at',
    expires_at: testSetup.inSeconds(3_600),
    scopes: ['mail.read', 'cal'],
  });
  await testSetup.importConnection('user_2', {
    access_token: 'at',
    expires_at: testSetup.inSeconds(3_600),
    scopes: [],
  });
});
afterAll(() => testSetup.close());

const ask = (method: string, path: string, key?: unknown, body?: unknown) =>
  testSetup.broker.ask(method, path, body, key === undefined ? undefined : String(key));
async function keyOf(...grants: Json[]): Promise<unknown> {
  const base = { actions: ['token', 'connections:write'], integrations: ['acme'], owners: ['*'] };
  const body = { name: 'a test', grants: grants.map((grant) => ({ ...base, ...grant })) };
  return expectOk(await ask('POST', '/v1/callers', undefined, body), 201).key;
}
const byId = (key: unknown, query = '') => ask('GET', `/v1/connections/${id}/token${query}`, key);
const byOwner = (key: unknown, owner: string, query = '') =>
  ask('GET', `/v1/token?integration=acme&owner=${owner}${query}`, key);
const token = { action: 'token', integration: 'acme', owner: 'user_1' };

describe('grant with scopes', () => {
  test.each<[string, string[], string[] | undefined]>([
    ['all scopes of the token', ['mail.read', 'cal'], undefined],
    ['more scopes than the token has', ['mail.read', 'cal', 'files'], undefined],
    ['a prefix', ['mail.*', 'cal'], undefined],
    ['any scope', ['*'], undefined],
    ['one scope of two', ['cal'], ['mail.read']],
    ['similar scopes', ['mail', 'CAL'], ['mail.read', 'cal']],
  ])('%s', async (_, scopes, missing) => {
    const key = await keyOf({ scopes });
    for (const answer of [await byId(key), await byOwner(key, 'user_1'), await byId(key)]) {
      if (missing) expect(expectProblem(answer, 403, 'forbidden').missing).toEqual({ ...token, scopes: missing });
      else expectOk(answer);
    }
    const refreshed = await ask('POST', `/v1/connections/${id}/refresh`, key, { rejected_token: 'another' });
    if (missing) expectProblem(refreshed, 403, 'forbidden');
    else expectOk(refreshed);
  });

  test('scopes of two grants do not add up; the closest grant says what is missing', async () => {
    const key = await keyOf({ scopes: ['cal'] }, { scopes: ['other'] }, { scopes: ['mail.read'], owners: ['user_9'] });
    const { missing, detail } = expectProblem(await byId(key), 403, 'forbidden');
    expect(missing).toEqual({ ...token, scopes: ['mail.read'] });
    expect(detail).toContain('mail.read');
  });

  test('403 for a token with unknown scopes', async () => {
    const { missing } = expectProblem(await byOwner(await keyOf({ scopes: ['cal'] }), 'user_2'), 403, 'forbidden');
    expect(missing).toEqual({ ...token, owner: 'user_2', scopes: ['*'] });
    expectOk(await byOwner(await keyOf({ scopes: ['*'] }), 'user_2'));
  });

  test('403 for consent and imports beyond the scopes', async () => {
    const key = await keyOf({ scopes: ['openid', 'cal'] });
    const invite = (scopes?: string[]) =>
      ask('POST', '/v1/connect-sessions', key, { integration: 'acme', owner: 'user_3', ...(scopes && { scopes }) });
    expectOk(await invite(['openid', 'cal']), 201);
    const { missing } = expectProblem(await invite(['openid', 'mail.read']), 403, 'forbidden');
    expect(missing).toMatchObject({ action: 'connections:write', scopes: ['mail.read'] });
    // The integration's scopes, since none are named.
    expectProblem(await invite(), 403, 'forbidden');
    const bring = (scopes: string[]) =>
      ask('POST', '/v1/connections', key, {
        integration: 'acme',
        owner: 'user_3',
        credentials: { access_token: 'at', scopes },
      });
    expectProblem(await bring(['mail.read']), 403, 'forbidden');
    expectOk(await bring(['cal']), 201);
  });
});

describe('grant with max_min_ttl', () => {
  test('403 above it; no effect without min_ttl', async () => {
    const key = await keyOf({ max_min_ttl: 300 });
    for (const query of ['', '?min_ttl=0', '?min_ttl=300']) expectOk(await byId(key, query));
    expectOk(await byOwner(key, 'user_1', '&min_ttl=300'));
    for (const answer of [await byId(key, '?min_ttl=301'), await byOwner(key, 'user_1', '&min_ttl=301')]) {
      const { missing, detail } = expectProblem(answer, 403, 'forbidden');
      expect(missing).toEqual({ ...token, min_ttl: 301 });
      expect(detail).toContain('301');
    }
    expectOk(await byId(await keyOf({ max_min_ttl: 0 })));
    expectOk(await byId(await keyOf({ max_min_ttl: 10 }, { max_min_ttl: 900 }), '?min_ttl=800'));
  });

  test('the denial is in the audit log', async () => {
    await byId(await keyOf({ max_min_ttl: 1, scopes: ['cal'] }), '?min_ttl=77');
    const { data } = expectOk(await ask('GET', `/v1/audit?connection_id=${id}&outcome=denied&limit=1`));
    expect(data).toMatchObject([{ detail: 'no grant for token with mail.read with min_ttl 77' }]);
  });
});

test('grant: 400 that names each invalid scope and number', async () => {
  const create = (more: Json) =>
    ask('POST', '/v1/callers', undefined, {
      name: 'x',
      grants: [{ actions: ['token'], integrations: ['*'], owners: ['*'], ...more }],
    });
  expectIssues(await create({ scopes: [] }), 'grants.0.scopes');
  expectIssues(await create({ scopes: ['a*b'] }), 'grants.0.scopes.0');
  expectIssues(await create({ max_min_ttl: -1 }), 'grants.0.max_min_ttl');
  expectIssues(await create({ max_min_ttl: 1.5 }), 'grants.0.max_min_ttl');
});
