// A database outage: what is still served, how fast other requests fail, and how brokers recover.

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { startBroker } from '../../../demo/broker.ts';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { POSTGRES_ANSWER_TIMEOUT_MS, POSTGRES_CONNECT_TIMEOUT_MS } from '../../../src/domain/time-limits.ts';
import { type Answer, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { bundled } from '../../support/bundle.ts';
import { isLong } from '../../support/long.ts';
import { aDatabase } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { type ChaosProvider, launchProvider } from '../chaos/processes.ts';
import type { Rules } from '../chaos/provider.ts';

vi.setConfig({ testTimeout: 180_000 });

/** In a stall, the first requests wait for a heartbeat to fail; a statement alone would wait for its answer this long. */
const FIRST_WITHIN_MS = POSTGRES_ANSWER_TIMEOUT_MS;
/** Later requests fail at once; a new connection would be waited for this long. */
const NEXT_WITHIN_MS = POSTGRES_CONNECT_TIMEOUT_MS;
/** A pool of ten connections, and two others. */
const CONNECTIONS = 12;

const path = (id: string) => `/v1/connections/${id}/token`;

/** Of all tests: each has refresh tokens of its own. */
let provider: ChaosProvider;
let logs: string;
beforeAll(async () => {
  logs = await mkdtemp(join(tmpdir(), 'valetkey-outage-'));
  provider = await launchProvider(1, join(logs, 'provider.log'));
});
afterAll(async () => {
  await provider.end();
  await rm(logs, { recursive: true });
});

/** A proxy, and a broker behind it; connections have no access token, so the first read refreshes. */
async function restartable(owners: number) {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-outage-'));
  const database = await createMigratedDatabase();
  const link = await startTcpProxy(database);
  await provider.control('rules', { life: [7_200, 7_200], latency: [0, 0] });
  const before = (await provider.control('log', { from: 0 })).spends.length;
  const keys = generateKey();
  const started: TestBroker[] = [];
  const start = async (url: string) => {
    const env = { VALETKEY_DATABASE_URL: url, VALETKEY_DATA_DIR: join(folder, String(started.length)) };
    const broker = await startTestBroker({ ...env, VALETKEY_KEYS: keys }, undefined, { refreshAhead: false });
    started.push(broker);
    return broker;
  };
  onTestFinished(async () => {
    link.heal();
    for (const broker of started) await broker.stop();
    await link.close();
    await rm(folder, { recursive: true });
  });
  const broker = await start(link.url);
  await broker.ask('PUT', '/v1/integrations/acme', {
    provider: 'generic-oauth2',
    client_id: 'valetkey',
    client_secret: 'a secret of this test',
    params: { authorization_url: provider.tokenUrl, token_url: provider.tokenUrl },
  });
  const names = Array.from({ length: owners }, (_, i) => `owner_${i}`);
  const { refreshTokens } = await provider.control('seed', { names: names.map((name) => `${name}-${randomUUID()}`) });
  const ids: string[] = [];
  for (const [i, owner] of names.entries()) {
    const credentials = { refresh_token: refreshTokens[i] };
    const { body } = await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials });
    ids.push(String(body.id));
  }
  const spends = async () => (await provider.control('log', { from: before })).spends;
  const rules = (change: Partial<Rules>) => provider.control('rules', change);
  return { database, link, broker, ids, start, spends, rules };
}

async function timed(asking: Promise<Answer>): Promise<Answer & { tookMs: number }> {
  const begun = performance.now();
  return { ...(await asking), tookMs: performance.now() - begun };
}

async function healed(broker: TestBroker, id: string): Promise<Answer> {
  let answer: Answer | undefined;
  const good = async () => {
    answer = await broker.ask('GET', path(id));
    expect(answer.status).toBe(200);
  };
  await vi.waitFor(good, { timeout: 30_000, interval: 50 });
  return answer!;
}

describe.each(['cut', 'stall'] as const)('database connection lost (%s)', (how) => {
  // Either way of losing it takes seconds to be noticed: `npm test` has one test of each.
  test.runIf(isLong || how === 'cut')(
    'cached tokens are served, other reads fail in time, nothing is spent; then it recovers',
    async () => {
      const { link, broker, ids, spends } = await restartable(3);
      const [warm, cold, other] = ids as [string, string, string];
      const { body } = await broker.ask('GET', path(warm));
      const wanted = { owner: 'owner_0', integrations: ['acme'], actions: ['token'], purpose: 'outage' };
      const create = () => broker.ask('POST', '/v1/sessions', wanted);
      const [session, unread] = [await create(), await create()];
      const readWith = ({ body: made }: Answer) => broker.ask('GET', path(warm), undefined, String(made.token));
      expect((await readWith(session)).status).toBe(200);
      const end = () => broker.ask('DELETE', `/v1/sessions/${session.body.id}`);
      link[how]();

      const first = await timed(broker.ask('GET', path(cold)));
      expect(first).toMatchObject({ status: 503, body: { code: 'store_unavailable' } });
      expect(first.headers.get('retry-after')).toBe('1');
      expect(first.tookMs).toBeLessThan(FIRST_WITHIN_MS);
      const next = await timed(broker.ask('GET', path(other)));
      expect(next).toMatchObject({ status: 503, body: { code: 'store_unavailable' } });
      const served = await timed(broker.ask('GET', path(warm)));
      expect(served).toMatchObject({ status: 200, body: { access_token: body.access_token } });
      for (const { tookMs } of [next, served]) expect(tookMs).toBeLessThan(NEXT_WITHIN_MS);

      // What is in memory of sessions works; nothing is made, and nothing ends by halves.
      for (const refused of [await create(), await end(), await readWith(unread)])
        expect(refused).toMatchObject({ status: 503, body: { code: 'store_unavailable' } });
      expect((await broker.ask('POST', '/v1/signing-keys/rotate', {})).status).toBe(503);
      expect((await readWith(session)).status).toBe(200);

      expect((await broker.ask('GET', '/healthz')).status).toBe(200);
      expect((await broker.ask('GET', '/readyz')).status).toBe(503);
      const metrics = await (await fetch(new URL('/metrics', broker.url))).text();
      expect(metrics).toMatch(/^valetkey_store_up 0$/m);
      expect(await spends()).toHaveLength(1);

      link.heal();
      await healed(broker, cold);
      expect((await broker.ask('GET', '/readyz')).status).toBe(200);
      expect(await spends()).toHaveLength(2);
      const { body: sessions } = await broker.ask('GET', '/v1/sessions?owner=owner_0');
      expect((sessions.data as { status: string }[]).map(({ status }) => status)).toEqual(['active', 'active']);
      expect((await readWith(unread)).status).toBe(200);
      expect((await end()).status).toBe(200);
      expect((await readWith(session)).status).toBe(401);
      // Reads during the outage are in the audit log.
      const reads = async () => {
        const { body: page } = await broker.ask('GET', '/v1/audit?owner=owner_0&action=token.read');
        const counts = (page.data as { count: number }[]).map(({ count }) => count);
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(5);
      };
      await vi.waitFor(reads, { timeout: 30_000, interval: 100 });
    },
  );

  test.runIf(isLong || how === 'stall')(
    'a hundred concurrent readers fail together, and cause no queries after recovery',
    async () => {
      const { link, broker, ids, spends } = await restartable(20);
      link[how]();
      const reads = Array.from({ length: 100 }, (_, i) => timed(broker.ask('GET', path(ids[i % ids.length]!))));
      const answers = await Promise.all(reads);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
      expect(Math.max(...answers.map(({ tookMs }) => tookMs))).toBeLessThan(FIRST_WITHIN_MS);
      link.heal();
      await healed(broker, ids[0]!);
      expect(await spends()).toHaveLength(1);
      // Abandoned connections may still be closing while new ones open; in a stall, all of them.
      expect(link.connections().most).toBeLessThanOrEqual(how === 'cut' ? CONNECTIONS + 2 : 2 * CONNECTIONS);
    },
  );
});

describe('refresh in flight when the database connection is lost', () => {
  test('is served from the rescue file, and replayed after recovery', async () => {
    const { link, broker, ids, spends, rules } = await restartable(1);
    const id = ids[0]!;
    await rules({ latency: [200, 200] });
    const reading = broker.ask('GET', path(id));
    await vi.waitFor(async () => expect(await spends()).toHaveLength(1), { timeout: 30_000, interval: 10 });
    link.cut();
    const { status, body } = await reading;
    expect(status).toBe(200);
    expect((await broker.ask('GET', path(id))).body.access_token).toBe(body.access_token);
    link.heal();
    const taken = async () =>
      expect((await broker.ask('GET', `/v1/connections/${id}`)).body).toMatchObject({ generation: 2 });
    await vi.waitFor(taken, { timeout: 30_000, interval: 100 });
    expect((await broker.ask('GET', path(id))).body.access_token).toBe(body.access_token);
    expect(await spends()).toHaveLength(1);
  });

  test.each([
    ['the grant', ['commit_refreshes\0'], 1],
    ['the claim', ['claim_free\0'], 0],
  ] as const)('and whose commit of %s was not answered, spends nothing twice', async (_, words, spentBefore) => {
    const { link, broker, ids, spends } = await restartable(1);
    const id = ids[0]!;
    const lost = link.dropResponseTo(...words);
    const reading = broker.ask('GET', path(id));
    await lost;
    await reading;
    expect(await spends()).toHaveLength(spentBefore);
    link.heal();
    const { body } = await healed(broker, id);
    await vi.waitFor(async () => expect((await broker.ask('GET', `/v1/connections/${id}`)).body.generation).toBe(2), {
      timeout: 30_000,
      interval: 100,
    });
    expect((await broker.ask('GET', path(id))).body.access_token).toBe(body.access_token);
    expect((await spends()).map(({ spent }) => spent)).toEqual(['first']);
  });
});

test('disconnected replica: applies later changes of others after it reconnects', async () => {
  const { database, link, broker, ids, start } = await restartable(1);
  const id = ids[0]!;
  const other = await start(database);
  expect((await broker.ask('GET', path(id))).status).toBe(200);
  link.cut();
  await vi.waitFor(async () => expect((await broker.ask('GET', '/readyz')).status).toBe(503), { timeout: 30_000 });
  link.heal();
  await vi.waitFor(async () => expect((await broker.ask('GET', '/readyz')).status).toBe(200), { timeout: 30_000 });
  await vi.waitFor(() => expect(link.connections().open).toBeGreaterThanOrEqual(2), { timeout: 30_000 });
  await other.ask('DELETE', `/v1/connections/${id}`);
  const felt = async () => expect((await broker.ask('GET', path(id))).body.code).toBe('connection_revoked');
  await vi.waitFor(felt, { timeout: 30_000, interval: 20 });
});

test('start with a database that does not respond: fails with an error', async () => {
  const link = await startTcpProxy(await aDatabase());
  onTestFinished(link.close);
  link.stall();
  const starting = startBroker(
    { VALETKEY_DATABASE_URL: link.url, VALETKEY_KEYS: generateKey() },
    await bundled('main'),
  );
  await expect(starting).rejects.toThrow(
    /VALETKEY_DATABASE_URL: PostgreSQL: Connection terminated due to connection timeout/,
  );
}, 180_000);
