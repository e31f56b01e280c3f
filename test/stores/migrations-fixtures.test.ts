// The databases of every release open with the current code: a broker migrates a copy, and serves and refreshes what is
// in it. Each release adds a folder to `fixtures/`.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Sqlite from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { runKeyRotation } from '../../src/runtime/keys.ts';
import { migrateStore } from '../../src/stores/open.ts';
import { type Json, startTestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { aDatabase, asked } from '../support/postgres.ts';
import { startScriptedServer } from '../support/scripted-server.ts';
import { createMigratedDatabase } from '../support/stores.ts';
import {
  accessToken,
  CALLER_NAME,
  CLIENT,
  CONNECT_SESSION,
  callerKey,
  FIXTURE_NOW,
  FIXTURE_PROVIDER,
  fixtureEnv,
  OWNERS,
  refreshToken,
} from './fixtures/contents.ts';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));
const releases = readdirSync(FIXTURES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

interface Copy {
  url: string;
  query(statement: string): Promise<Record<string, unknown>[]>;
}

async function sqliteAt(make: (path: string) => void): Promise<Copy> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-fixture-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'valetkey.db');
  make(path);
  return {
    url: `file:${path}`,
    async query(statement) {
      const client = new Sqlite(path);
      try {
        return client.prepare<[], Record<string, unknown>>(statement).all();
      } finally {
        client.close();
      }
    },
  };
}

/** A copy of the fixture, whose provider is at this URL. */
const copies: Record<string, (release: string, provider: string) => Promise<Copy>> = {
  async sqlite(release, provider) {
    const copy = await sqliteAt((path) => writeFileSync(path, readFileSync(join(FIXTURES, release, 'sqlite.db'))));
    await copy.query(
      `update integrations set params = replace(params, '${FIXTURE_PROVIDER}', '${provider}') returning id`,
    );
    return copy;
  },
  async postgres(release, provider) {
    const url = await aDatabase();
    const dump = readFileSync(join(FIXTURES, release, 'postgres.sql'), 'utf8');
    await asked(url, dump.replaceAll(FIXTURE_PROVIDER, provider));
    return { url, query: (statement) => asked(url, statement) };
  },
};

/** What the migrations of this version make. */
const emptyCopies: Record<string, () => Promise<Copy>> = {
  async sqlite() {
    const copy = await sqliteAt(() => undefined);
    await migrateStore(copy.url);
    return copy;
  },
  async postgres() {
    const url = await createMigratedDatabase();
    return { url, query: (statement) => asked(url, statement) };
  },
};

const STRUCTURE: Record<string, string> = {
  sqlite: "select type, name, tbl_name, sql from sqlite_master where name <> '__drizzle_migrations' order by 1, 2",
  postgres: `
    select table_name as of, column_name as name, concat_ws(' ', data_type, is_nullable, column_default) as is
    from information_schema.columns where table_schema = 'public'
    union all select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace
    union all select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2, 3`,
};

/** A token endpoint that rotates: it takes the newest refresh token of an owner only, from the right client. */
async function startProvider() {
  const newest = new Map<string, number>([
    [OWNERS.active, 1],
    [OWNERS.inDoubt, 0],
  ]);
  return startScriptedServer(({ path, headers, form }) => {
    const authorization = `Basic ${Buffer.from(`${CLIENT.id}:${encodeURIComponent(CLIENT.secret).replaceAll('%20', '+')}`).toString('base64')}`;
    if (headers.authorization !== authorization) return { status: 401, body: { error: 'invalid_client' } };
    if (path === '/revoke') return { status: 200 };
    const [owner, n] = [...newest].find(([of, at]) => refreshToken(of, at) === form.get('refresh_token')) ?? [];
    if (owner === undefined || n === undefined) return { status: 400, body: { error: 'invalid_grant' } };
    newest.set(owner, n + 1);
    const credentials = { access_token: accessToken(owner, n + 1), refresh_token: refreshToken(owner, n + 1) };
    return { body: { ...credentials, token_type: 'Bearer', expires_in: 3_600 } };
  });
}

test('there is a fixture of the first release', () => {
  expect(releases[0]).toBe('2026-11-23');
});

describe.each(releases)('a database of the release of %s', (release) => {
  describe.each(Object.keys(copies))('in %s', (dialect) => {
    test('is migrated; its connections are read and refreshed, and all of its rows are there', async () => {
      const provider = await startProvider();
      onTestFinished(() => provider.close());
      const { url, query } = await copies[dialect]!(release, provider.url);
      const captured = { team: 'T1', sites: ['S1', 'S2', 'S1', { id: 'S3' }, 7], none: [] };
      const set = `captured = '${JSON.stringify(captured)}'`;
      await query(`update connections set ${set} where owner = '${OWNERS.active}' returning id`);
      const clock = { now: () => FIXTURE_NOW + 60_000, monotonic: () => performance.now() };
      const env: Record<string, string> = { ...fixtureEnv(release), VALETKEY_DATABASE_URL: url };
      const broker = await startTestBroker(env, undefined, { clock, refreshAhead: false, outboxEveryMs: 20 });
      onTestFinished(() => broker.stop());
      const indexed = await query(`select id, key, value from captured_values where key like 'captured.%'`);
      expect(indexed.map(({ id, key, value }) => `${String(id).split(':').at(-1)} ${key} ${value}`).sort()).toEqual([
        'captured.sites[0] captured.sites S1',
        'captured.sites[1] captured.sites S2',
        'captured.sites[4] captured.sites 7',
        'captured.team captured.team T1',
      ]);
      const metrics = await (await fetch(new URL('/metrics', broker.url))).text();
      for (const [status, count] of Object.entries({ active: 2, needs_reauth: 1, revoked: 1 }))
        expect(metrics).toContain(`valetkey_connections{integration="acme",status="${status}"} ${count}\n`);
      const key = callerKey(release);
      const ask = (method: string, path: string, body?: unknown) => broker.ask(method, path, body, key);
      const list = async (path: string, as = key) =>
        expectOk(await broker.ask('GET', path, undefined, as)).data as Json[];

      const connections = await list('/v1/connections');
      const byOwner = new Map(connections.map((connection) => [connection.owner, connection]));
      expect([...byOwner.keys()].sort()).toEqual(Object.values(OWNERS).sort());
      expect(byOwner.get(OWNERS.needsReauth)).toMatchObject({ status: 'needs_reauth', reason: 'grant_revoked' });
      expect(byOwner.get(OWNERS.revoked)).toMatchObject({ status: 'revoked' });
      const active = byOwner.get(OWNERS.active)!;
      expect(active).toMatchObject({ status: 'active', generation: 2, metadata: { of: 'the fixture' } });

      const token = async (id: unknown) => expectOk(await ask('GET', `/v1/connections/${id}/token`)).access_token;
      expect(await token(active.id)).toBe(accessToken(OWNERS.active, 1));
      expectOk(await ask('POST', `/v1/connections/${active.id}/refresh`, {}));
      expect(await token(active.id)).toBe(accessToken(OWNERS.active, 2));
      expect((await list('/v1/connections')).find(({ id }) => id === active.id)).toMatchObject({ generation: 3 });

      const inDoubt = byOwner.get(OWNERS.inDoubt)!;
      expectOk(await ask('POST', `/v1/connections/${inDoubt.id}/refresh`, {}));
      expect(await token(inDoubt.id)).toBe(accessToken(OWNERS.inDoubt, 1));
      expectProblem(
        await ask('GET', `/v1/connections/${byOwner.get(OWNERS.needsReauth)!.id}/token`),
        409,
        'reauthorization_required',
      );
      expectProblem(
        await ask('GET', `/v1/connections/${byOwner.get(OWNERS.revoked)!.id}/token`),
        410,
        'connection_revoked',
      );

      const admin = env.VALETKEY_ADMIN_KEY!;
      expect(await list('/v1/integrations', admin)).toMatchObject([{ id: 'acme', client_id: CLIENT.id }]);
      expect(await list('/v1/callers', admin)).toMatchObject([{ name: CALLER_NAME, keys: [{ prefix: 'fixture' }] }]);
      const actions = (await list('/v1/audit?limit=500', admin)).map(({ action }) => action);
      expect(actions).toEqual(expect.arrayContaining(['connection.imported', 'connection.needs_reauth']));
      const [session] = await query('select id from connect_sessions');
      expect(expectOk(await ask('GET', `/v1/connect-sessions/${session!.id}`))).toMatchObject(CONNECT_SESSION);
      expect(await query('select * from flows')).toHaveLength(1);
      // The revocation that waited for the provider is done.
      await expect.poll(() => query('select * from outbox_revocations'), { timeout: 30_000 }).toEqual([]);
      expect(provider.received.filter(({ path }) => path === '/revoke').map(({ form }) => form.get('token'))).toEqual(
        expect.arrayContaining([refreshToken(OWNERS.revoked)]),
      );
      const fresh = await emptyCopies[dialect]!();
      expect(await query(STRUCTURE[dialect]!)).toEqual(await fresh.query(STRUCTURE[dialect]!));
    });

    test('is protected from writers by a key rotation beside a running broker, and what it had still works', async () => {
      const provider = await startProvider();
      onTestFinished(() => provider.close());
      const { url, query } = await copies[dialect]!(release, provider.url);
      const clock = { now: () => FIXTURE_NOW + 60_000, monotonic: () => performance.now() };
      const env: Record<string, string> = { ...fixtureEnv(release), VALETKEY_DATABASE_URL: url };
      const broker = await startTestBroker(env, undefined, { clock, refreshAhead: false, outboxEveryMs: 20 });
      onTestFinished(() => broker.stop());
      const tokenOf = (owner: string) =>
        broker.ask('GET', `/v1/token?integration=acme&owner=${owner}`, undefined, callerKey(release));
      const enforced = async () => {
        const text = await (await fetch(new URL('/metrics', broker.url))).text();
        return /^valetkey_row_authentication_enforced (.)$/m.exec(text)?.[1];
      };
      expect(await enforced()).toBe('0');
      // Written in the form that replicas of the release read.
      const [active] = await query(`select id from connections where owner = '${OWNERS.active}'`);
      expectOk(await broker.ask('POST', `/v1/connections/${active!.id}/refresh`, {}, callerKey(release)));
      expect(await query(`select 1 as one from grants where access_token not like 'v1.%'`)).toEqual([]);

      const parsed = parseConfig({ ...env, VALETKEY_DATA_DIR: tmpdir() }, () => '');
      if (!parsed.ok) throw new Error(parsed.issues.join());
      const done = await runKeyRotation(parsed.config, createLogger('silent'), async () => undefined);
      expect(done).toMatchObject({ protection: 'enforced', remaining: [], inauthentic: [], unopenable: { count: 0 } });
      expect(done.authenticated).toBeGreaterThanOrEqual(4);
      await expect.poll(enforced, { timeout: 30_000 }).toBe('1');

      expect(expectOk(await tokenOf(OWNERS.active)).access_token).toBe(accessToken(OWNERS.active, 2));
      expectOk(await broker.ask('POST', `/v1/connections/${active!.id}/refresh`, {}, callerKey(release)));
      const [session] = await query('select id from connect_sessions');
      expectOk(await broker.ask('GET', `/v1/connect-sessions/${session!.id}`, undefined, callerKey(release)));

      await query(`update connections set owner = 'user:mallory' where id = '${active!.id}' returning id`);
      expectProblem(await tokenOf('user:mallory'), 500, 'not_authentic');
      await query(`update callers set mac = null returning id`);
      await query(`insert into changes (kind) values ('callers') returning seq`);
      await expect.poll(async () => (await tokenOf(OWNERS.inDoubt)).status, { timeout: 30_000 }).toBe(401);
    });
  });
});
