// Two brokers on one database: what is changed at one is felt at the other, by memory that would otherwise not know.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { startIssuer } from '../support/issuer.ts';
import { aDatabase } from '../support/postgres.ts';

/** Generous: the promise is half a second, and this machine may be busy. */
const FELT = { timeout: 5_000, interval: 20 };

const stores: [string, (folder: string) => Promise<string>][] = [
  ['SQLite', async (folder) => `file:${join(folder, 'shared.db')}`],
  ['PostgreSQL', () => aDatabase()],
];

describe.each(stores)('on %s', (_, databaseFor) => {
  let folder: string;
  let here: TestBroker;
  let there: TestBroker;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'valetkey-replicas-'));
    const env = {
      VALETKEY_DATABASE_URL: await databaseFor(folder),
      VALETKEY_DATA_DIR: folder,
      VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
    };
    here = await startTestBroker(env);
    there = await startTestBroker({ ...env, VALETKEY_DATA_DIR: join(folder, 'there') });
    const params = { authorization_url: `${here.url}/none`, token_url: `${here.url}/none` };
    const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
    expectOk(await here.ask('PUT', '/v1/integrations/acme', setup), 201);
  });
  afterAll(async () => {
    await Promise.all([here?.stop(), there?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  let owners = 0;
  async function adopt(wanted: Json = {}): Promise<{ id: string; owner: string }> {
    const owner = typeof wanted.owner === 'string' ? wanted.owner : `owner-${++owners}`;
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    const credentials = { access_token: randomBytes(16).toString('hex'), expires_at };
    const { id } = expectOk(
      await here.ask('POST', '/v1/connections', { integration: 'acme', credentials, ...wanted, owner }),
      201,
    );
    return { id: String(id), owner };
  }
  const tokenAt = (broker: TestBroker, id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
  const ownersAt = (broker: TestBroker, owner: string) =>
    broker.ask('GET', `/v1/token?integration=acme&owner=${owner}`);

  test('a revocation', async () => {
    const { id, owner } = await adopt();
    for (let i = 0; i < 2; i++) expectOk(await tokenAt(there, id));
    expectOk(await ownersAt(there, owner));
    expectOk(await here.ask('DELETE', `/v1/connections/${id}`));
    await expect.poll(async () => (await tokenAt(there, id)).status, FELT).toBe(410);
    await expect.poll(async () => (await ownersAt(there, owner)).status, FELT).toBe(410);
  });

  test('a connection that is renewed, under its id', async () => {
    const { id, owner } = await adopt();
    const before = expectOk(await tokenAt(there, id)).access_token;
    await adopt({ owner, connection_id: id });
    const after = expectOk(await tokenAt(here, id)).access_token;
    expect(after).not.toBe(before);
    await expect.poll(async () => (await tokenAt(there, id)).body.access_token, FELT).toBe(after);
  });

  test('a connection of an owner who had none, and one more of an owner who had one', async () => {
    const owner = 'newcomer';
    expectProblem(await ownersAt(there, owner), 404, 'not_found');
    await adopt({ owner });
    await expect.poll(async () => (await ownersAt(there, owner)).status, FELT).toBe(200);
    const second = await adopt({ owner, label: 'work' });
    await expect.poll(async () => (await ownersAt(there, owner)).body.code, FELT).toBe('ambiguous_connection');
    expectOk(await here.ask('DELETE', `/v1/connections/${second.id}`));
    await expect.poll(async () => (await ownersAt(there, owner)).status, FELT).toBe(200);
  });

  test('a caller, its grants and its keys', async () => {
    const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
    const { id, key, key_id } = expectOk(await here.ask('POST', '/v1/callers', { name: 'x', grants }), 201);
    const seen = async () => (await there.ask('GET', '/v1/callers', undefined, String(key))).status;
    await expect.poll(seen, FELT).toBe(200);
    expectOk(await here.ask('PUT', `/v1/callers/${id}`, { name: 'x', grants: [] }));
    await expect.poll(seen, FELT).toBe(403);
    expect((await here.ask('DELETE', `/v1/callers/${id}/keys/${key_id}`)).status).toBe(204);
    await expect.poll(seen, FELT).toBe(401);
  });

  test('an integration, and the issuer that is trusted for its sake', async () => {
    const issuer = await startIssuer();
    try {
      const token = await issuer.sign({ aud: 'c' });
      const verdict = async () => (await there.ask('POST', '/v1/jwt/verify', { token })).body;
      expect(await verdict()).toMatchObject({ active: false, reason: 'untrusted_issuer' });
      const setup = { provider: 'generic-oidc', client_id: 'c', params: { issuer: issuer.url } };
      expectOk(await here.ask('PUT', '/v1/integrations/idp', setup), 201);
      await expect.poll(async () => (await verdict()).active, FELT).toBe(true);
      expect((await here.ask('DELETE', '/v1/integrations/idp')).status).toBe(204);
      await expect.poll(async () => (await verdict()).active, FELT).toBe(false);
    } finally {
      await issuer.close();
    }
  });
});
