// Whoever can write to the database, and has no key of the ring, gets no token and no secret: attacks by SQL on a running
// broker, on both stores.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { codeMode, entry } from '../support/entries.ts';
import { callbackWithConsent, openLink, visit } from '../support/owner-browser.ts';
import { asked, hasPostgres } from '../support/postgres.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';
import { createMigratedDatabase } from '../support/stores.ts';

type Run = (statement: string) => Promise<Record<string, unknown>[]>;

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Runs one statement as anyone who can write to the database. */
const writers: Record<string, (broker: TestBroker, url: string) => Run> = {
  sqlite: (broker) => async (statement) => {
    const client = new Sqlite(broker.database, { timeout: 5_000 });
    try {
      const prepared = client.prepare<[], Record<string, unknown>>(statement);
      if (prepared.reader) return prepared.all();
      prepared.run();
      return [];
    } finally {
      client.close();
    }
  },
  postgres: (_, url) => (statement) => asked(url, statement),
};

describe.each(Object.keys(writers).filter((dialect) => dialect !== 'postgres' || hasPostgres()))(
  'a writer of the database in %s',
  (dialect) => {
    let broker: TestBroker;
    let provider: ScriptedServer;
    let thief: ScriptedServer;
    let sql: Run;
    let folder: string;

    beforeAll(async () => {
      const answer = () => ({
        body: { access_token: randomBytes(8).toString('hex'), token_type: 'Bearer', expires_in: 3_600 },
      });
      [provider, thief] = await Promise.all([startScriptedServer(answer), startScriptedServer(answer)]);
      folder = await mkdtemp(join(tmpdir(), 'valetkey-entries-'));
      await writeFile(join(folder, 'tenants.json'), JSON.stringify(tenants()));
      const url = dialect === 'postgres' ? await createMigratedDatabase() : '';
      const env = { VALETKEY_PROVIDERS_DIR: folder, ...(url !== '' && { VALETKEY_DATABASE_URL: url }) };
      broker = await startTestBroker(env, undefined, {
        refreshAhead: false,
        outboxEveryMs: 20,
      });
      sql = writers[dialect]!(broker, url);
      expect((await put('acme')).status).toBe(201);
    });
    afterAll(async () => {
      await broker?.stop();
      await Promise.all([provider?.close(), thief?.close()]);
      if (folder) await rm(folder, { recursive: true });
    });

    /** A connection says which host of the vendor it is at: only the port of the provider is one. */
    const tenants = () =>
      entry('tenants', {
        connection_params: { port: { title: 'port', pattern: new URL(provider.url).port } },
        auth: [
          codeMode({
            authorization_url: 'http://127.0.0.1:{port}/authorize',
            token_url: 'http://127.0.0.1:{port}/token',
          }),
        ],
      });
    const put = (id: string, more: Json = {}) =>
      broker.ask('PUT', `/v1/integrations/${id}`, {
        provider: 'generic-oauth2',
        client_id: 'us',
        client_secret: 'a client secret',
        params: { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` },
        ...more,
      });

    async function connect(owner: string, integration = 'acme', label?: string): Promise<string> {
      const credentials = { access_token: `access of ${owner}`, refresh_token: `refresh of ${owner}` };
      const expires_at = new Date(Date.now() + 3_600_000).toISOString();
      const body = { integration, owner, ...(label && { label }), credentials: { ...credentials, expires_at } };
      return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
    }
    const tokenOf = (owner: string, integration = 'acme', key?: string) =>
      broker.ask('GET', `/v1/token?integration=${integration}&owner=${owner}`, undefined, key);
    /** As a broker tells the others that callers or integrations have changed. */
    const announce = (kind: string) => sql(`insert into changes (kind) values ('${kind}')`);
    const refused = async () => {
      const { data } = expectOk(await broker.ask('GET', '/v1/audit?action=row.refused&limit=200'));
      return (data as Json[]).map(({ detail }) => detail);
    };

    test('gets no token by making another the owner, or the integration, or the label', async () => {
      await put('other');
      for (const [owner, change] of [
        ['alice', `owner = 'mallory'`],
        ['bob', `integration = 'other', owner = 'mallory'`],
      ] as const) {
        const id = await connect(owner);
        await sql(`update connections set ${change} where id = '${id}'`);
        const answer = await tokenOf('mallory', change.includes('other') ? 'other' : 'acme');
        expectProblem(answer, 500, 'not_authentic');
        expect(JSON.stringify(answer.body)).not.toContain(id);
        // It is recorded beside the answer.
        await expect.poll(refused).toContain(`connections ${id}`);
        await sql(`update connections set owner = 'nobody${id}' where id = '${id}'`);
      }
      const first = await connect('carol', 'acme', 'private');
      await sql(`update connections set label = 'shared' where id = '${first}'`);
      expectProblem(
        await broker.ask('GET', '/v1/token?integration=acme&owner=carol&label=shared'),
        500,
        'not_authentic',
      );
    });

    test('gets no token by copying the secrets of another connection', async () => {
      const [own, other] = [await connect('mallory2'), await connect('victim')];
      await sql(
        `update grants set access_token = (select access_token from grants where connection_id = '${other}') where connection_id = '${own}'`,
      );
      await announce('reset');
      expectProblem(await tokenOf('mallory2'), 500, 'not_authentic');
    });

    test('cannot add a caller, or a key to a caller, or widen its permissions', async () => {
      await connect('dave');
      const grants = JSON.stringify([{ actions: ['*'], integrations: ['*'], owners: ['*'] }]);
      const [forged, added] = ['vk_forged', 'vk_added'];
      const limited = expectOk(
        await broker.ask('POST', '/v1/callers', {
          name: 'limited',
          grants: [{ actions: ['connections:read'], integrations: ['acme'], owners: ['dave'] }],
        }),
        201,
      );
      await sql(
        `insert into callers (id, name, grants, workloads, created_at) values ('clr_forged', 'x', '${grants}', '[]', 1)`,
      );
      await sql(
        `insert into caller_keys (id, caller_id, digest, prefix, created_at) values ('key_forged', 'clr_forged', '${sha256(forged)}', 'vk', 1)`,
      );
      // To a caller that exists, with the code of another key.
      await sql(
        `insert into caller_keys (id, caller_id, digest, prefix, created_at, mac) select 'key_added', caller_id, '${sha256(added)}', 'vk', 1, mac from caller_keys where caller_id = '${limited.id}'`,
      );
      await announce('callers');
      await expect
        .poll(refused, { timeout: 30_000 })
        .toEqual(expect.arrayContaining(['callers clr_forged', 'caller_keys key_added']));
      for (const key of [forged, added]) expectProblem(await tokenOf('dave', 'acme', key), 401, 'unauthenticated');
      expectProblem(await tokenOf('dave', 'acme', String(limited.key)), 403, 'forbidden');

      await sql(`update callers set grants = '${grants}' where id = '${limited.id}'`);
      await announce('callers');
      await expect.poll(refused, { timeout: 30_000 }).toContain(`callers ${limited.id}`);
      expectProblem(await tokenOf('dave', 'acme', String(limited.key)), 401, 'unauthenticated');
      expect(expectOk(await broker.ask('GET', '/v1/callers')).data).not.toContainEqual(
        expect.objectContaining({ id: 'clr_forged' }),
      );
      // The code itself is not enough, nor none at all.
      for (const mac of [`'m1.k.${'A'.repeat(43)}'`, 'null'])
        await sql(`update callers set mac = ${mac} where id = '${limited.id}'`);
      await announce('callers');
      expectProblem(await tokenOf('dave', 'acme', String(limited.key)), 401, 'unauthenticated');
    });

    test('cannot make a key last longer, or hand it to another caller', async () => {
      const caller = (owners: string[]) =>
        broker.ask('POST', '/v1/callers', {
          name: 'one',
          grants: [{ actions: ['token'], integrations: ['*'], owners }],
          key_expires_at: new Date(Date.now() + 86_400_000).toISOString(),
        });
      const [narrow, wide] = [expectOk(await caller(['nobody']), 201), expectOk(await caller(['*']), 201)];
      await sql(`update caller_keys set expires_at = null where caller_id = '${narrow.id}'`);
      await announce('callers');
      await expect
        .poll(async () => (await tokenOf('nobody', 'acme', String(narrow.key))).status, { timeout: 30_000 })
        .toBe(401);
      await sql(`update caller_keys set caller_id = '${wide.id}' where caller_id = '${narrow.id}'`);
      await announce('callers');
      expectProblem(await tokenOf('nobody', 'acme', String(narrow.key)), 401, 'unauthenticated');
      expectOk(await broker.ask('GET', '/v1/whoami', undefined, String(wide.key)));
    });

    test('cannot have refresh tokens and client secrets sent elsewhere', async () => {
      await put('redirected');
      const id = await connect('erin', 'redirected');
      const column = dialect === 'sqlite' ? 'params' : 'params::text';
      const json = dialect === 'sqlite' ? '' : '::json';
      await sql(
        `update integrations set version = version + 1, params = replace(${column}, '${provider.url}', '${thief.url}')${json} where id = 'redirected'`,
      );
      await announce('integration');
      const answer = await broker.ask('POST', `/v1/connections/${id}/refresh`, {});
      expectProblem(answer, 502, 'integration_misconfigured');
      await sql(
        `update integrations set version = version + 1, overrides = '${JSON.stringify({ token_url: `${thief.url}/token` })}' where id = 'redirected'`,
      );
      expectProblem(await broker.ask('POST', `/v1/connections/${id}/refresh`, {}), 502, 'integration_misconfigured');
      expectProblem(await broker.ask('GET', '/v1/integrations/redirected'), 502, 'integration_misconfigured');
      await expect.poll(refused).toContain('integrations redirected');
      await broker.ask('DELETE', `/v1/connections/${id}`);
      expect(thief.received).toEqual([]);
      // An admin sets it up again.
      expect((await put('redirected')).status).toBe(200);
      const again = await connect('erin2', 'redirected');
      expectOk(await broker.ask('POST', `/v1/connections/${again}/refresh`, {}));
    });

    test('cannot have them sent to a host that the catalogue does not admit, by the params of a connection or flow', async () => {
      const setup = { provider: 'tenants', client_id: 'us', client_secret: 'a client secret' };
      expectOk(await broker.ask('PUT', '/v1/integrations/tenants', setup), 201);
      const params = { port: new URL(provider.url).port };
      const forged = (table: string, where: string) =>
        sql(`update ${table} set params = '{"port":"${new URL(thief.url).port}"}' where ${where}`);
      const imported = { integration: 'tenants', owner: 'erin', params, credentials: { refresh_token: 'r' } };
      const { id } = expectOk(await broker.ask('POST', '/v1/connections', imported), 201);
      await forged('connections', `id = '${id}'`);
      expectProblem(await broker.ask('POST', `/v1/connections/${id}/refresh`, {}), 502, 'integration_misconfigured');
      expectOk(await broker.ask('DELETE', `/v1/connections/${id}`));

      const wanted = { integration: 'tenants', owner: 'eve', params };
      const session = expectOk(await broker.ask('POST', '/v1/connect-sessions', wanted), 201);
      const jar = createCookieJar();
      const { location } = await openLink(String(session.url), jar);
      await forged('flows', `session_id = '${session.id}'`);
      expect((await visit(callbackWithConsent(location), jar)).status).toBeGreaterThanOrEqual(400);
      expect(thief.received).toEqual([]);
    });

    test('cannot have an owner connect for another one', async () => {
      const session = async (owner: string) =>
        expectOk(await broker.ask('POST', '/v1/connect-sessions', { integration: 'acme', owner }), 201);
      const pending = await session('frank');
      await sql(`update connect_sessions set owner = 'mallory3' where id = '${pending.id}'`);
      expect((await fetch(String(pending.url), { redirect: 'manual' })).status).toBe(404);

      // After it was opened, its flow is led to a session of the attacker.
      const [victim, own] = [await session('grace'), await session('mallory4')];
      const jar = createCookieJar();
      const begun = await openLink(String(victim.url), jar);
      const state = new URL(begun.location!).searchParams.get('state');
      await sql(`update flows set session_id = '${own.id}' where session_id = '${victim.id}'`);
      const back = await visit(new URL(`/oauth2/callback/acme?code=a-code&state=${state}`, broker.url), jar);
      expect(back.status).toBeGreaterThanOrEqual(400);
      expect((await tokenOf('mallory4')).status).toBe(404);
      expect(provider.received.filter(({ form }) => form.get('code') === 'a-code')).toEqual([]);
    });

    test('cannot have a revoked token sent to another integration’s provider', async () => {
      await put('acme2', { overrides: { revocation_url: `${provider.url}/revoke` } });
      await put('elsewhere', {
        params: { authorization_url: `${thief.url}/a`, token_url: `${thief.url}/t`, revocation_url: `${thief.url}/r` },
      });
      const id = await connect('heidi', 'acme2');
      const row = { connection: id, at: Date.now() + 86_400_000 };
      await sql(
        `insert into outbox_revocations (id, connection_id, integration, owner, label, params, captured, access_token, refresh_token, attempts, next_at, created_at)
       select 'rev_forged', '${row.connection}', 'elsewhere', 'heidi', '', '{}', '{}', access_token, refresh_token, 0, 1, 1 from grants where connection_id = '${id}'`,
      );
      await expect
        .poll(() => sql(`select * from outbox_revocations where id = 'rev_forged'`), { timeout: 30_000 })
        .toEqual([]);
      expect(thief.received).toEqual([]);
    });

    test('cannot have an endpoint hear more by the permissions of its caller', async () => {
      const grants = [{ actions: ['events'], integrations: ['*'], owners: ['listener'] }];
      const made = expectOk(await broker.ask('POST', '/v1/callers', { name: 'listener', grants }), 201);
      const url = 'https://listener.example/hook';
      const key = String(made.key);
      const heard = async (owner: string) => {
        const id = await connect(owner);
        const found = await sql(`select id from deliveries where connection_id = '${id}'`);
        return found.length;
      };
      expectOk(await broker.ask('POST', '/v1/webhook-endpoints', { url, types: ['connection.created'] }, key), 201);
      expect([await heard('listener'), await heard('karl')]).toEqual([1, 0]);
      const all = JSON.stringify([{ actions: ['*'], integrations: ['*'], owners: ['*'] }]);
      await sql(`update callers set grants = '${all}' where id = '${made.id}'`);
      // As each change of who hears what does.
      await sql(`update event_sequences set sequence = sequence - 1 where connection_id = 'audience'`);
      expect(await heard('laura')).toBe(0);
      expectOk(await broker.ask('DELETE', `/v1/callers/${made.id}`), 204);
    });

    test('cannot have an endpoint sent what its caller may not hear, nor make up what a third party has sent', async () => {
      const grants = [{ actions: ['events'], integrations: ['*'], owners: ['spy'] }];
      const made = expectOk(await broker.ask('POST', '/v1/callers', { name: 'spy', grants }), 201);
      const key = String(made.key);
      const hook = { url: `${provider.url}/hook`, types: ['connection.created'] };
      const endpoint = expectOk(await broker.ask('POST', '/v1/webhook-endpoints', hook, key), 201);
      const id = await connect('mike');
      const [heard] = await sql(`select id from events where connection_id = '${id}'`);
      const forged = JSON.stringify({ integration: 'acme', connection: null, owner: 'spy', body: 'forged' });
      const next = 'select 1000 + max(position) from events';
      await sql(
        `insert into events (id, position, type, at, integration, owner, data) values ('msg_forged', (${next}), 'webhook.received', 1, 'acme', 'spy', '${forged}')`,
      );
      const due = (event: unknown) =>
        sql(
          `insert into deliveries (id, event_id, endpoint_id, position, status, attempts, next_at, created_at) values ('dlv_${event}', '${event}', '${endpoint.id}', 1, 'pending', 0, 1, 1)`,
        );
      await due(heard!.id);
      await due('msg_forged');
      const errorOf = async (event: unknown) =>
        (await sql(`select last_error from deliveries where id = 'dlv_${event}'`))[0]!.last_error;
      await expect.poll(() => errorOf(heard!.id), { timeout: 30_000 }).toBe('not_permitted');
      await expect.poll(() => errorOf('msg_forged'), { timeout: 30_000 }).toBe('not_authentic');
      expect(provider.received.filter(({ path }) => path === '/hook')).toEqual([]);
      const shown = expectOk(await broker.ask('GET', '/v1/events/msg_forged', undefined, key));
      expect(shown.data).toEqual({ event_id: 'msg_forged', integration: 'acme', connection: null });
    });

    test('is seen in the metrics, and leaves the rest of the broker alone', async () => {
      const id = await connect('ivan');
      await connect('judy');
      await sql(`update connections set owner = 'mallory5' where id = '${id}'`);
      expectProblem(await tokenOf('mallory5'), 500, 'not_authentic');
      expectOk(await tokenOf('judy'));
      const text = await (await fetch(new URL('/metrics', broker.url))).text();
      expect(text).toMatch(/valetkey_rows_refused_total\{table="connections"\} [1-9]/);
      expect(text).toContain('valetkey_row_authentication_enforced 1');
    });
  },
);
