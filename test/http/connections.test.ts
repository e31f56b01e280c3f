// Connections as callers see them, and imports.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConnectionView, ExplainedConnectionView } from '../../src/api/index.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem, RFC3339_UTC, readPages } from '../support/contract.ts';
import { connect, connectionOf, createConnectSession, newOwner, readDatabaseFiles } from '../support/owner-browser.ts';

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
  expectOk(await testSetup.broker.ask('PUT', '/v1/integrations/other', testSetup.integrationBody), 201);
});
afterAll(() => testSetup.close());

const ask = (method: string, path: string, body?: unknown, key?: string): Promise<Answer> =>
  testSetup.broker.ask(method, path, body, key);
const get = (path: string, key?: string): Promise<Answer> => ask('GET', path, undefined, key);
const add = (body: Json, key?: string): Promise<Answer> =>
  ask('POST', '/v1/connections', { integration: 'acme', owner: newOwner(), ...body }, key);
const plain = { credentials: { access_token: 'at' } };
const idsOf = (answer: Answer) => (expectOk(answer).data as Json[]).map(({ id }) => id);
const time = expect.stringMatching(RFC3339_UTC);

describe('connection', () => {
  test('made in a browser: every member of the contract, and no secret', async () => {
    const owner = newOwner();
    const invited = await createConnectSession(testSetup.broker, { owner, metadata: { team: 7 } });
    await connect(testSetup.broker, invited.url, { login: owner });
    const body = await connectionOf(testSetup.broker, invited);
    ExplainedConnectionView.strict().parse(body);
    expect(body).toEqual({
      id: expect.stringMatching(/^con_/),
      integration: 'acme',
      owner,
      label: null,
      status: 'active',
      reason: null,
      scopes: expect.arrayContaining(['openid']),
      missing_scopes: expect.any(Array),
      metadata: { team: 7 },
      captured: {},
      account: { issuer: testSetup.provider.issuer, id: owner, name: null },
      expires_at: time,
      next_refresh_at: time,
      reauth_due_at: null,
      last_refreshed_at: null,
      last_refresh_error: null,
      last_checked_at: null,
      last_check_error: null,
      generation: 1,
      upstream_revocation: null,
      explanation: null,
      created_at: time,
      updated_at: time,
    });
    expect(String(body.next_refresh_at) < String(body.expires_at)).toBe(true);
    const { body: token } = await get(`/v1/connections/${body.id}/token`);
    expect(JSON.stringify(expectOk(await get('/v1/connections?limit=500')))).not.toContain(token.access_token);
  });

  test('refreshed: when, and when the next refresh is due', async () => {
    const id = await testSetup.importConnection(newOwner());
    expectOk(await get(`/v1/connections/${id}/token`));
    const { body } = await get(`/v1/connections/${id}`);
    expect(body).toMatchObject({ last_refreshed_at: time, generation: 2, last_refresh_error: null });
    const lead = (Date.parse(String(body.expires_at)) - Date.parse(String(body.next_refresh_at))) / 1_000;
    expect(lead).toBeGreaterThanOrEqual(270);
    expect(lead).toBeLessThanOrEqual(330);
  });

  test('403 without connections:read, with the missing permission', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner, { access_token: 'at' });
    const key = await testSetup.broker.callerKey({ actions: ['token', 'connections:write', 'admin'] });
    const missing = { action: 'connections:read', integration: 'acme', owner };
    expect(expectProblem(await get(`/v1/connections/${id}`, key), 403, 'forbidden')).toMatchObject({ missing });
    const reader = await testSetup.broker.callerKey({ actions: ['connections:read'], owners: [owner] });
    expect(expectOk(await get(`/v1/connections/${id}`, reader))).toMatchObject({ id, owner });
    expectProblem(await get('/v1/connections/con_nothing'), 404, 'not_found');
  });
});

describe('list of connections', () => {
  test('pages by cursor, oldest first, each once, also while others are added', async () => {
    const owner = newOwner();
    const made: string[] = [];
    for (const label of 'abcde') made.push(await testSetup.importConnection(owner, { access_token: 'at' }, { label }));
    let asked = 0;
    const disturbed = async (path: string) => {
      if (asked++ === 1) made.push(await testSetup.importConnection(owner, { access_token: 'at' }, { label: 'late' }));
      return get(path);
    };
    const found = await readPages(disturbed, `/v1/connections?owner=${owner}`, 2);
    expect(found.map((page) => page.length)).toEqual([2, 2, 2]);
    expect(found.flat().map(({ id }) => id)).toEqual(made);
    for (const one of found.flat()) ConnectionView.strict().parse(one);
  });

  test('filters by integration, owner and status', async () => {
    const owner = newOwner();
    const here = await testSetup.importConnection(owner, { access_token: 'at' });
    const revoked = await testSetup.importConnection(owner, { access_token: 'at' }, { label: 'old' });
    expectOk(await ask('DELETE', `/v1/connections/${revoked}`));
    const there = String(expectOk(await add({ integration: 'other', owner, ...plain }), 201).id);
    const list = async (query: Record<string, string>) =>
      idsOf(await get(`/v1/connections?${new URLSearchParams({ limit: '500', ...query })}`));
    expect(await list({ owner })).toEqual([here, revoked, there]);
    expect(await list({ owner, integration: 'acme' })).toEqual([here, revoked]);
    expect(await list({ owner, status: 'active' })).toEqual([here, there]);
    expect(await list({ owner, status: 'revoked' })).toEqual([revoked]);
    expect(await list({ owner, integration: 'other', status: 'revoked' })).toEqual([]);
    expect(await list({ integration: 'other' })).toEqual([there]);
    expect(await list({ owner: owner.slice(0, -1) })).not.toContain(here);
    expectIssues(await get('/v1/connections?status=dead'), 'status');
    expectIssues(await get('/v1/connections?owner=user_*'), 'owner');
  });

  test("only connections within the caller's grants, page by page", async () => {
    const [a, b, c] = [`x-${newOwner()}`, `x-${newOwner()}`, `y-${newOwner()}`];
    const ids: string[] = [];
    for (const owner of [a, c, b]) ids.push(await testSetup.importConnection(owner, { access_token: 'at' }));
    const key = await testSetup.broker.callerKey({
      actions: ['connections:read'],
      integrations: ['acme'],
      owners: ['x-*'],
    });
    const mine = await readPages((path) => get(path, key), '/v1/connections', 1);
    expect(mine.map((page) => page.map(({ id }) => id))).toEqual([[ids[0]], [ids[2]]]);
    expect(idsOf(await get('/v1/connections?integration=other', key))).toEqual([]);
    expect(idsOf(await get(`/v1/connections?integration=acme&owner=${c}`, key))).toEqual([]);
    const server = await testSetup.broker.callerKey({ actions: ['token'] });
    expectProblem(await get('/v1/connections', server), 403, 'forbidden');
  });
});

describe('import', () => {
  test('of a refresh token alone: the first read refreshes', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    expect(expectOk(await get(`/v1/connections/${id}`))).toMatchObject({ generation: 1, status: 'active' });
    const before = testSetup.refreshCount();
    expect(expectOk(await get(`/v1/connections/${id}/token`)).access_token).toMatch(/./);
    expect(testSetup.refreshCount()).toBe(before + 1);
  });

  test('of a token with its expiry: served as it is', async () => {
    const owner = newOwner();
    const expires_at = testSetup.inSeconds(600);
    const credentials = { access_token: 'mine-already', expires_at, scopes: ['a', 'b'] };
    const body = expectOk(await add({ owner, label: 'work', metadata: { n: [1, null] }, credentials }), 201);
    ConnectionView.strict().parse(body);
    expect(body).toEqual({
      id: expect.stringMatching(/^con_/),
      integration: 'acme',
      owner,
      label: 'work',
      status: 'active',
      reason: null,
      scopes: ['a', 'b'],
      missing_scopes: expect.any(Array),
      metadata: { n: [1, null] },
      captured: {},
      account: null,
      expires_at,
      next_refresh_at: null,
      reauth_due_at: expires_at,
      last_refreshed_at: null,
      last_refresh_error: null,
      last_checked_at: null,
      last_check_error: null,
      generation: 1,
      upstream_revocation: null,
      created_at: time,
      updated_at: time,
    });
    expect(expectOk(await get(`/v1/connections/${body.id}`))).toEqual({ ...body, explanation: null });
    const token = expectOk(await get(`/v1/connections/${body.id}/token`));
    expect(token).toMatchObject({ access_token: 'mine-already', expires_at, scopes: ['a', 'b'] });
    expect(await readDatabaseFiles(testSetup.broker)).not.toContain('mine-already');
  });

  test("the integration's scopes by default; times with any offset", async () => {
    const credentials = { access_token: 'at', expires_at: '2099-01-01T02:00:00+02:00' };
    const { scopes } = expectOk(await get('/v1/integrations/acme'));
    const body = expectOk(await add({ credentials }), 201);
    expect(body).toMatchObject({ scopes, expires_at: '2099-01-01T00:00:00.000Z' });
  });

  test('renews the live connection of its slot; a new one for another label, integration, or after a revocation', async () => {
    const owner = newOwner();
    const { id } = expectOk(await add({ owner, metadata: { team: 7 }, ...plain }), 201);
    const renewed = expectOk(await add({ owner, ...plain }), 201);
    expect(renewed).toMatchObject({ id, generation: 2, metadata: { team: 7 } });
    expect(expectOk(await add({ owner, label: 'second', ...plain }), 201).id).not.toBe(id);
    expect(expectOk(await add({ owner, integration: 'other', ...plain }), 201).id).not.toBe(id);
    expectOk(await ask('DELETE', `/v1/connections/${id}`));
    expect(expectOk(await add({ owner, ...plain }), 201).id).not.toBe(id);
  });

  test('of two concurrent imports, one creates and one renews', async () => {
    const owner = newOwner();
    const answers = await Promise.all([add({ owner, ...plain }), add({ owner, ...plain })]);
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers.map(({ body }) => body.generation).sort()).toEqual([1, 2]);
    expect(answers[0]!.body.id).toBe(answers[1]!.body.id);
  });

  test('400 that names each invalid field', async () => {
    expectIssues(await add({ credentials: {} }), 'credentials');
    expectIssues(await add({}), 'credentials');
    expectIssues(await add({ credentials: { access_token: '' } }), 'credentials.access_token');
    expectIssues(await add({ credentials: { access_token: 'at', colour: 'red' } }), 'credentials.colour');
    expectIssues(await add({ ...plain, colour: 'red', size: 7 }), 'colour', 'size');
    expectIssues(await add({ ...plain, params: { shop: 'x' } }), 'params.shop');
    expectIssues(await add({ credentials: { access_token: 'at', expires_at: 'soon' } }), 'credentials.expires_at');
    expectIssues(await add({ credentials: { access_token: 'at', scopes: ['a b'] } }), 'credentials.scopes.0');
    expectIssues(await add({ ...plain, owner: '' }), 'owner', 'owner');
    expectIssues(await add({ ...plain, owner: 'a*' }), 'owner');
    expectIssues(await add({ ...plain, owner: 'a\nb' }), 'owner');
    expectIssues(await add({ ...plain, owner: 'x'.repeat(256) }), 'owner');
    expectIssues(await add({ ...plain, label: 'x'.repeat(65) }), 'label');
    expectIssues(await add({ ...plain, integration: 'Acme' }), 'integration');
    expectIssues(await add({ ...plain, metadata: { text: 'x'.repeat(8_192) } }), 'metadata');
    expectIssues(await add({ ...plain, metadata: [] }), 'metadata');
    expectOk(await add({ ...plain, metadata: { text: 'x'.repeat(8_000) } }), 201);
    expectProblem(await add({ ...plain, integration: 'nothing' }), 404, 'not_found');
  });

  test('403 without connections:write on the integration and owner', async () => {
    const owner = newOwner();
    const key = await testSetup.broker.callerKey({ actions: ['token'], owners: [owner] });
    const missing = { action: 'connections:write', integration: 'acme', owner };
    expect(expectProblem(await add({ owner, ...plain }, key), 403, 'forbidden')).toMatchObject({ missing });
    const reader = await testSetup.broker.callerKey({ actions: ['connections:read', 'token', 'admin'] });
    expectProblem(await add({ owner, ...plain }, reader), 403, 'forbidden');
    const writer = await testSetup.broker.callerKey({ actions: ['connections:write'], owners: [owner] });
    expectOk(await add({ owner, ...plain }, writer), 201);
  });
});
