// Failover to a standby without the last commits: refresh results are committed again, and nothing is spent twice.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { launchProvider } from '../chaos/processes.ts';

vi.setConfig({ testTimeout: 180_000 });
const SOON = { timeout: 30_000, interval: 50 };
const CONNECTIONS = 12;

/** A database behind two proxies, and the actions of a standby. */
async function aPrimary() {
  const url = await createMigratedDatabase();
  const name = new URL(url).pathname.slice(1);
  const elsewhere = new URL(url);
  elsewhere.pathname = '/postgres';
  const sql = (statement: string) => asked(elsewhere.href, statement);
  const links = await Promise.all([startTcpProxy(url), startTcpProxy(url)]);
  onTestFinished(async () => {
    await Promise.all(links.map((link) => link.close()));
  });
  /** No connection survives, as in a real failover. */
  async function away(...statements: string[]): Promise<void> {
    for (const link of links) link.cut();
    await sql(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
    for (const statement of statements)
      await expect
        .poll(
          () =>
            sql(statement).then(
              () => true,
              () => false,
            ),
          SOON,
        )
        .toBe(true);
    for (const link of links) link.heal();
  }
  return {
    links,
    /** Commits after this are lost. */
    fallBehind: () => away(`create database ${name}_standby template ${name}`),
    failOver: () =>
      away(`alter database ${name} rename to ${name}_lost`, `alter database ${name}_standby rename to ${name}`),
  };
}

/** Two replicas, each behind a line of its own; and what starts one of them again, on the same machine. */
async function twoReplicas({ links }: Awaited<ReturnType<typeof aPrimary>>) {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-failover-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const keys = `k1:${randomBytes(32).toString('base64url')}`;
  const adminKey = `vk_${randomBytes(32).toString('base64url')}`;
  async function startOne(i: number) {
    const env = {
      VALETKEY_DATABASE_URL: links[i]!.url,
      VALETKEY_DATA_DIR: join(folder, `${i}`),
      VALETKEY_KEYS: keys,
      VALETKEY_ADMIN_KEY: adminKey,
    };
    // No scheduled refreshes: the test only checks which replica remembers.
    const broker = await startTestBroker(env, undefined, { refreshAhead: false });
    onTestFinished(() => broker.stop());
    return broker;
  }
  const [here, there] = await Promise.all([startOne(0), startOne(1)]);
  return { here, there, startHere: () => startOne(0) };
}

test('failover to a standby without the last commits: loses no grant, without a reuse window', async () => {
  const primary = await aPrimary();
  const provider = await launchProvider(1, '/dev/null');
  onTestFinished(async () => void (await provider.end()));
  const { here, there } = await twoReplicas(primary);
  const brokers = [here, there];
  const params = { authorization_url: provider.tokenUrl, token_url: provider.tokenUrl };
  const setup = { provider: 'generic-oauth2', client_id: 'v', client_secret: 's', params };
  await here.ask('PUT', '/v1/integrations/chaos', setup);

  await provider.control('rules', { windowMs: 0, life: [600, 600] });
  const names = Array.from({ length: CONNECTIONS }, (_, i) => `owner_${i}`);
  const { refreshTokens } = await provider.control('seed', { names });
  const paths = await Promise.all(
    names.map(async (owner, i) => {
      const credentials = { refresh_token: refreshTokens[i] };
      const { body } = await here.ask('POST', '/v1/connections', { integration: 'chaos', owner, credentials });
      return `/v1/connections/${body.id}`;
    }),
  );
  const generations = () =>
    Promise.all(paths.map(async (path, i) => Number((await brokers[i % 2]!.ask('GET', path)).body.generation)));
  const areAt = async (wanted: number) => (await generations()).every((generation) => generation === wanted);

  await primary.fallBehind();
  const refreshAll = async () => {
    for (const [i, path] of paths.entries())
      await expect.poll(async () => (await brokers[i % 2]!.ask('POST', `${path}/refresh`, {})).status, SOON).toBe(200);
  };
  await refreshAll();
  expect(await areAt(2)).toBe(true);
  const reads = () => Promise.all(paths.map((path, i) => brokers[i % 2]!.ask('GET', `${path}/token?min_ttl=100`)));
  const served = await reads();
  expect(served.map(({ status }) => status)).toEqual(paths.map(() => 200));

  await primary.failOver();
  await expect.poll(() => areAt(2).catch(() => false), SOON).toBe(true);
  // The same tokens as before: no replica had to refresh again.
  const tokens = (all: typeof served) => all.map(({ body }) => body.access_token);
  expect(tokens(await reads())).toEqual(tokens(served));
  await refreshAll();
  const { spends } = await provider.control('log', { from: 0 });
  expect(spends.filter(({ spent }) => spent !== 'first')).toEqual([]);
});

describe('failover to a standby without the last commits: what was revoked stays so', () => {
  /** A connection that is served, and a caller and one of its keys that are let in. */
  async function withAccess() {
    const primary = await aPrimary();
    const { here, there, startHere } = await twoReplicas(primary);
    const params = { authorization_url: 'https://op.example/a', token_url: 'https://op.example/t' };
    const setup = { provider: 'generic-oauth2', client_id: 'v', client_secret: 's', params };
    await here.ask('PUT', '/v1/integrations/chaos', setup);
    const credentials = { access_token: 'at_1', expires_in: 3_600 };
    const imported = { integration: 'chaos', owner: 'owner_1', credentials };
    const { body: connection } = await here.ask('POST', '/v1/connections', imported);
    const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
    const { body: caller } = await here.ask('POST', '/v1/callers', { name: 'deleted', grants });
    const path = `/v1/connections/${connection.id}`;
    const key = String(caller.key);
    async function accessAt(broker: TestBroker): Promise<number[]> {
      const read = await broker.ask('GET', `${path}/token`);
      return [read.status, (await broker.ask('GET', '/v1/integrations', undefined, key)).status];
    }
    expect(await accessAt(here)).toEqual([200, 200]);
    expect(await accessAt(there)).toEqual([200, 200]);
    await primary.fallBehind();
    const isBack = async (broker: TestBroker) => (await broker.ask('GET', path)).status === 200;
    for (const broker of [here, there]) await expect.poll(() => isBack(broker), SOON).toBe(true);
    expect((await here.ask('DELETE', path)).status).toBe(200);
    expect((await here.ask('DELETE', `/v1/callers/${caller.id}`)).status).toBe(204);
    return { primary, here, there, startHere, accessAt };
  }
  const GONE = [410, 401];

  test('by the replica that did it', async () => {
    const { primary, here, there, accessAt } = await withAccess();
    expect(await accessAt(there)).toEqual(GONE);
    await primary.failOver();
    for (const broker of [here, there]) await expect.poll(() => accessAt(broker), SOON).toEqual(GONE);
  });

  test('by the next one on its machine', async () => {
    const { primary, here, there, startHere, accessAt } = await withAccess();
    await here.stop();
    await primary.failOver();
    // No one else remembers it.
    await expect.poll(() => accessAt(there), SOON).toEqual([200, 200]);
    const again = await startHere();
    for (const broker of [again, there]) await expect.poll(() => accessAt(broker), SOON).toEqual(GONE);
  });
});
