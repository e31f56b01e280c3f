// `valetkey keys rotate` as an operator runs it: beside real broker processes, over what they made, killed and run again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { createCookieJar, walkThrough } from '../../demo/browser.ts';
import { createKeyRing, generateKey, parseKeyRing } from '../../src/adapters/keyring/keyring.ts';
import { decryptAccessToken, decryptRefreshToken } from '../../src/broker/secrets/token-encryption.ts';
import type { Ciphertext } from '../../src/domain/connection.ts';
import { sealedColumns } from '../../src/stores/sqlite/secret-columns.ts';
import { bundled } from '../support/bundle.ts';
import { INTEGRATION, openRestartableBroker, type RestartableBroker } from '../support/restartable-broker.ts';
import { createSecrets } from '../support/secrets.ts';

type Told = { onTestFinished(clean: () => unknown): void };

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Two new keys, and a house whose brokers take `VALETKEY_KEYS` from `env` when they start. */
async function aHouse({ onTestFinished }: Told) {
  const [old, fresh] = [generateKey('k_old'), generateKey('k_new')];
  const env: Record<string, string> = { VALETKEY_KEYS: old };
  const house = await openRestartableBroker({ env });
  onTestFinished(() => house.close());
  const path = join(house.folder, 'valetkey.db');
  const database = new Sqlite(path);
  onTestFinished(() => void database.close());
  const restart = async (keys: string) => {
    await house.broker().stop();
    env.VALETKEY_KEYS = keys;
    await house.start();
  };
  const cli = await bundled('cli');
  return { house, old, fresh, both: `${fresh},${old}`, path, database, restart, onTestFinished, cli };
}
type Setting = Awaited<ReturnType<typeof aHouse>>;

function rotation({ path, onTestFinished, cli }: Setting, keys: string, ...options: string[]) {
  const child: ChildProcess = spawn(process.execPath, [cli, 'keys', 'rotate', ...options], {
    env: { PATH: process.env.PATH, VALETKEY_DATABASE_URL: `file:${path}`, VALETKEY_KEYS: keys },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [stdout, stderr] = [textOf(child.stdout!), textOf(child.stderr!)];
  const ended = once(child, 'close').then(
    async ([code]): Promise<Ended> => ({
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

/** How many secrets of the database this key sealed. */
const sealedBy = ({ database }: Setting, kid: string): number =>
  sealedColumns
    .map((name) => name.split('.') as [string, string])
    .map(([table, column]) => {
      const prefix = `v1.${kid}.`;
      const counting = database.prepare(`select count(*) from ${table} where substr(${column}, 1, ?) = ?`);
      return counting.pluck().get(prefix.length, prefix) as number;
    })
    .reduce((sum, one) => sum + one, 0);
const checks = ({ database }: Setting) => database.prepare('select kid from key_checks order by kid').pluck().all();

const tokenOf = async (h: RestartableBroker, id: string) => h.ask('GET', `/v1/connections/${id}/token`);
const refresh = async (h: RestartableBroker, id: string) => h.ask('POST', `/v1/connections/${id}/refresh`, {});

/** Refreshes and reads each connection again and again until it is told to end; fulfilled with every status. */
function traffic(house: RestartableBroker, ids: string[]) {
  let over = false;
  const statuses: number[] = [];
  const loops = ids.map(async (id) => {
    do {
      statuses.push((await refresh(house, id)).status, (await tokenOf(house, id)).status);
    } while (!over);
  });
  return async () => {
    over = true;
    await Promise.all(loops);
    return statuses;
  };
}

it('a whole rotation under traffic: afterwards everything is served with the new key alone', async (test) => {
  const setting = await aHouse(test);
  const { house, old, fresh, both, restart, database } = setting;
  const secrets = createSecrets();
  for (const entry of [old, fresh]) secrets.add('key', entry.split(':')[1]);
  secrets.add('client secret', String(house.setup.client_secret));

  // A connection from a browser, some by import, one revoked of which the provider has not heard, and a flow half-way.
  const invite = async (owner: string) =>
    (await house.ask('POST', '/v1/connect-sessions', { integration: INTEGRATION, owner })).body;
  const session = await invite('ada');
  await walkThrough(String(session.url), { login: 'ada' });
  const { body: connected } = await house.ask('GET', `/v1/connect-sessions/${session.id}`);
  const ids = [String(connected.connection_id)];
  for (let i = 0; i < 8; i++) ids.push(await house.adopt(`user_${i}`));
  for (const id of ids) expect((await refresh(house, id)).status).toBe(200);
  const quiet = await house.adopt('quiet');
  const gone = await house.adopt('gone');
  await refresh(house, gone);
  house.front.rule(({ path }) => (path.endsWith('/revocation') ? 'cut' : 'pass'));
  expect((await house.ask('DELETE', `/v1/connections/${gone}`)).body.upstream_revocation).toBe('pending');
  const jar = createCookieJar();
  const halfway = await invite('grace');
  const stopAt = `${house.broker().url}/oauth2/callback/`;
  const { url: callback } = await walkThrough(String(halfway.url), { login: 'grace', jar, stopAt });
  const tables = new Set(sealedColumns.map((name) => name.split('.')[0]));
  for (const table of tables) expect(database.prepare(`select 1 from ${table}`).get(), table).toBeDefined();

  await restart(both);
  const stopTraffic = traffic(house, ids);
  const { code, stdout, stderr } = await rotate(setting, both, '--json');
  const statuses = await stopTraffic();
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const answer = JSON.parse(stdout);
  expect(answer).toMatchObject({ key: 'k_new', removable: ['k_old'], remaining: [], unopenable: 0, unopenable_at: [] });
  // The traffic seals anew by itself; what nobody touches is left to the rotation.
  expect(answer.reencrypted).toBeGreaterThanOrEqual(5);
  expect(answer.secrets).toBe(sealedBy(setting, 'k_new'));
  expect(sealedBy(setting, 'k_old')).toBe(0);
  expect(checks(setting)).toEqual(['k_new']);
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(statuses.length).toBeGreaterThan(20);

  // A broker that is restarted before the old key is taken out does not bring it back.
  await restart(both);
  expect(checks(setting)).toEqual(['k_new']);
  const last = new Map<string, unknown>();
  for (const id of ids) last.set(id, (await tokenOf(house, id)).body.access_token);
  house.front.rule('pass');
  database.prepare('update outbox_revocations set next_at = 0').run();
  await restart(fresh);
  for (const id of ids) {
    expect((await tokenOf(house, id)).body.access_token).toBe(last.get(id));
    expect((await refresh(house, id)).status).toBe(200);
  }
  expect((await refresh(house, quiet)).status).toBe(200);
  const response = await fetch(callback, { headers: { cookie: jar.header(callback)! }, redirect: 'manual' });
  expect(response.status).toBe(200);
  const upstream = async () => (await house.ask('GET', `/v1/connections/${gone}`)).body.upstream_revocation;
  await expect.poll(upstream, { timeout: 10_000 }).toBe('done');

  for (const { form, answer: told } of house.front.passed)
    for (const kind of ['access_token', 'refresh_token', 'id_token'])
      for (const value of [form.get(kind), told[kind]]) if (typeof value === 'string') secrets.add(kind, value);
  const again = await rotate(setting, fresh);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Nothing to rotate: all \d+ secrets/) });
  expect(secrets.foundIn(Buffer.from(stdout + again.stdout + again.stderr))).toEqual([]);
}, 90_000);

it('killed again and again, it goes on where it was, and every secret opens at any time', async (test) => {
  const setting = await aHouse(test);
  const { house, both, old, fresh, database, restart } = setting;
  const owners = Array.from({ length: 400 }, (_, i) => `user_${i}`);
  const credentials = (owner: string) => ({ access_token: `access of ${owner}`, refresh_token: `refresh of ${owner}` });
  const importAll = async () => {
    for (let owner = owners.pop(); owner !== undefined; owner = owners.pop()) {
      const body = { integration: INTEGRATION, owner, credentials: credentials(owner) };
      expect((await house.ask('POST', '/v1/connections', body)).status).toBe(201);
    }
  };
  await Promise.all(Array.from({ length: 16 }, importAll));
  await restart(both);
  const all = sealedBy(setting, 'k_old');
  expect(all).toBe(801);

  const expectAllToOpen = (keys: string) => {
    const vault = ring(keys);
    const rows = database.prepare(
      'select id, owner, access_token a, refresh_token r from connections join grants on id = connection_id',
    );
    const all = rows.all() as { id: string; owner: string; a: Ciphertext; r: Ciphertext }[];
    expect(all).toHaveLength(400);
    const opened = all.map(({ id, a, r }) => [decryptAccessToken(vault, id, a), decryptRefreshToken(vault, id, r)]);
    expect(opened).toEqual(all.map(({ owner }) => [`access of ${owner}`, `refresh of ${owner}`]));
  };

  // Looked at from outside, as often as the machine allows: it is killed in the middle of whatever it does then.
  const isNew = database.prepare("select substr(access_token, 1, 9) = 'v1.k_new.' from grants where connection_id = ?");
  const ids = database.prepare('select connection_id from grants order by connection_id').pluck().all();
  const stoppedAt: number[] = [];
  for (let kill = 0; kill < 3 && sealedBy(setting, 'k_new') < all; kill++) {
    const { child, ended } = rotation(setting, both);
    const first = Math.floor(sealedBy(setting, 'k_new') / 2);
    const goal = ids[Math.min(first + Math.floor(Math.random() * 100), ids.length - 1)];
    while (child.exitCode === null && isNew.pluck().get(goal) === 0) await new Promise(setImmediate);
    child.kill('SIGKILL');
    expect((await ended).code, 'it was killed, not done').toBeNull();
    stoppedAt.push(sealedBy(setting, 'k_new'));
    expect(checks(setting)).toEqual(['k_new', 'k_old']);
    expectAllToOpen(both);
  }
  expect(stoppedAt.filter((sealed) => sealed > 0 && sealed < all).length).toBeGreaterThanOrEqual(2);

  const { code, stdout } = await rotate(setting, both, '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    secrets: all,
    reencrypted: all - stoppedAt.at(-1)!,
    removable: ['k_old'],
  });
  expectAllToOpen(fresh);
  expect(() =>
    ring(old).decrypt(database.prepare('select access_token from grants').pluck().get() as Ciphertext, {
      row: '',
      column: '',
    }),
  ).toThrow('not in the key ring');
}, 90_000);

describe.concurrent('what it cannot finish', () => {
  it('a broker still seals with the old key: exit 1, and no broker starts without that key', async (test) => {
    const setting = await aHouse(test);
    const { house, old, fresh, both, restart } = setting;
    await restart(`${old},${fresh}`);
    const ids = [await house.adopt('ada'), await house.adopt('grace')];
    const stopTraffic = traffic(house, ids);
    const { code, stdout, stderr } = await rotate(setting, both);
    await stopTraffic();
    expect(code).toBe(1);
    expect(stdout).toMatch(/^\d+ sealed anew: \d+ of \d+ secrets are sealed by key k_new\.\n/);
    expect(stdout).toMatch(/^\d+ still sealed by key k_old, which must stay\.$/m);
    expect(stdout).toContain('A broker still seals with another key: put k_new first on every broker');
    expect(stdout).not.toContain('can be taken out');
    expect(stderr).toContain('"kid":"k_new"');
    expect(checks(setting)).toEqual(['k_new', 'k_old']);
    await expect(restart(fresh)).rejects.toThrow('key k_old sealed this database and is not in VALETKEY_KEYS');

    await restart(both);
    expect((await rotate(setting, both)).stdout).toContain(
      'These can be taken out of VALETKEY_KEYS now, on every broker: k_old.',
    );
    await restart(fresh);
    for (const id of ids) expect((await tokenOf(house, id)).status).toBe(200);
  }, 90_000);

  it('a damaged secret: it is named, the rest is done, and a reconnect is all that it takes', async (test) => {
    const setting = await aHouse(test);
    const { house, old, fresh, both, database, restart } = setting;
    const [id, other] = [await house.adopt('ada'), await house.adopt('grace')];
    for (const one of [id, other]) expect((await refresh(house, one)).status).toBe(200);
    await restart(both);
    // A token of another row, put here from outside.
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
    expect(stdout).not.toContain('v1.');
    expect(sealedBy(setting, 'k_old')).toBe(1);
    expect((await refresh(house, other)).status).toBe(200);
    await expect(restart(fresh)).rejects.toThrow('key k_old sealed this database');

    await restart(both);
    const wanted = { integration: INTEGRATION, owner: 'ada', connection_id: id };
    const { body: session } = await house.ask('POST', '/v1/connect-sessions', wanted);
    await walkThrough(String(session.url), { login: 'ada' });
    expect(await rotate(setting, both)).toMatchObject({ code: 0 });
    await restart(fresh);
    expect((await refresh(house, id)).status).toBe(200);
  }, 90_000);

  it('an environment that does not fit the database: it is refused, and nothing is changed', async (test) => {
    const setting = await aHouse(test);
    const before = sealedBy(setting, 'k_old');
    const refused = async (of: Setting, keys: string) => {
      const { code, stdout, stderr } = await rotate(of, keys);
      expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
      return stderr;
    };
    expect(await refused(setting, setting.fresh)).toContain(
      'key k_old sealed this database and is not in VALETKEY_KEYS',
    );
    const impostor = `${setting.fresh},${generateKey('k_old')}`;
    expect(await refused(setting, impostor)).toContain('key k_old in VALETKEY_KEYS is another key');
    expect(sealedBy(setting, 'k_old')).toBe(before);
    expect(checks(setting)).toEqual(['k_old']);
    // Its name may be a slip.
    const elsewhere = { ...setting, path: join(setting.house.folder, 'other.db') };
    expect(await refused(elsewhere, setting.both)).toContain('no broker has used this database yet');
  }, 90_000);
});
