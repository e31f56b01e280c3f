// Refresh on demand: compare and swap by the token that an API rejected.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TokenView } from '../../src/api/index.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());
afterEach(() => testSetup.proxy.setRule('pass'));

const refresh = (id: string, body?: Json, key?: string): Promise<Answer> =>
  testSetup.broker.ask('POST', `/v1/connections/${id}/refresh`, body, key);
const read = async (id: string) => expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}/token`));
const connection = async (id: string): Promise<Json> =>
  expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}`));

describe('refresh with a rejected token', () => {
  test('the stored token: refreshes, and serves the new one from then on', async () => {
    const id = await testSetup.importConnection(newOwner());
    const { access_token: rejected_token } = await read(id);
    const before = testSetup.refreshCount();
    const body = expectOk(await refresh(id, { rejected_token }));
    TokenView.strict().parse(body);
    expect(body.access_token).not.toBe(rejected_token);
    expect(testSetup.refreshCount()).toBe(before + 1);
    expect((await read(id)).access_token).toBe(body.access_token);
    expect(await connection(id)).toMatchObject({ generation: 3 });
  });

  test('an older token: the stored one, without a call to the provider', async () => {
    const id = await testSetup.importConnection(newOwner());
    const { access_token: stale } = await read(id);
    const fresh = expectOk(await refresh(id, { rejected_token: stale }));
    const before = testSetup.proxy.requests.length;
    expect(expectOk(await refresh(id, { rejected_token: stale }))).toMatchObject({ access_token: fresh.access_token });
    expect(testSetup.proxy.requests.length).toBe(before);
    expect(await connection(id)).toMatchObject({ generation: 3 });
  });

  test('twenty concurrent requests with the same token: one refresh, the same token', async () => {
    const id = await testSetup.importConnection(newOwner());
    const { access_token: rejected_token } = await read(id);
    const before = testSetup.refreshCount();
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(id, { rejected_token })));
    const tokens = new Set(answers.map((answer) => expectOk(answer).access_token));
    expect(tokens.size).toBe(1);
    expect(tokens).not.toContain(rejected_token);
    expect(testSetup.refreshCount()).toBe(before + 1);
  });

  test('an older token while the stored one has expired: refreshes', async () => {
    const credentials = { access_token: 'stored', expires_at: testSetup.inSeconds(10) };
    const id = await testSetup.importConnection(newOwner(), credentials);
    testSetup.advance(11_000);
    expect(expectOk(await refresh(id, { rejected_token: 'older' })).access_token).not.toBe('stored');
  });
});

test('refresh without a rejected token: with no body, or an empty object', async () => {
  const id = await testSetup.importConnection(newOwner());
  const tokens = [await refresh(id), await refresh(id, {})].map((answer) => expectOk(answer).access_token);
  expect(new Set(tokens).size).toBe(2);
  expect(await connection(id)).toMatchObject({ generation: 3 });
});

test('refresh without a refresh token: 409, and the token is served on', async () => {
  const credentials = { access_token: 'all there is', expires_at: testSetup.inSeconds(600) };
  const body = { integration: 'acme', owner: newOwner(), credentials };
  const { id } = expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201);
  const no = { connection_id: id, reason: 'not_refreshable' };
  expect(expectProblem(await refresh(String(id)), 409, 'reauthorization_required')).toMatchObject(no);
  const after = await connection(String(id));
  expect(after).toMatchObject({ status: 'active', reason: null, generation: 1, next_refresh_at: null });
  expect(await read(String(id))).toMatchObject({ access_token: 'all there is' });
  expect(expectProblem(await refresh(String(id)), 409, 'reauthorization_required')).toMatchObject(no);
  expect(await connection(String(id))).toEqual(after);

  // Close to its expiry, a read serves the token that there is.
  testSetup.advance(590_000);
  expect(await read(String(id))).toMatchObject({ access_token: 'all there is' });
  testSetup.advance(11_000);
  const gone = await testSetup.broker.ask('GET', `/v1/connections/${id}/token`);
  expect(expectProblem(gone, 409, 'reauthorization_required')).toMatchObject({ reason: 'grant_expired' });
  expect(await connection(String(id))).toMatchObject({ status: 'needs_reauth', reason: 'grant_expired' });
});

test('refresh while the provider is down: 503 with Retry-After; reads serve the stored token', async () => {
  const id = await testSetup.importConnection(newOwner());
  const { access_token } = await read(id);
  testSetup.proxy.setRule('cut');
  const down = await refresh(id, { rejected_token: access_token });
  expectProblem(down, 503, 'provider_unavailable');
  expect(Number(down.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(await read(id)).toMatchObject({ access_token });
});

test('refresh: 404, 410, 403, and 400 for unknown members', async () => {
  const owner = newOwner();
  const id = await testSetup.importConnection(owner);
  expectProblem(await refresh('con_nothing'), 404, 'not_found');
  expectIssues(await refresh(id, { token: 'x' }), 'token');
  expectIssues(await refresh(id, { rejected_token: 7 }), 'rejected_token');
  const key = await testSetup.broker.callerKey({ actions: ['connections:read', 'connections:write'] });
  const missing = { action: 'token', integration: 'acme', owner };
  expect(expectProblem(await refresh(id, {}, key), 403, 'forbidden')).toMatchObject({ missing });
  expectOk(await testSetup.broker.ask('DELETE', `/v1/connections/${id}`));
  expectProblem(await refresh(id), 410, 'connection_revoked');
  expectProblem(await refresh(id, { rejected_token: 'x' }), 410, 'connection_revoked');
});

test('refresh: a JSON content type without a body is accepted', async () => {
  const id = await testSetup.importConnection(newOwner());
  const headers = { authorization: `Bearer ${testSetup.broker.adminKey}`, 'content-type': 'application/json' };
  const url = new URL(`/v1/connections/${id}/refresh`, testSetup.broker.url);
  expect((await fetch(url, { method: 'POST', headers })).status).toBe(200);
});
