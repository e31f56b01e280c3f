// Revocation: refused here at once, and delivered to the provider with retries.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BulkRevoked, Revocation } from '../../src/api/index.ts';
import { BACKGROUND_BACKOFF_MAX_MS } from '../../src/domain/time-limits.ts';
import type { Answer, Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { newOwner, queryDatabase } from '../support/owner-browser.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const DAY = 24 * 3_600_000;

let testSetup: TestSetup;
beforeAll(async () => {
  testSetup = await startTestSetup();
});
afterAll(() => testSetup.close());
afterEach(() => testSetup.proxy.setRule('pass'));

const revoke = (id: string, key?: string): Promise<Answer> =>
  testSetup.broker.ask('DELETE', `/v1/connections/${id}`, undefined, key);
const read = (id: string): Promise<Answer> => testSetup.broker.ask('GET', `/v1/connections/${id}/token`);
const connection = async (id: string): Promise<Json> =>
  expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}`));
const outcomeOf = async (id: string) => (await connection(id)).upstream_revocation;
const bulk = (body: Json, key?: string): Promise<Answer> =>
  testSetup.broker.ask('POST', '/v1/connections/revoke', body, key);
/** The revocation requests that the provider received. */
const revocations = () =>
  testSetup.proxy.requests.filter(({ path }) => path.endsWith('/revocation')).map(({ form }) => form.get('token'));

/** RFC 7662, at the provider. */
async function isActive(token: unknown): Promise<unknown> {
  const credentials = Buffer.from(`${testSetup.clientId}:${testSetup.clientSecret}`).toString('base64');
  const response = await fetch(`${testSetup.provider.issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${credentials}` },
    body: new URLSearchParams({ token: String(token) }),
  });
  return ((await response.json()) as Json).active;
}

/** A connection with tokens of the provider, both known. */
async function connected(owner = newOwner()) {
  const id = await testSetup.importConnection(owner);
  const { access_token } = expectOk(await read(id));
  const { refresh_token } = testSetup.proxy.forwarded('refresh_token').at(-1)?.answer ?? {};
  expect(await Promise.all([isActive(access_token), isActive(refresh_token)])).toEqual([true, true]);
  return { id, tokens: [access_token, refresh_token] };
}

describe('revoking a connection', () => {
  test('done: refused here, and both tokens are dead at the provider', async () => {
    const { id, tokens } = await connected();
    const body = expectOk(await revoke(id));
    Revocation.strict().parse(body);
    expect(body).toEqual({ id, status: 'revoked', upstream_revocation: 'done' });
    expectProblem(await read(id), 410, 'connection_revoked');
    for (const token of tokens) expect(await isActive(token)).toBe(false);
    expect(await connection(id)).toMatchObject({
      status: 'revoked',
      reason: null,
      next_refresh_at: null,
      upstream_revocation: 'done',
    });
  });

  test('a second time: the same answer, without a request to the provider', async () => {
    const { id } = await connected();
    const first = expectOk(await revoke(id));
    const before = revocations().length;
    expect(expectOk(await revoke(id))).toEqual(first);
    expect(revocations().length).toBe(before);
  });

  test('provider down: pending, refused here at once, delivered when it is back', async () => {
    const { id, tokens } = await connected();
    testSetup.proxy.setRule('cut');
    expect(expectOk(await revoke(id))).toEqual({ id, status: 'revoked', upstream_revocation: 'pending' });
    expectProblem(await read(id), 410, 'connection_revoked');
    expect(await outcomeOf(id)).toBe('pending');
    expect(expectOk(await revoke(id))).toMatchObject({ upstream_revocation: 'pending' });
    expect(await isActive(tokens[1])).toBe(true);

    testSetup.proxy.setRule('pass');
    testSetup.advance(BACKGROUND_BACKOFF_MAX_MS);
    await expect.poll(() => outcomeOf(id), { interval: 20, timeout: 30_000 }).toBe('done');
    for (const token of tokens) expect(await isActive(token)).toBe(false);
  });

  test('provider never answers: failed after a week, then the integration can be deleted', async () => {
    expectOk(await testSetup.broker.ask('PUT', '/v1/integrations/dead', testSetup.integrationBody), 201);
    const credentials = { access_token: 'at' };
    const body = { integration: 'dead', owner: newOwner(), credentials };
    const id = String(expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201).id);
    testSetup.proxy.setRule('cut');
    expect(expectOk(await revoke(id))).toMatchObject({ upstream_revocation: 'pending' });
    const inUse = expectProblem(
      await testSetup.broker.ask('DELETE', '/v1/integrations/dead'),
      409,
      'integration_in_use',
    );
    expect(inUse).toMatchObject({ connections: 0, pending_revocations: 1 });
    testSetup.advance(7 * DAY + 60_000);
    await expect.poll(() => outcomeOf(id), { interval: 20, timeout: 30_000 }).toBe('failed');
    expect((await testSetup.broker.ask('DELETE', '/v1/integrations/dead')).status).toBe(204);
  });

  test('provider without revocation: unsupported', async () => {
    const url = 'https://id.example/x';
    const setup = { provider: 'generic-oauth2', client_id: 'me', params: { authorization_url: url, token_url: url } };
    expectOk(await testSetup.broker.ask('PUT', '/v1/integrations/deaf', setup), 201);
    const body = { integration: 'deaf', owner: newOwner(), credentials: { access_token: 'at', refresh_token: 'rt' } };
    const id = String(expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201).id);
    expect(expectOk(await revoke(id))).toEqual({ id, status: 'revoked', upstream_revocation: 'unsupported' });
    expectProblem(await read(id), 410, 'connection_revoked');
    expect(await outcomeOf(id)).toBe('unsupported');
  });

  test('provider says that the grant is dead already: done', async () => {
    const server = await startScriptedServer(() => ({ status: 400, body: { error: 'invalid_grant' } }));
    try {
      const url = `${server.url}/x`;
      const params = { authorization_url: url, token_url: url, revocation_url: url };
      const setup = { provider: 'generic-oauth2', client_id: 'me', client_secret: 'secret', params };
      expectOk(await testSetup.broker.ask('PUT', '/v1/integrations/stubborn', setup), 201);
      const body = { integration: 'stubborn', owner: newOwner(), credentials: { refresh_token: 'rt' } };
      const id = String(expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201).id);
      expect(expectOk(await revoke(id))).toMatchObject({ upstream_revocation: 'done' });
      expect(await outcomeOf(id)).toBe('done');
    } finally {
      await server.close();
    }
  });

  test('destroys the secrets: no row has a ciphertext', async () => {
    const { id } = await connected();
    const held = (table: string) =>
      queryDatabase<{ n: number }>(testSetup.broker, `select count(*) n from ${table} where connection_id = ?`, id)[0]
        ?.n;
    expect(held('grants')).toBe(1);
    expectOk(await revoke(id));
    expect([held('grants'), held('outbox_revocations')]).toEqual([0, 0]);
  });

  test('during a refresh: the caller is refused, and the new tokens are revoked too', async () => {
    const id = await testSetup.importConnection(newOwner());
    testSetup.proxy.setRule(({ form }) => (form.get('grant_type') === 'refresh_token' ? 'withhold' : 'pass'));
    const reading = read(id);
    await testSetup.proxy.untilHeld(1);
    const { access_token, refresh_token } = testSetup.proxy.forwarded('refresh_token').at(-1)?.answer ?? {};
    expectOk(await revoke(id));
    testSetup.proxy.release();
    expectProblem(await reading, 410, 'connection_revoked');
    await expect
      .poll(revocations, { interval: 20, timeout: 30_000 })
      .toEqual(expect.arrayContaining([access_token, refresh_token]));
    await expect.poll(() => outcomeOf(id), { interval: 20, timeout: 30_000 }).toBe('done');
    for (const token of [access_token, refresh_token]) expect(await isActive(token)).toBe(false);
    expectProblem(await read(id), 410, 'connection_revoked');
  });

  test('403 without connections:write, 404 for an unknown connection', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner, { access_token: 'at' });
    const key = await testSetup.broker.callerKey({ actions: ['connections:read', 'token', 'admin'] });
    const missing = { action: 'connections:write', integration: 'acme', owner };
    expect(expectProblem(await revoke(id, key), 403, 'forbidden')).toMatchObject({ missing });
    expectOk(await read(id));
    expectProblem(await revoke('con_nothing'), 404, 'not_found');
  });
});

describe('revoking in bulk', () => {
  const adoptAt = async (integration: string, owner: string, label = '') => {
    const body = { integration, owner, label, credentials: { access_token: 'at' } };
    return String(expectOk(await testSetup.broker.ask('POST', '/v1/connections', body), 201).id);
  };
  const statusOf = async (...ids: string[]) => Promise.all(ids.map(async (id) => (await connection(id)).status));

  test('by owner, by integration, or both: only those', async () => {
    for (const id of ['first', 'second'])
      expectOk(await testSetup.broker.ask('PUT', `/v1/integrations/${id}`, testSetup.integrationBody), 201);
    const [ada, ada1] = [newOwner(), newOwner()].map((owner) => `bulk-${owner}`) as [string, string];
    const longer = `${ada}0`;
    const ids = {
      first: await adoptAt('first', ada),
      firstWork: await adoptAt('first', ada, 'work'),
      second: await adoptAt('second', ada),
      other: await adoptAt('first', ada1),
      longer: await adoptAt('first', longer),
    };
    for (const id of Object.values(ids)) expectOk(await read(id));

    const both = expectOk(await bulk({ integration: 'second', owner: ada }));
    BulkRevoked.strict().parse(both);
    expect(both).toEqual({ revoked: 1, upstream_revocation: { pending: 1, unsupported: 0 } });
    expect(await statusOf(ids.second, ids.first)).toEqual(['revoked', 'active']);
    expectProblem(await read(ids.second), 410, 'connection_revoked');

    expect(expectOk(await bulk({ owner: ada }))).toMatchObject({ revoked: 2 });
    expect(await statusOf(ids.first, ids.firstWork, ids.other, ids.longer)).toEqual([
      'revoked',
      'revoked',
      'active',
      'active',
    ]);
    for (const id of [ids.first, ids.firstWork]) expectProblem(await read(id), 410, 'connection_revoked');
    expectOk(await read(ids.longer));

    expect(expectOk(await bulk({ integration: 'first' }))).toMatchObject({ revoked: 2 });
    expect(await statusOf(ids.other, ids.longer)).toEqual(['revoked', 'revoked']);
    expect(expectOk(await bulk({ integration: 'first' }))).toMatchObject({ revoked: 0 });
    for (const id of Object.values(ids))
      await expect.poll(() => outcomeOf(id), { interval: 20, timeout: 30_000 }).toBe('done');
  });

  test('more than one batch', async () => {
    const owner = newOwner();
    await Promise.all(Array.from({ length: 120 }, (_, i) => adoptAt('acme', owner, `l${i}`)));
    expect(expectOk(await bulk({ owner }))).toMatchObject({ revoked: 120 });
    const { data } = expectOk(await testSetup.broker.ask('GET', `/v1/connections?owner=${owner}&status=active`));
    expect(data).toEqual([]);
  });

  test('400 without integration and owner; 403 without connections:write on all of them', async () => {
    expectProblem(await bulk({}), 400, 'invalid_request');
    expectIssues(await bulk({ owner: '*' }), 'owner');
    expectIssues(await bulk({ integration: '*' }), 'integration');
    expectIssues(await bulk({ owner: 'ada', status: 'active' }), 'status');
    const owner = newOwner();
    const id = await adoptAt('acme', owner);
    const narrow = await testSetup.broker.callerKey({
      actions: ['connections:write'],
      integrations: ['acme'],
      owners: [`${owner}*`],
    });
    expectProblem(await bulk({ owner }, narrow), 403, 'forbidden');
    expectProblem(await bulk({ integration: 'acme' }, narrow), 403, 'forbidden');
    expect(await statusOf(id)).toEqual(['active']);
    expect(expectOk(await bulk({ integration: 'acme', owner }, narrow))).toMatchObject({ revoked: 1 });
  });
});
