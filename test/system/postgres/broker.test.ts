// Two broker processes on one PostgreSQL database, with a real provider.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type RunningBroker, startBroker } from '../../../demo/broker.ts';
import { createCookieJar, walkThrough } from '../../../demo/browser.ts';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { ask, type Json } from '../../support/broker.ts';
import { bundled } from '../../support/bundle.ts';
import { hasPostgres } from '../../support/postgres.ts';
import { INTEGRATION, type RestartableBroker, startRestartableBroker } from '../../support/restartable-broker.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

/** Process starts are slow on a busy machine. */
vi.setConfig({ testTimeout: 180_000 });

describe.skipIf(!hasPostgres())('two brokers on one PostgreSQL database', () => {
  /** Both use the key file in one data directory. The last test kills one. */
  let folder: string;
  let h: RestartableBroker;
  let one: RunningBroker;
  let other: RunningBroker;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'valetkey-postgres-house-'));
    const env = { VALETKEY_DATABASE_URL: await createMigratedDatabase(), VALETKEY_DATA_DIR: folder };
    h = await startRestartableBroker({ env });
    one = h.current();
    other = await h.start({ elsewhere: true });
  });
  afterAll(async () => {
    await h?.close();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  test('each can connect, serve, refresh and revoke', async () => {
    const at = (broker: RunningBroker, method: string, path: string, body?: unknown) =>
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

  test('an expired token is refreshed once, and served by both', async () => {
    h.proxy.setRule('withhold');
    const path = `/v1/connections/${await h.importConnection('user_44')}/token`;
    h.proxy.requests.length = 0;
    const reads = [0, 1, 0, 1, 0, 1].map((i) => ask([one, other][i]!.url, h.adminKey, 'GET', path));
    await h.proxy.untilHeld(1);
    h.proxy.release();
    const answers = await Promise.all(reads);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(h.proxy.requests).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body.access_token)).size).toBe(1);
    h.proxy.setRule('pass');
  });

  test('the other takes over when one is killed during a refresh', async () => {
    // Otherwise the dead one might only be frozen: test/system/replicas/frozen.test.ts.
    const params = { ...(h.integrationBody.params as Json), refresh_reuse_window: '60' };
    await h.ask('PUT', `/v1/integrations/${INTEGRATION}`, { ...h.integrationBody, params });
    const [doomed, heir] = [one, other];
    const [path, waited] = [await h.importConnection('user_45'), await h.importConnection('user_43')].map(
      (id) => `/v1/connections/${id}`,
    );
    h.proxy.setRule('stall');
    const lost = [path, waited].map((each) =>
      ask(doomed.url, h.adminKey, 'GET', `${each}/token`).catch(() => undefined),
    );
    // One more was withheld before.
    await h.proxy.untilHeld(3);
    await doomed.stop('SIGKILL');
    await Promise.all(lost);
    h.proxy.setRule('pass');
    // A read waits only until the dead broker's liveness has expired.
    expect((await ask(heir.url, h.adminKey, 'GET', `${waited}/token`)).status).toBe(200);
    // The other connection is taken over without a read.
    const generation = async () => (await ask(heir.url, h.adminKey, 'GET', path!)).body.generation;
    await vi.waitFor(async () => expect(await generation()).toBe(2), { timeout: 30_000, interval: 200 });
    expect((await ask(heir.url, h.adminKey, 'GET', `${path}/token`)).status).toBe(200);
  });

  test('database error at the start: reported without the password', async () => {
    const url = 'postgres://valetkey:hunter2@127.0.0.1:1/valetkey';
    const starting = startBroker({ VALETKEY_DATABASE_URL: url, VALETKEY_KEYS: generateKey() }, await bundled('main'));
    await expect(starting).rejects.toThrow(/VALETKEY_DATABASE_URL: PostgreSQL: .*ECONNREFUSED/);
    await expect(starting).rejects.not.toThrow(/hunter2/);
  });
});
