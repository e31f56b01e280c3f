// The main job on PostgreSQL: two broker processes on one database, before a real provider.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startBroker } from '../../../demo/broker.ts';
import { createCookieJar, walkThrough } from '../../../demo/browser.ts';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { ask } from '../../support/broker.ts';
import { aDatabase } from '../../support/postgres.ts';
import { INTEGRATION, openRestartableBroker, type RestartableBroker } from '../../support/restartable-broker.ts';

/** Processes start at their own pace on a busy machine. */
vi.setConfig({ testTimeout: 60_000 });

/** The key file of both lies where one machine keeps what is its own. */
async function house(): Promise<RestartableBroker> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-postgres-house-'));
  const opened = await openRestartableBroker({
    env: { VALETKEY_DATABASE_URL: await aDatabase(), VALETKEY_DATA_DIR: folder },
  });
  onTestFinished(async () => {
    await opened.close();
    await rm(folder, { recursive: true });
  });
  return opened;
}

describe('two brokers on one PostgreSQL', () => {
  test('connect, serve, refresh and revoke, whichever is asked', async () => {
    const h = await house();
    const one = h.broker();
    const other = await h.start({ elsewhere: true });
    const at = (broker: typeof one, method: string, path: string, body?: unknown) =>
      ask(broker.url, h.adminKey, method, path, body);

    const session = await at(one, 'POST', '/v1/connect-sessions', { integration: INTEGRATION, owner: 'user_42' });
    const jar = createCookieJar();
    await walkThrough(String(session.body.url), { login: 'alice', jar });
    const told = await at(other, 'GET', `/v1/connect-sessions/${session.body.id}`);
    expect(told.body.status).toBe('completed');

    const path = `/v1/connections/${told.body.connection_id}`;
    const served = await at(other, 'GET', `${path}/token`);
    expect(served.status).toBe(200);
    expect((await at(one, 'GET', `${path}/token`)).body.access_token).toBe(served.body.access_token);

    const refreshed = await at(other, 'POST', `${path}/refresh`, {});
    expect(refreshed.status).toBe(200);
    expect(refreshed.body.access_token).not.toBe(served.body.access_token);
    const again = { rejected_token: served.body.access_token };
    expect((await at(one, 'POST', `${path}/refresh`, again)).body.access_token).toBe(refreshed.body.access_token);

    const revoked = await at(one, 'DELETE', path);
    expect(revoked.body.upstream_revocation).toBe('done');
    expect((await at(other, 'GET', path)).body.status).toBe('revoked');
    for (const { url } of [one, other]) expect((await fetch(new URL('/readyz', url))).status).toBe(200);
  });

  test('refresh an expired token once, and both serve it', async () => {
    const h = await house();
    const brokers = [h.broker(), await h.start({ elsewhere: true })];
    h.front.rule('withhold');
    const path = `/v1/connections/${await h.adopt('user_42')}/token`;
    const reads = [0, 1, 0, 1, 0, 1].map((i) => ask(brokers[i]!.url, h.adminKey, 'GET', path));
    await h.front.waiting(1);
    h.front.release();
    const answers = await Promise.all(reads);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(h.front.passed).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body.access_token)).size).toBe(1);
  });

  test('one that is killed amid a refresh is succeeded by the other', async () => {
    const h = await house();
    const [doomed, heir] = [h.broker(), await h.start({ elsewhere: true })];
    const [path, waited] = [await h.adopt('user_42'), await h.adopt('user_43')].map((id) => `/v1/connections/${id}`);
    h.front.rule('stall');
    const lost = [path, waited].map((each) =>
      ask(doomed.url, h.adminKey, 'GET', `${each}/token`).catch(() => undefined),
    );
    await h.front.waiting(2);
    await doomed.stop('SIGKILL');
    await Promise.all(lost);
    h.front.rule('pass');
    // A read waits no longer than until the dead one has not been heard of for its time.
    expect((await ask(heir.url, h.adminKey, 'GET', `${waited}/token`)).status).toBe(200);
    // For the other one nobody asks: it is taken over, too.
    const generation = async () => (await ask(heir.url, h.adminKey, 'GET', path!)).body.generation;
    await vi.waitFor(async () => expect(await generation()).toBe(2), { timeout: 25_000, interval: 200 });
    expect((await ask(heir.url, h.adminKey, 'GET', `${path}/token`)).status).toBe(200);
  });

  test('a broker says what is wrong with its database, and not its password', async () => {
    const url = 'postgres://valetkey:hunter2@127.0.0.1:1/valetkey';
    const starting = startBroker({ VALETKEY_DATABASE_URL: url, VALETKEY_KEYS: generateKey() });
    await expect(starting).rejects.toThrow(/VALETKEY_DATABASE_URL: PostgreSQL: .*ECONNREFUSED/);
    await expect(starting).rejects.not.toThrow(/hunter2/);
  });
});
