// Cache invalidation between two brokers on one database: a change at one takes effect at the other.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { type Issuer, startIssuer } from '../../support/issuer.ts';
import { isLong } from '../../support/long.ts';
import { startPooler } from '../../support/pooler.ts';
import { hasPostgres } from '../../support/postgres.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

/**
 * Generous: the target is 500 ms, and this machine may be busy. Not polled more often, since too many wrong keys block an
 * address.
 */
const PROPAGATION = { timeout: 30_000, interval: 100 };

type Database = { url: string; stop(): Promise<void> };
const nothing = async () => undefined;
const stores: [string, (folder: string) => Promise<Database>][] = [
  ['SQLite', async (folder) => ({ url: `file:${join(folder, 'shared.db')}`, stop: nothing })],
  ['PostgreSQL', async () => ({ url: await createMigratedDatabase(), stop: nothing })],
  [
    'PostgreSQL behind a pooler',
    async () => {
      const direct = await createMigratedDatabase();
      const pooler = await startPooler(direct);
      return { url: pooler.urlFor(direct), stop: pooler.stop };
    },
  ],
];

/** The token endpoint: it accepts the client secret `right`, and refuses the refresh token `dead`. */
const endpoint = ({ form, headers }: ReceivedRequest): ScriptedResponse => {
  const [, secret] = Buffer.from(headers.authorization?.slice(6) ?? '', 'base64')
    .toString()
    .split(':');
  if (secret !== 'right') return { status: 401, body: { error: 'invalid_client' } };
  if (form.get('refresh_token') === 'dead') return { status: 400, body: { error: 'invalid_grant' } };
  return { body: { access_token: randomBytes(16).toString('hex'), token_type: 'Bearer', expires_in: 3_600 } };
};

describe.each(stores.slice(0, hasPostgres() ? (isLong ? 3 : 2) : 1))(
  'cache invalidation on %s: another replica applies',
  (_, openDatabase) => {
    let folder: string;
    let database: Database;
    let provider: ScriptedServer;
    /** A trusted issuer. */
    let cluster: Issuer;
    let here: TestBroker;
    let there: TestBroker;
    let setup: Json;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'valetkey-replicas-'));
      database = await openDatabase(folder);
      provider = await startScriptedServer(endpoint);
      const env = {
        VALETKEY_DATABASE_URL: database.url,
        VALETKEY_DATA_DIR: folder,
        VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
      };
      cluster = await startIssuer();
      const declared = { trusted_issuers: [{ issuer: cluster.url }] };
      here = await startTestBroker(env, declared);
      there = await startTestBroker({ ...env, VALETKEY_DATA_DIR: join(folder, 'there') }, declared);
      const params = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
      setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 'right', params };
      expectOk(await here.ask('PUT', '/v1/integrations/acme', setup), 201);
    });
    afterAll(async () => {
      await Promise.all([here?.stop(), there?.stop()]);
      await Promise.all([database?.stop(), provider?.close(), cluster?.close()]);
      await rm(folder, { recursive: true, force: true });
    });

    let owners = 0;
    async function importConnection(wanted: Json = {}, refresh_token?: string): Promise<{ id: string; owner: string }> {
      const owner = typeof wanted.owner === 'string' ? wanted.owner : `owner-${++owners}`;
      const expires_at = new Date(Date.now() + 3_600_000).toISOString();
      const access_token = randomBytes(16).toString('hex');
      const credentials = { access_token, expires_at, ...(refresh_token && { refresh_token }) };
      const { id } = expectOk(
        await here.ask('POST', '/v1/connections', { integration: 'acme', credentials, ...wanted, owner }),
        201,
      );
      return { id: String(id), owner };
    }
    const tokenAt = (broker: TestBroker, id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
    /** Token reads that missed the cache. */
    const missesAt = async ({ url }: TestBroker) =>
      /^valetkey_token_cache_lookups_total\{outcome="miss"\} (\d+)/m.exec(
        await (await fetch(`${url}/metrics`)).text(),
      )?.[1];
    const ownersAt = (broker: TestBroker, owner: string) =>
      broker.ask('GET', `/v1/token?integration=acme&owner=${owner}`);

    test('a revocation', async () => {
      const { id, owner } = await importConnection();
      for (let i = 0; i < 2; i++) expectOk(await tokenAt(there, id));
      expectOk(await ownersAt(there, owner));
      expectOk(await here.ask('DELETE', `/v1/connections/${id}`));
      await expect.poll(async () => (await tokenAt(there, id)).status, PROPAGATION).toBe(410);
      await expect.poll(async () => (await ownersAt(there, owner)).status, PROPAGATION).toBe(410);
    });

    test('a revocation, before it is answered', async () => {
      for (let i = 0; i < 12; i++) {
        const { id, owner } = await importConnection();
        expectOk(await tokenAt(there, id));
        expectOk(await ownersAt(there, owner));
        const answer = expectOk(
          i % 2
            ? await here.ask('DELETE', `/v1/connections/${id}`)
            : await here.ask('POST', '/v1/connections/revoke', { owner }),
        );
        // On a busy machine, half a second may not be enough: then it says so.
        if (answer.replicas_pending !== undefined) continue;
        expectProblem(await tokenAt(there, id), 410, 'connection_revoked');
        expectProblem(await ownersAt(there, owner), 410, 'connection_revoked');
      }
    });

    test('the end of a key and of a caller, before it is answered', async () => {
      const { id, key, key_id } = expectOk(await here.ask('POST', '/v1/callers', { name: 'x', grants }), 201);
      const { key: second } = expectOk(await here.ask('POST', `/v1/callers/${id}/keys`), 201);
      const seen = async (one: unknown) => (await seenWith(one)).status;
      await expect.poll(() => seen(second), PROPAGATION).toBe(200);
      const since = performance.now();
      expect((await here.ask('DELETE', `/v1/callers/${id}/keys/${key_id}`)).status).toBe(204);
      if (performance.now() - since < 400) expect(await seen(key)).toBe(401);
      const later = performance.now();
      expect((await here.ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
      if (performance.now() - later < 400) expect(await seen(second)).toBe(401);
    });

    test('a renewed connection under the same id, before it is read', async () => {
      const { id, owner } = await importConnection();
      const before = expectOk(await tokenAt(there, id)).access_token;
      // A read that was under way when the change of its creation arrived is not kept.
      const missesOfARead = async () => {
        const then = await missesAt(there);
        expectOk(await tokenAt(there, id));
        return Number(await missesAt(there)) - Number(then);
      };
      await expect.poll(missesOfARead, PROPAGATION).toBe(0);
      const misses = await missesAt(there);
      await importConnection({ owner, connection_id: id });
      const after = expectOk(await tokenAt(here, id)).access_token;
      expect(after).not.toBe(before);
      await expect.poll(async () => (await tokenAt(there, id)).body.access_token, PROPAGATION).toBe(after);
      expect(await missesAt(there)).toBe(misses);
    });

    test('a refresh', async () => {
      const { id } = await importConnection({}, 'alive');
      expectOk(await tokenAt(there, id));
      const { access_token } = expectOk(await here.ask('POST', `/v1/connections/${id}/refresh`, {}));
      await expect.poll(async () => (await tokenAt(there, id)).body.access_token, PROPAGATION).toBe(access_token);
    });

    test('a dead grant', async () => {
      const { id, owner } = await importConnection({}, 'dead');
      expectOk(await tokenAt(there, id));
      expectOk(await ownersAt(there, owner));
      expectProblem(await here.ask('POST', `/v1/connections/${id}/refresh`, {}), 409, 'reauthorization_required');
      await expect.poll(async () => (await tokenAt(there, id)).status, PROPAGATION).toBe(409);
      await expect.poll(async () => (await ownersAt(there, owner)).status, PROPAGATION).toBe(409);
    });

    test('a fixed integration: its circuit breaker closes', async () => {
      expectOk(await here.ask('PUT', '/v1/integrations/broken', { ...setup, client_secret: 'wrong' }), 201);
      const ids: string[] = [];
      for (let i = 0; i < 3; i++) ids.push(String((await importConnection({ integration: 'broken' }, 'alive')).id));
      const refresh = async () => {
        const answers = await Promise.all(ids.map((id) => there.ask('POST', `/v1/connections/${id}/refresh`, {})));
        return answers[0]!;
      };
      const circuit = async () =>
        /valetkey_circuit_breaker_state\{integration="broken"\} (\S+)/.exec(
          await (await fetch(`${there.url}/metrics`)).text(),
        )?.[1];
      // The notification of its creation may come only now, and closes the circuit breaker once.
      const refused = async () => [(await refresh()).status, await circuit()];
      await expect.poll(refused, PROPAGATION).toEqual([502, '1']);
      expectOk(await here.ask('PUT', '/v1/integrations/broken', setup));
      // A circuit that is closed is forgotten, and has no state until something is refreshed.
      await expect.poll(async () => (await circuit()) ?? '0', PROPAGATION).toBe('0');
      expectOk(await refresh());
    });

    test('a first connection of an owner, and a second one', async () => {
      const owner = 'newcomer';
      expectProblem(await ownersAt(there, owner), 404, 'not_found');
      await importConnection({ owner });
      await expect.poll(async () => (await ownersAt(there, owner)).status, PROPAGATION).toBe(200);
      const second = await importConnection({ owner, label: 'work' });
      await expect.poll(async () => (await ownersAt(there, owner)).body.code, PROPAGATION).toBe('ambiguous_connection');
      expectOk(await here.ask('DELETE', `/v1/connections/${second.id}`));
      await expect.poll(async () => (await ownersAt(there, owner)).status, PROPAGATION).toBe(200);
    });

    test('a caller, its permissions and its keys', async () => {
      const { id, key, key_id } = expectOk(await here.ask('POST', '/v1/callers', { name: 'x', grants }), 201);
      const seen = async () => (await there.ask('GET', '/v1/callers', undefined, String(key))).status;
      await expect.poll(seen, PROPAGATION).toBe(200);
      expectOk(await here.ask('PUT', `/v1/callers/${id}`, { name: 'x', grants: [] }));
      await expect.poll(seen, PROPAGATION).toBe(403);
      expect((await here.ask('DELETE', `/v1/callers/${id}/keys/${key_id}`)).status).toBe(204);
      await expect.poll(seen, PROPAGATION).toBe(401);
    });

    const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
    const seenWith = (key: unknown) => there.ask('GET', '/v1/whoami', undefined, String(key));

    test('a second key, and the deletion of a caller with its keys', async () => {
      const { id, key } = expectOk(await here.ask('POST', '/v1/callers', { name: 'y', grants }), 201);
      const second = expectOk(await here.ask('POST', `/v1/callers/${id}/keys`), 201).key;
      await expect.poll(async () => (await seenWith(second)).status, PROPAGATION).toBe(200);
      expect((await here.ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
      for (const old of [key, second])
        await expect.poll(async () => (await seenWith(old)).status, PROPAGATION).toBe(401);
    });

    test('a caller’s rate limit', async () => {
      const { id, key } = expectOk(await here.ask('POST', '/v1/callers', { name: 'z', grants }), 201);
      const limit = async () => (await seenWith(key)).headers.get('ratelimit-policy');
      await expect.poll(async () => (await seenWith(key)).status, PROPAGATION).toBe(200);
      expect(await limit()).toBeNull();
      const rate_limit = { requests: 5_000, window: 60 };
      expectOk(await here.ask('PUT', `/v1/callers/${id}`, { name: 'z', grants, rate_limit }));
      await expect.poll(limit, PROPAGATION).toBe('"caller";q=5000;w=60');
    });

    test('the end of an agent session, of the one that made it, and of its key; and both count its uses', async () => {
      const { id, key, key_id } = expectOk(await here.ask('POST', '/v1/callers', { name: 'agents', grants }), 201);
      const wanted = { owner: 'ada', integrations: ['acme'], actions: ['token', 'sessions'], purpose: 'a test' };
      const make = async (broker: TestBroker, by: unknown, more: Json = {}) =>
        expectOk(await broker.ask('POST', '/v1/sessions', { ...wanted, ...more }, String(by)), 201);
      const seenAt = async (broker: TestBroker, { token }: Json) =>
        (await broker.ask('GET', '/v1/whoami', undefined, String(token))).status;
      const [first, other] = [await make(here, key), await make(here, key)];
      const below = await make(there, first.token);
      for (const one of [first, other, below])
        expect([await seenAt(here, one), await seenAt(there, one)]).toEqual([200, 200]);
      const since = performance.now();
      expectOk(await here.ask('DELETE', `/v1/sessions/${first.id}`));
      // On a busy machine, half a second may not be enough.
      if (performance.now() - since < 400) for (const one of [first, below]) expect(await seenAt(there, one)).toBe(401);
      for (const one of [first, below]) await expect.poll(() => seenAt(there, one), PROPAGATION).toBe(401);
      expect(await seenAt(here, below)).toBe(401);

      const limited = await make(here, key, { max_uses: 7 });
      const uses = await Promise.all(Array.from({ length: 12 }, (_, n) => seenAt(n % 2 ? here : there, limited)));
      expect(uses.filter((status) => status === 200)).toHaveLength(7);

      expect((await here.ask('DELETE', `/v1/callers/${id}/keys/${key_id}`)).status).toBe(204);
      await expect.poll(() => seenAt(there, other), PROPAGATION).toBe(401);
    });

    test('declared integrations, callers and keys', async () => {
      const key = `vk_${randomBytes(32).toString('base64url')}`;
      const declared = { integrations: [{ id: 'declared', ...setup }], callers: [{ name: 'declared', grants, key }] };
      expectOk(await here.ask('POST', '/v1/apply', declared));
      await expect.poll(async () => (await seenWith(key)).status, PROPAGATION).toBe(200);
      expectOk(await here.ask('POST', '/v1/apply', { callers: [{ name: 'declared', grants, keys: [] }] }));
      await expect.poll(async () => (await seenWith(key)).status, PROPAGATION).toBe(401);
    });

    test('the workload identities of a caller, and the removal of one', async () => {
      const workloads = [{ issuer: cluster.url, audience: 'valetkey', claims: { sub: 'job' } }];
      const caller = { name: 'job', grants, workloads };
      const { id } = expectOk(await here.ask('POST', '/v1/callers', caller), 201);
      const token = await cluster.sign({ sub: 'job' });
      await expect.poll(async () => (await seenWith(token)).status, PROPAGATION).toBe(200);
      const other = [{ ...workloads[0], claims: { sub: 'other' } }];
      expectOk(await here.ask('PUT', `/v1/callers/${id}`, { ...caller, workloads: other }));
      await expect.poll(async () => (await seenWith(token)).status, PROPAGATION).toBe(401);
      expectOk(await here.ask('PUT', `/v1/callers/${id}`, caller));
      await expect.poll(async () => (await seenWith(token)).status, PROPAGATION).toBe(200);
      expect((await here.ask('DELETE', `/v1/callers/${id}`)).status).toBe(204);
      await expect.poll(async () => (await seenWith(token)).status, PROPAGATION).toBe(401);
    });

    test('an integration, and its trusted issuer', async () => {
      const issuer = await startIssuer();
      try {
        const token = await issuer.sign({ aud: 'c' });
        const verdict = async () => (await there.ask('POST', '/v1/jwt/verify', { token })).body;
        expect(await verdict()).toMatchObject({ active: false, reason: 'untrusted_issuer' });
        const setup = { provider: 'generic-oidc', client_id: 'c', params: { issuer: issuer.url } };
        expectOk(await here.ask('PUT', '/v1/integrations/idp', setup), 201);
        await expect.poll(async () => (await verdict()).active, PROPAGATION).toBe(true);
        expect((await here.ask('DELETE', '/v1/integrations/idp')).status).toBe(204);
        await expect.poll(async () => (await verdict()).active, PROPAGATION).toBe(false);
      } finally {
        await issuer.close();
      }
    });
  },
);
