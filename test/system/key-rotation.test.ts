// `valetkey keys rotate` as an operator runs it: beside real broker processes, on their data, killed and run again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { createCookieJar, walkThrough } from '../../demo/browser.ts';
import { createKeyRing, generateKey, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import {
  type CredentialsPlace,
  decryptAccessToken,
  decryptRefreshToken,
} from '../../src/broker/secrets/token-encryption.ts';
import type { Ciphertext } from '../../src/domain/connection.ts';
import { secretColumns } from '../../src/stores/sqlite/secret-columns.ts';
import { bundled } from '../support/bundle.ts';
import { isLong } from '../support/long.ts';
import { INTEGRATION, type RestartableBroker, startRestartableBroker } from '../support/restartable-broker.ts';
import { createSecrets } from '../support/secrets.ts';

type TestContext = { onTestFinished(clean: () => unknown): void };

interface Exit {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Two new keys, and a broker that reads `VALETKEY_KEYS` from `env` when it is started. */
async function setUp({ onTestFinished }: TestContext) {
  const [old, fresh] = [generateKey('k_old'), generateKey('k_new')];
  const env: Record<string, string> = { VALETKEY_KEYS: old };
  const target = await startRestartableBroker({ env });
  onTestFinished(() => target.close());
  const path = join(target.folder, 'valetkey.db');
  const database = new Sqlite(path);
  onTestFinished(() => void database.close());
  const restart = async (keys: string) => {
    await target.current().stop();
    env.VALETKEY_KEYS = keys;
    await target.start();
  };
  const cli = await bundled('cli');
  return { target, old, fresh, both: `${fresh},${old}`, path, database, restart, onTestFinished, cli };
}
type Setting = Awaited<ReturnType<typeof setUp>>;

function rotation({ path, onTestFinished, cli }: Setting, keys: string, ...options: string[]) {
  const child: ChildProcess = spawn(process.execPath, [cli, 'keys', 'rotate', ...options], {
    env: { PATH: process.env.PATH, VALETKEY_DATABASE_URL: `file:${path}`, VALETKEY_KEYS: keys },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [stdout, stderr] = [textOf(child.stdout!), textOf(child.stderr!)];
  const ended = once(child, 'close').then(
    async ([code]): Promise<Exit> => ({
      code: code as number | null,
      stdout: await stdout,
      stderr: await stderr,
    }),
  );
  return { child, ended };
}
const rotate = (setting: Setting, keys: string, ...options: string[]) => rotation(setting, keys, ...options).ended;

function ring(keys: string) {
  const parsed = parseKeyRing(keys);
  if (!parsed.ok) throw new Error(parsed.issues.join());
  return createKeyRing(parsed.keys);
}

/** How many secrets of the database are under this key, without the seals of the audit log, of which a broker adds more. */
const secretsUnder = ({ database }: Setting, kid: string): number =>
  secretColumns
    .filter((name) => !name.startsWith('audit_seals.'))
    .map((name) => name.split('.') as [string, string])
    .map(([table, column]) => {
      const prefix = `v3.${kid}.`;
      const counting = database.prepare(`select count(*) from ${table} where substr(${column}, 1, ?) = ?`);
      return counting.pluck().get(prefix.length, prefix) as number;
    })
    .reduce((sum, one) => sum + one, 0);
/** Tables without secrets here: nothing is unreadable, captured, awaits its finish, is sealed, sent or received. */
const UNUSED = [
  ...['portal_sessions', 'client_registrations'],
  ...['unreadable_responses', 'captured_calls', 'candidates', 'audit_seals', 'signing_keys'],
  ...['events', 'webhook_endpoints', 'deliveries', 'received_webhooks', 'receiver_settings'],
];
const checks = ({ database }: Setting) => database.prepare('select kid from key_checks order by kid').pluck().all();

const tokenOf = async (h: RestartableBroker, id: string) => h.ask('GET', `/v1/connections/${id}/token`);
const refresh = async (h: RestartableBroker, id: string) => h.ask('POST', `/v1/connections/${id}/refresh`, {});

/**
 * Refreshes and reads each connection in a loop, with a pause of so many milliseconds. Returns what stops it, and is fulfilled
 * with every status.
 */
function traffic(target: RestartableBroker, ids: string[], pauseMs: number) {
  let stopped = false;
  const statuses: number[] = [];
  const loops = ids.map(async (id) => {
    do {
      statuses.push((await refresh(target, id)).status, (await tokenOf(target, id)).status);
      if (pauseMs > 0) await pause(pauseMs);
    } while (!stopped);
  });
  return async () => {
    stopped = true;
    await Promise.all(loops);
    return statuses;
  };
}

// In one process: test/broker/maintenance/key-rotation.test.ts. The same for those below that are long.
const itLong = it.runIf(isLong);

itLong(
  'keys rotate: under traffic, everything is served with the new key alone afterwards',
  async (test) => {
    const setting = await setUp(test);
    const { target, old, fresh, both, restart, database } = setting;
    const secrets = createSecrets();
    for (const entry of [old, fresh]) secrets.add('key', entry.split(':')[1]);
    secrets.add('client secret', String(target.integrationBody.client_secret));

    // A connection made in a browser, imported ones, one with a pending revocation at the provider, and a flow in flight.
    const createSession = async (owner: string) =>
      (await target.ask('POST', '/v1/connect-sessions', { integration: INTEGRATION, owner })).body;
    const session = await createSession('ada');
    await walkThrough(String(session.url), { login: 'ada' });
    const { body: connected } = await target.ask('GET', `/v1/connect-sessions/${session.id}`);
    const ids = [String(connected.connection_id)];
    for (let i = 0; i < 8; i++) ids.push(await target.importConnection(`user_${i}`));
    for (const id of ids) expect((await refresh(target, id)).status).toBe(200);
    const quiet = await target.importConnection('quiet');
    const gone = await target.importConnection('gone');
    await refresh(target, gone);
    target.proxy.setRule(({ path }) => (path.endsWith('/revocation') ? 'cut' : 'pass'));
    expect((await target.ask('DELETE', `/v1/connections/${gone}`)).body.upstream_revocation).toBe('pending');
    const jar = createCookieJar();
    const halfway = await createSession('grace');
    const stopAt = `${target.current().url}/oauth2/callback/`;
    const { url: callback } = await walkThrough(String(halfway.url), { login: 'grace', jar, stopAt });
    const tables = new Set(secretColumns.map((name) => name.split('.')[0]));
    // Nothing of these yet: test/stores/conformance re-encrypts such rows.
    for (const table of UNUSED) tables.delete(table);
    for (const table of tables) expect(database.prepare(`select 1 from ${table}`).get(), table).toBeDefined();

    await restart(both);
    const stopTraffic = traffic(target, ids.slice(0, 3), 20);
    const { code, stdout, stderr } = await rotate(setting, both, '--json');
    const statuses = await stopTraffic();
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      key: 'k_new',
      removable: ['k_old'],
      remaining: [],
      unopenable: 0,
      unopenable_at: [],
    });
    // The traffic re-encrypts what it refreshes; the rest is left to the rotation.
    expect(report.reencrypted).toBeGreaterThanOrEqual(5);
    expect(report.secrets).toBeGreaterThanOrEqual(secretsUnder(setting, 'k_new'));
    expect(secretsUnder(setting, 'k_old')).toBe(0);
    expect(checks(setting)).toEqual(['k_new']);
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(statuses.length).toBeGreaterThan(20);

    // A broker that restarts before the old key is removed does not bring it back.
    await restart(both);
    expect(checks(setting)).toEqual(['k_new']);
    const last = new Map<string, unknown>();
    for (const id of ids) last.set(id, (await tokenOf(target, id)).body.access_token);
    target.proxy.setRule('pass');
    database.prepare('update outbox_revocations set next_at = 0').run();
    await restart(fresh);
    for (const id of ids) {
      expect((await tokenOf(target, id)).body.access_token).toBe(last.get(id));
      expect((await refresh(target, id)).status).toBe(200);
    }
    expect((await refresh(target, quiet)).status).toBe(200);
    const response = await fetch(callback, { headers: { cookie: jar.header(callback)! }, redirect: 'manual' });
    expect(response.status).toBe(303);
    expect((await target.ask('GET', `/v1/connect-sessions/${halfway.id}`)).body.status).toBe('completed');
    const upstream = async () => (await target.ask('GET', `/v1/connections/${gone}`)).body.upstream_revocation;
    await expect.poll(upstream, { timeout: 30_000 }).toBe('done');

    for (const { form, answer } of target.proxy.requests)
      for (const kind of ['access_token', 'refresh_token', 'id_token'])
        for (const value of [form.get(kind), answer[kind]]) if (typeof value === 'string') secrets.add(kind, value);
    const again = await rotate(setting, fresh);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Nothing to re-encrypt: all \d+ secrets/) });
    expect(secrets.foundIn(Buffer.from(stdout + again.stdout + again.stderr))).toEqual([]);
  },
  180_000,
);

it('keys rotate: killed several times, it continues, and every secret can be decrypted at any time', async (test) => {
  const setting = await setUp(test);
  const { target, both, old, fresh, database, restart } = setting;
  const count = isLong ? 300 : 120;
  const owners = Array.from({ length: count }, (_, i) => `user_${i}`);
  const credentials = (owner: string) => ({ access_token: `access of ${owner}`, refresh_token: `refresh of ${owner}` });
  const importAll = async () => {
    for (let owner = owners.pop(); owner !== undefined; owner = owners.pop()) {
      const body = { integration: INTEGRATION, owner, credentials: credentials(owner) };
      expect((await target.ask('POST', '/v1/connections', body)).status).toBe(201);
    }
  };
  await Promise.all(Array.from({ length: 16 }, importAll));
  await restart(both);
  const all = secretsUnder(setting, 'k_old');
  expect(all).toBe(2 * count + 1);

  const expectAllDecrypt = (keys: string) => {
    const vault = ring(keys);
    const rows = database.prepare(
      'select id, integration, owner, label, access_token a, refresh_token r from connections join grants on id = connection_id',
    );
    const all = rows.all() as (CredentialsPlace & { a: Ciphertext; r: Ciphertext })[];
    expect(all).toHaveLength(count);
    const decrypted = all.map(({ a, r, ...place }) => [
      decryptAccessToken(vault, place, a),
      decryptRefreshToken(vault, place, r),
    ]);
    expect(decrypted).toEqual(all.map(({ owner }) => [`access of ${owner}`, `refresh of ${owner}`]));
  };

  // It does not get beyond this row, so that it is killed in the middle of its work, and of a transaction.
  database.exec(
    'create view endless as with recursive n(i) as (select 1 union all select i + 1 from n) select i from n',
  );
  const ids = database.prepare('select connection_id from grants order by connection_id').pluck().all();
  const stoppedAt: number[] = [];
  for (const goal of isLong ? [60, 110, 210, 290] : [60, 110]) {
    database.exec(`create trigger stop before update on grants when new.connection_id = '${ids[goal]}'
      begin select max(i) from endless; end`);
    const before = secretsUnder(setting, 'k_new');
    const { child, ended } = rotation(setting, both);
    while (child.exitCode === null && secretsUnder(setting, 'k_new') === before) await pause(20);
    child.kill('SIGKILL');
    expect((await ended).code, 'killed, not done').toBeNull();
    database.exec('drop trigger stop');
    stoppedAt.push(secretsUnder(setting, 'k_new'));
    expect(checks(setting)).toEqual(['k_new', 'k_old']);
    expectAllDecrypt(both);
  }
  database.exec('drop view endless');
  expect(stoppedAt.every((done) => done > 0 && done < all)).toBe(true);

  const { code, stdout } = await rotate(setting, both, '--json');
  expect(code).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.removable).toEqual(['k_old']);
  expect(report.secrets).toBeGreaterThanOrEqual(all);
  expect(report.reencrypted).toBeGreaterThanOrEqual(all - stoppedAt.at(-1)!);
  expect([secretsUnder(setting, 'k_new'), secretsUnder(setting, 'k_old')]).toEqual([all, 0]);
  expectAllDecrypt(fresh);
  expect(() =>
    ring(old).decrypt(database.prepare('select access_token from grants').pluck().get() as Ciphertext, {
      row: '',
      column: '',
    }),
  ).toThrow('not in the key ring');
}, 180_000);

describe.concurrent('keys rotate, when it cannot finish', () => {
  itLong(
    'exits 1 while a broker encrypts with the old key, and no broker starts without that key',
    async (test) => {
      const setting = await setUp(test);
      const { target, old, fresh, both, restart } = setting;
      await restart(`${old},${fresh}`);
      const ids = [await target.importConnection('ada'), await target.importConnection('grace')];
      // Whatever the rotation re-encrypts is written with the old key again before it looks what is left, two seconds later.
      const stopTraffic = traffic(target, ids, 50);
      const { code, stdout, stderr } = await rotate(setting, both);
      await stopTraffic();
      expect(code).toBe(1);
      expect(stdout).toMatch(/^\d+ re-encrypted: \d+ of \d+ secrets are encrypted with key k_new\.\n/);
      expect(stdout).toMatch(/^\d+ still encrypted with key k_old: keep it\.$/m);
      expect(stdout).toContain('A broker still encrypts with another key: put k_new first on every broker');
      expect(stdout).not.toContain('Remove from VALETKEY_KEYS');
      expect(stderr).toContain('"kid":"k_new"');
      expect(checks(setting)).toEqual(['k_new', 'k_old']);
      await expect(restart(fresh)).rejects.toThrow('key k_old encrypted this database and is not in VALETKEY_KEYS');

      await restart(both);
      expect((await rotate(setting, both)).stdout).toContain('Remove from VALETKEY_KEYS now, on every broker: k_old.');
      await restart(fresh);
      for (const id of ids) expect((await tokenOf(target, id)).status).toBe(200);
    },
    90_000,
  );

  itLong(
    'names a damaged secret and re-encrypts the rest; a reconnect fixes it',
    async (test) => {
      const setting = await setUp(test);
      const { target, old, fresh, both, database, restart } = setting;
      const [id, other] = [await target.importConnection('ada'), await target.importConnection('grace')];
      for (const one of [id, other]) expect((await refresh(target, one)).status).toBe(200);
      await restart(both);
      // The token of another row.
      const moved = ring(old).encrypt('x', { row: `connections/${other}`, column: 'refresh_token' });
      database.prepare('update grants set refresh_token = ? where connection_id = ?').run(moved, id);
      const { code, stdout } = await rotate(setting, both, '--json');
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        removable: [],
        remaining: [{ key: 'k_old', secrets: 1 }],
        unopenable: 1,
        unopenable_at: [{ table: 'grants', id, column: 'refresh_token', reason: 'not_openable' }],
      });
      expect(stdout).not.toContain('v3.');
      expect(secretsUnder(setting, 'k_old')).toBe(1);
      expect((await refresh(target, other)).status).toBe(200);
      await expect(restart(fresh)).rejects.toThrow('key k_old encrypted this database');

      await restart(both);
      const wanted = { integration: INTEGRATION, owner: 'ada', connection_id: id };
      const { body: session } = await target.ask('POST', '/v1/connect-sessions', wanted);
      await walkThrough(String(session.url), { login: 'ada' });
      expect(await rotate(setting, both)).toMatchObject({ code: 0 });
      await restart(fresh);
      expect((await refresh(target, id)).status).toBe(200);
    },
    180_000,
  );

  itLong(
    'refuses keys that do not match the database, and changes nothing',
    async (test) => {
      const setting = await setUp(test);
      const before = secretsUnder(setting, 'k_old');
      const refused = async (of: Setting, keys: string) => {
        const { code, stdout, stderr } = await rotate(of, keys);
        expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
        return stderr;
      };
      expect(await refused(setting, setting.fresh)).toContain(
        'key k_old encrypted this database and is not in VALETKEY_KEYS',
      );
      const impostor = `${setting.fresh},${generateKey('k_old')}`;
      expect(await refused(setting, impostor)).toContain('key k_old in VALETKEY_KEYS is not the key of that id');
      expect(secretsUnder(setting, 'k_old')).toBe(before);
      expect(checks(setting)).toEqual(['k_old']);
      // A database URL with a typing error.
      const elsewhere = { ...setting, path: join(setting.target.folder, 'other.db') };
      expect(await refused(elsewhere, setting.both)).toContain('there is no database file at');
    },
    90_000,
  );
});
