// Replicas that freeze (SIGSTOP) in the middle of a refresh, on PostgreSQL: nothing is spent twice, and no answer is lost. The
// provider accepts each refresh token once.

import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, vi } from 'vitest';
import { type RunningBroker, startBroker } from '../../../demo/broker.ts';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { PROCESS_DEAD_AFTER_MS } from '../../../src/domain/time-limits.ts';
import { ask, type Json } from '../../support/broker.ts';
import { bundled } from '../../support/bundle.ts';
import { codeMode, entry } from '../../support/entries.ts';
import { isLong } from '../../support/long.ts';
import { asked } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { startTokenEndpoint } from '../../support/token-endpoint.ts';

vi.setConfig({ testTimeout: 180_000 });
const SOON = { interval: 20, timeout: 30_000 };
const ADMIN_KEY = randomBytes(32).toString('base64url');

type Hooks = { onTestFinished(clean: () => Promise<void>): void };

/** A provider, and replicas with a data directory each. `auth`: members of the catalogue entry's refresh. */
async function twoReplicas({ onTestFinished }: Hooks, refresh: object) {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-frozen-'));
  const database = await createMigratedDatabase();
  const provider = await startTokenEndpoint(folder);
  const mode = codeMode({ authorization_url: provider.url, token_url: provider.url, refresh });
  writeFileSync(join(folder, 'acme.json'), JSON.stringify(entry('acme', { auth: [mode] })));
  const env = {
    VALETKEY_DATABASE_URL: database,
    VALETKEY_KEYS: generateKey(),
    VALETKEY_ADMIN_KEY: ADMIN_KEY,
    VALETKEY_PROVIDERS_DIR: folder,
    VALETKEY_LOG_LEVEL: 'info',
    NODE_EXTRA_CA_CERTS: provider.certificate,
  };
  const started: RunningBroker[] = [];
  const start = async (name: string) => {
    const broker = await startBroker({ ...env, VALETKEY_DATA_DIR: join(folder, name) }, await bundled('main'));
    started.push(broker);
    return broker;
  };
  onTestFinished(async () => {
    if (process.env.SHOW) for (const b of started) console.log(b.output());
    await Promise.all(started.map((broker) => broker.stop('SIGKILL')));
    await provider.close();
    rmSync(folder, { recursive: true });
  });
  const one = await start('one');
  const other = await start('other');
  const on = (broker: RunningBroker) => (method: string, path: string, body?: unknown) =>
    ask(broker.url, ADMIN_KEY, method, path, body);
  await on(one)('PUT', '/v1/integrations/acme', { provider: 'acme', client_id: 'c', client_secret: 's' });
  /** A connection whose access token is valid for as long, in seconds. */
  const imported = async (owner: string, expiresIn: number) => {
    const expires_at = new Date(Date.now() + expiresIn * 1_000).toISOString();
    const credentials = { access_token: `at-${owner}-1`, refresh_token: `${owner}-1`, expires_at };
    const { status, body } = await on(one)('POST', '/v1/connections', { integration: 'acme', owner, credentials });
    if (status !== 201) throw new Error(JSON.stringify(body));
    return String(body.id);
  };
  /** As if this much time had passed since the last heartbeats of all but the other one. */
  const silence = (seconds: number) =>
    asked(
      database,
      `update replicas set seen_at = seen_at - interval '${seconds} s' where holder in (select holder from leases)`,
    );
  return { database, provider, start, one, other, on, imported, silence };
}

const freeze = (broker: RunningBroker) => broker.process.kill('SIGSTOP');
const thaw = (broker: RunningBroker) => broker.process.kill('SIGCONT');
const tokenOf = ({ body }: { body: Json }) => body.access_token;

describe.concurrent('replica that freezes', () => {
  // `npm test` freezes a replica before and after it has sent the refresh token, each time until it is succeeded.
  const testLong = test.runIf(isLong);

  test('during the TLS handshake, and is succeeded: does not send the refresh token', async (test) => {
    const { expect } = test;
    const { provider, one, other, on, imported } = await twoReplicas(test, { rotates: 'always', reuse_grace: 600 });
    const id = await imported('ada', 7_200);
    provider.proxy.stall();
    const refreshing = on(one)('POST', `/v1/connections/${id}/refresh`, {});
    await expect.poll(() => provider.proxy.connections().open, SOON).toBe(1);
    freeze(one);
    const frozenAt = performance.now();
    provider.proxy.heal();
    // The provider is said to have a reuse window, so the other one does not wait longer than for a heartbeat, whose last one
    // may be some time ago on a busy machine.
    const answer = await on(other)('POST', `/v1/connections/${id}/refresh`, {});
    expect(answer.status).toBe(200);
    expect(performance.now() - frozenAt).toBeGreaterThan(PROCESS_DEAD_AFTER_MS / 2);
    expect(provider.received).toEqual(['ada-1']);
    thaw(one);
    expect((await refreshing).body).toMatchObject({ access_token: 'at-ada-2' });
    await expect.poll(() => one.output(), SOON).toContain('request withheld');
    expect(provider.received).toEqual(['ada-1']);
    expect((await on(other)('GET', `/v1/connections/${id}`)).body).toMatchObject({ status: 'active', generation: 2 });
  });

  testLong('during the TLS handshake, and was not succeeded: claims again, and refreshes', async (test) => {
    const { expect } = test;
    const { provider, one, on, imported } = await twoReplicas(test, { rotates: 'always' });
    const id = await imported('bob', 7_200);
    provider.proxy.stall();
    const refreshing = on(one)('POST', `/v1/connections/${id}/refresh`, {});
    await expect.poll(() => provider.proxy.connections().open, SOON).toBe(1);
    freeze(one);
    provider.proxy.heal();
    const frozenAt = performance.now();
    await expect.poll(() => performance.now() - frozenAt, SOON).toBeGreaterThan(5_000);
    thaw(one);
    expect((await refreshing).body).toMatchObject({ access_token: 'at-bob-2' });
    expect(provider.received).toEqual(['bob-1']);
    expect(one.output()).toContain('request withheld');
  });

  testLong(
    'after it has sent the refresh token: the other one serves the valid token and does not ask again',
    async (test) => {
      const { expect } = test;
      const { provider, one, other, on, imported, silence } = await twoReplicas(test, { rotates: 'always' });
      const [valid, expired] = [await imported('cy', 7_200), await imported('dee', 5_000)];
      const answerNow = provider.hold();
      const refreshing = [valid, expired].map((id) => on(one)('POST', `/v1/connections/${id}/refresh`, {}));
      await expect.poll(() => provider.received.length, SOON).toBe(2);
      freeze(one);
      answerNow();
      await silence(10);
      const doubt = { code: 'provider_unavailable', detail: expect.stringContaining('another process') };
      for (const id of [valid, expired]) {
        const forced = await on(other)('POST', `/v1/connections/${id}/refresh`, {});
        expect(forced).toMatchObject({ status: 503, body: doubt });
        expect(Number(forced.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      expect(tokenOf(await on(other)('GET', `/v1/connections/${valid}/token?min_ttl=7000`))).toBe('at-cy-1');
      expect(provider.received).toHaveLength(2);
      thaw(one);
      expect((await Promise.all(refreshing)).map(tokenOf)).toEqual(['at-cy-2', 'at-dee-2']);
      const served = async () => tokenOf(await on(other)('GET', `/v1/connections/${valid}/token`));
      await expect.poll(served, SOON).toBe('at-cy-2');
      expect(provider.received.toSorted()).toEqual(['cy-1', 'dee-1']);
    },
  );

  test('for so long that it is succeeded: its late answer reactivates the connection', async (test) => {
    const { expect } = test;
    const { provider, one, other, on, imported, silence } = await twoReplicas(test, { rotates: 'always' });
    const id = await imported('eve', 7_200);
    const answerNow = provider.hold();
    const refreshing = on(one)('POST', `/v1/connections/${id}/refresh`, {});
    await expect.poll(() => provider.received, SOON).toEqual(['eve-1']);
    freeze(one);
    answerNow();
    await silence(600);
    const refused = await on(other)('POST', `/v1/connections/${id}/refresh`, {});
    expect(refused.body).toMatchObject({ code: 'reauthorization_required', reason: 'refresh_outcome_unknown' });
    thaw(one);
    expect((await refreshing).body).toMatchObject({ access_token: 'at-eve-2' });
    // It is refreshed at once, to see whether the grant lives.
    await expect.poll(() => provider.received, SOON).toEqual(['eve-1', 'eve-1', 'eve-2']);
    const served = async () => tokenOf(await on(other)('GET', `/v1/connections/${id}/token`));
    await expect.poll(served, SOON).toBe('at-eve-3');
    const { body } = await on(other)('GET', `/v1/audit?connection_id=${id}`);
    const actions = (body.data as Json[]).map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['connection.needs_reauth', 'connection.reactivated']));
  });

  // Of a process that is killed, also test/system/crash.test.ts and test/system/postgres/broker.test.ts.
  testLong(
    'or is killed after it has sent the refresh token: recovers when it starts again in its place',
    async (test) => {
      const { expect } = test;
      const { provider, one, other, on, imported, start, silence } = await twoReplicas(test, { rotates: 'always' });
      const id = await imported('fay', 7_200);
      const answerNow = provider.hold();
      const refreshing = on(one)('POST', `/v1/connections/${id}/refresh`, {}).catch(() => undefined);
      await expect.poll(() => provider.received, SOON).toEqual(['fay-1']);
      await one.stop('SIGKILL');
      await refreshing;
      answerNow();
      await silence(10);
      expect((await on(other)('POST', `/v1/connections/${id}/refresh`, {})).status).toBe(503);
      expect(provider.received).toEqual(['fay-1']);
      await start('one');
      // The answer is lost, so that its successor can only ask again, at once.
      await expect.poll(() => provider.received, SOON).toEqual(['fay-1', 'fay-1']);
      const state = async () => (await on(other)('GET', `/v1/connections/${id}`)).body;
      await expect.poll(state, SOON).toMatchObject({ status: 'needs_reauth', reason: 'refresh_outcome_unknown' });
    },
  );
});
