// SIGTERM: from then on no refresh token is spent, and what has been spent is committed. A real process.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, vi } from 'vitest';
import { startBroker } from '../../demo/broker.ts';
import { CLAIMED_DUE_AGAIN_MS } from '../../src/domain/time-limits.ts';
import { ask, databaseIn, type Json } from '../support/broker.ts';
import { bundled } from '../support/bundle.ts';
import { clockAhead } from '../support/clock-offset.ts';
import { startTokenEndpoint } from '../support/token-endpoint.ts';

vi.setConfig({ testTimeout: 180_000 });
const SOON = { interval: 20, timeout: 40_000 };
const ADMIN_KEY = randomBytes(32).toString('base64url');
const SLOTS = 4;

type Hooks = { onTestFinished(clean: () => Promise<void>): void };

async function brokerWith({ onTestFinished }: Hooks, connections: number) {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-stop-'));
  const provider = await startTokenEndpoint(folder);
  const env = {
    ...(await databaseIn(folder)),
    VALETKEY_ADMIN_KEY: ADMIN_KEY,
    VALETKEY_REFRESH_CONCURRENCY: String(SLOTS),
    NODE_EXTRA_CA_CERTS: provider.certificate,
  };
  const start = async (more = {}) => startBroker({ ...env, ...more }, await bundled('main'));
  let broker = await start();
  const on = (method: string, path: string, body?: unknown) => ask(broker.url, ADMIN_KEY, method, path, body);
  onTestFinished(async () => {
    await broker.stop('SIGKILL');
    await provider.close();
    await rm(folder, { recursive: true });
  });
  const params = { authorization_url: provider.url, token_url: provider.url };
  await on('PUT', '/v1/integrations/acme', { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params });
  const importAll = () =>
    Promise.all(
      Array.from({ length: connections }, async (_, i) => {
        const credentials = { refresh_token: `o${i}-1` };
        const { body } = await on('POST', '/v1/connections', { integration: 'acme', owner: `o${i}`, credentials });
        return String(body.id);
      }),
    );
  /** What was claimed and not sent is due again by then. */
  const restart = async () => {
    broker = await start(clockAhead(CLAIMED_DUE_AGAIN_MS + 1_000));
  };
  return { provider, importAll, on, restart, broker: () => broker };
}

describe.concurrent('SIGTERM', () => {
  test('while many refreshes are due: none begins after it, those that were sent are committed, readers get 503', async (test) => {
    const { expect } = test;
    const { provider, importAll, on, restart, broker } = await brokerWith(test, 40);
    const answerNow = provider.hold();
    const ids = await importAll();
    // All slots are taken: the next request would be sent when one of these is answered.
    await expect.poll(() => provider.received.length, SOON).toBe(SLOTS);
    const waiting = ids.map((id) => on('GET', `/v1/connections/${id}/token`));
    await expect.poll(async () => (await on('GET', '/readyz')).status, SOON).toBe(200);
    const stopped = broker().stop('SIGTERM');
    await expect.poll(() => broker().output(), SOON).toContain('"event":"stopping"');
    answerNow();
    const answers = await Promise.all(waiting);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(SLOTS);
    for (const { status, headers, body } of answers.filter(({ status }) => status !== 200)) {
      expect([status, body.code]).toEqual([503, 'provider_unavailable']);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(await stopped).toBe(0);
    expect(provider.received).toHaveLength(SLOTS);

    await restart();
    const generations = async () =>
      ((await on('GET', '/v1/connections?limit=100')).body.data as Json[]).map((c) => c.generation);
    await expect.poll(generations, SOON).toEqual(ids.map(() => 2));
    // Each refresh token was spent once.
    expect(provider.received.toSorted()).toEqual(ids.map((_, i) => `o${i}-1`).toSorted());
  });

  test('between a claim and its request: the request is not sent, and the claim leaves no doubt', async (test) => {
    const { expect } = test;
    const { provider, importAll, on, restart, broker } = await brokerWith(test, 1);
    provider.proxy.stall();
    const [id] = await importAll();
    await expect.poll(() => provider.proxy.connections().open, SOON).toBe(1);
    const stopped = broker().stop('SIGTERM');
    await expect.poll(() => broker().output(), SOON).toContain('"event":"stopping"');
    provider.proxy.heal();
    expect(await stopped).toBe(0);
    expect(provider.received).toEqual([]);

    await restart();
    const state = async () => (await on('GET', `/v1/connections/${id}`)).body;
    await expect.poll(state, SOON).toMatchObject({ generation: 2 });
    expect(provider.received).toEqual(['o0-1']);
    expect(broker().output()).not.toContain('left unresolved');
  });
});
