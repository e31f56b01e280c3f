// What operators see: health, metrics, start, refusal to start, and stop.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningBroker, startBroker } from '../../demo/broker.ts';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { Health, Readiness } from '../../src/api/index.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { generateKey } from '../../src/runtime/keys.ts';
import { ask, type Json } from '../support/broker.ts';
import { startTestSetup, type TestSetup } from '../support/broker-setup.ts';
import { bundled } from '../support/bundle.ts';
import { expectOk } from '../support/contract.ts';
import { newOwner } from '../support/owner-browser.ts';

let folder: string;
let testSetup: TestSetup;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-operations-'));
  testSetup = await startTestSetup();
});
afterAll(async () => {
  await testSetup.close();
  await rm(folder, { recursive: true, force: true });
});

/** A process that is expected to refuse to start: its exit code and output. */
async function refusal(env: Record<string, string>): Promise<{ code: number | null; printed: string }> {
  const child = spawn(process.execPath, [await bundled('main')], {
    env: { PATH: process.env.PATH, VALETKEY_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 45_000,
    killSignal: 'SIGKILL',
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, printed: out + err };
}
const inFolder = (name: string) => `file:${join(folder, name, 'valetkey.db')}`;

const valueIn = (metrics: string, series: string): number =>
  Number(
    metrics
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')[1],
  );

describe('broker', () => {
  const get = (path: string) => fetch(new URL(path, testSetup.broker.url));

  test.each(['GET', 'HEAD', 'OPTIONS'])(
    'healthz and readyz: 200 to %s over HTTP/1.0 without Host, as a load balancer asks',
    async (method) => {
      const { hostname, port } = new URL(testSetup.broker.url);
      for (const path of ['/healthz', '/readyz']) {
        const socket = connect(Number(port), hostname);
        socket.write(`${method} ${path} HTTP/1.0\r\n\r\n`);
        expect((await text(socket)).split('\r\n')[0], path).toMatch(/^HTTP\/1\.[01] 200 /);
      }
    },
  );

  test('healthz and readyz: 200 without a key', async () => {
    const [alive, ready] = await Promise.all([get('/healthz'), get('/readyz')]);
    expect([alive.status, ready.status]).toEqual([200, 200]);
    expect(Health.strict().parse(await alive.json())).toEqual({ status: 'ok' });
    expect(Readiness.strict().parse(await ready.json())).toEqual({
      status: 'ready',
      checks: { store: 'ok', key_ring: 'ok' },
    });
  });

  test('metrics: requests by route, refreshes, cache hits and connections, without owners or ids', async () => {
    const owner = newOwner();
    const id = await testSetup.importConnection(owner);
    for (let i = 0; i < 3; i++) expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}/token`));
    await testSetup.broker.ask('GET', '/v1/nothing');
    const response = await get('/metrics');
    expect(response.headers.get('content-type')).toMatch(/^text\/plain\b/);
    const metrics = await response.text();
    const value = (series: string) => valueIn(metrics, series);
    const requests = (route: string, method: string, status: number) =>
      value(`valetkey_http_requests_total{route="${route}",method="${method}",status="${status}"}`);
    expect(requests('/v1/connections/:id/token', 'GET', 200)).toBe(3);
    expect(requests('/v1/connections', 'POST', 201)).toBe(1);
    expect(value('valetkey_http_request_duration_seconds_count{route="/v1/connections/:id/token"}')).toBe(3);
    expect(value('valetkey_refreshes_total{integration="acme",outcome="ok"}')).toBe(1);
    expect(value('valetkey_token_cache_lookups_total{outcome="hit"}')).toBe(2);
    expect(value('valetkey_token_cache_lookups_total{outcome="miss"}')).toBe(1);
    expect(value('valetkey_connections{integration="acme",status="active"}')).toBe(1);
    expect(metrics).toContain('process_resident_memory_bytes');
    for (const hidden of [owner, id, '/v1/nothing']) expect(metrics).not.toContain(hidden);
  });

  test('metrics: revocation attempts; series for alerts start at zero', async () => {
    const id = await testSetup.importConnection(newOwner());
    const told = async (outcome: string) => {
      const series = `valetkey_upstream_revocations_total{integration="acme",outcome="${outcome}"}`;
      return valueIn(await (await get('/metrics')).text(), series);
    };
    const [done, failed] = [await told('done'), await told('failed')];
    expect(await testSetup.broker.ask('DELETE', `/v1/connections/${id}`)).toMatchObject({
      body: { upstream_revocation: 'done' },
    });
    expect([await told('done'), await told('failed')]).toEqual([done + 1, failed]);
    const metrics = await (await get('/metrics')).text();
    expect(valueIn(metrics, 'valetkey_refreshes_total{integration="acme",outcome="grant_revoked"}')).toBe(0);
  });

  test('readyz: 503 while the database is not writable; cached tokens are served, and it recovers', async () => {
    const id = await testSetup.importConnection(newOwner(), { access_token: 'cached' });
    expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}/token`));
    const other = new Database(testSetup.broker.database);
    other.exec('BEGIN EXCLUSIVE');
    const ready = await get('/readyz');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ status: 'unavailable', checks: { store: 'failed', key_ring: 'ok' } });
    expect((await get('/healthz')).status).toBe(200);
    expect(expectOk(await testSetup.broker.ask('GET', `/v1/connections/${id}/token`))).toMatchObject({
      access_token: 'cached',
    });
    const told = async (series: string) => valueIn(await (await get('/metrics')).text(), series);
    expect(await told('valetkey_store_up')).toBe(0);
    other.exec('ROLLBACK');
    other.close();
    expect((await get('/readyz')).status).toBe(200);
    expect(await told('valetkey_store_up')).toBe(1);
    expect(await told('valetkey_store_errors_total{operation="ping"}')).toBeGreaterThan(0);
  });
});

// Four processes start from source at the same time: seconds of processor time each.
describe.concurrent('a process', { timeout: 180_000 }, () => {
  test('start: creates a private key file on loopback and warns; SIGTERM: finishes open requests, exits 0', async ({
    expect,
  }) => {
    let broker: RunningBroker | undefined;
    try {
      broker = await startBroker({ VALETKEY_DATABASE_URL: inFolder('graceful') }, await bundled('main'));
      const { url, adminKey } = broker;
      expect(broker.output()).toMatch(/"event":"listening"/);
      expect(broker.output()).toMatch(/VALETKEY_KEYS is not set/);
      expect((await stat(join(folder, 'graceful', 'valetkey.keys'))).mode & 0o777).toBe(0o600);
      expect((await stat(join(folder, 'graceful', 'valetkey.db'))).mode & 0o077).toBe(0);

      expectOk(await ask(url, adminKey, 'PUT', '/v1/integrations/acme', testSetup.integrationBody), 201);
      const credentials = { refresh_token: await testSetup.mintRefreshToken('ada') };
      const body = { integration: 'acme', owner: 'ada', credentials };
      const { id } = expectOk(await ask(url, adminKey, 'POST', '/v1/connections', body), 201);
      testSetup.proxy.setRule('withhold');
      const reading = ask(url, adminKey, 'GET', `/v1/connections/${id}/token`);
      await testSetup.proxy.untilHeld(1);
      const gone = broker.stop('SIGTERM');
      await expect.poll(() => broker?.output(), { interval: 20, timeout: 30_000 }).toContain('"event":"stopping"');
      await expect
        .poll(
          () =>
            fetch(`${url}/healthz`).then(
              () => 'open',
              () => 'closed',
            ),
          { interval: 20, timeout: 30_000 },
        )
        .toBe('closed');
      testSetup.proxy.release();
      const { access_token } = expectOk(await reading);
      expect(access_token).toMatch(/./);
      expect(await gone).toBe(0);
      expect(broker.output()).toContain('"event":"stopped"');
      for (const secret of [adminKey, access_token, testSetup.clientSecret, credentials.refresh_token])
        expect(broker.output()).not.toContain(secret);
    } finally {
      await broker?.stop('SIGKILL');
      testSetup.proxy.setRule('pass');
    }
  });

  test('start: fails on a port in use, by name', async () => {
    const { port } = new URL(testSetup.broker.url);
    const { code, printed } = await refusal({ VALETKEY_DATABASE_URL: inFolder('taken'), VALETKEY_PORT: port });
    expect(code).toBe(78);
    expect(printed).toContain(`- VALETKEY_PORT: ${port} is in use`);
    expect(printed).not.toContain('"event":"listening"');
  });

  test('start: lists all configuration faults at once without secrets, exits 78', async () => {
    await writeFile(join(folder, 'declared.json'), JSON.stringify({ integrations: [{ id: 'acme', colour: 'red' }] }));
    const { code, printed } = await refusal({
      VALETKEY_PORT: '99999',
      VALETKEY_ADMIN_KEY: 'short-secret',
      VALETKEY_KEYS: 'k1:dG9vLXNob3J0LWEtc2VjcmV0',
      VALETKEY_OUTBOUND_ALLOW: 'https://x',
      VALETKEY_PROVIDERS_DIR: join(folder, 'nowhere'),
      VALETKEY_DATABASE_URL: 'mysql://x',
      VALETKEY_PUBLIC_URL: 'ftp://x',
      VALETKEY_LOG_LEVEL: 'loud',
      VALETKEY_CONFIG: join(folder, 'declared.json'),
    });
    expect(code).toBe(78);
    for (const name of [
      'PORT',
      'ADMIN_KEY',
      'KEYS',
      'OUTBOUND_ALLOW',
      'PROVIDERS_DIR',
      'DATABASE_URL',
      'PUBLIC_URL',
      'LOG_LEVEL',
      'CONFIG',
    ])
      expect(printed).toMatch(new RegExp(`- VALETKEY_${name}: `));
    expect(printed).not.toContain('short-secret');
    expect(printed).not.toContain('dG9vLXNob3J0');
  });

  test('start: fails on an invalid declared integration, by name, and leaves nothing open', async () => {
    const declared: Json = {
      integrations: [
        { id: 'acme', provider: 'nobody', client_id: 'me' },
        { id: 'oidc', provider: 'generic-oidc', client_id: 'me', params: { issuer: 'http://id.example' } },
      ],
    };
    await writeFile(join(folder, 'impossible.json'), JSON.stringify(declared));
    const { code, printed } = await refusal({
      VALETKEY_DATABASE_URL: inFolder('impossible'),
      VALETKEY_CONFIG: join(folder, 'impossible.json'),
    });
    expect(code).toBe(78);
    expect(printed).toMatch(/VALETKEY_CONFIG: integration acme: provider: /);
    expect(printed).toMatch(/VALETKEY_CONFIG: integration oidc: params\.issuer: /);
  });
});

describe('key ring', () => {
  /** Starts and stops; rejects when the process would refuse to start. */
  async function run(env: Record<string, string>): Promise<void> {
    const parsed = parseConfig({ VALETKEY_PORT: '0', ...env }, () => '{}');
    if (!parsed.ok) throw new Error(parsed.issues.join('\n'));
    await (await start(parsed.config, createLogger('silent'))).stop();
  }

  test('start fails with another key than the database was encrypted with, or none', async () => {
    const VALETKEY_DATABASE_URL = inFolder('key-ring');
    const [k1, k2] = [generateKey('k1'), generateKey('k2')];
    await run({ VALETKEY_DATABASE_URL, VALETKEY_KEYS: k1 });
    await expect(run({ VALETKEY_DATABASE_URL, VALETKEY_KEYS: generateKey('k1') })).rejects.toThrow(
      /^VALETKEY_KEYS: key k1 .* is not the key of that id/,
    );
    await expect(run({ VALETKEY_DATABASE_URL, VALETKEY_KEYS: k2 })).rejects.toThrow(
      /^VALETKEY_KEYS: key k1 .* not in VALETKEY_KEYS/,
    );
    await run({ VALETKEY_DATABASE_URL, VALETKEY_KEYS: `${k2},${k1}` });
    await run({ VALETKEY_DATABASE_URL, VALETKEY_KEYS: `${k2},${k1}` });
  });

  test('start fails on a key file that others may read', async () => {
    await mkdir(join(folder, 'loose'));
    await writeFile(join(folder, 'loose', 'valetkey.keys'), generateKey(), { mode: 0o644 });
    await expect(run({ VALETKEY_DATABASE_URL: inFolder('loose') })).rejects.toThrow(
      /^VALETKEY_KEYS: other users may read the key file/,
    );
  });

  test('start fails without one where the public URL is not loopback; no file is created', async () => {
    const env = { VALETKEY_DATABASE_URL: inFolder('public'), VALETKEY_PUBLIC_URL: 'https://valetkey.example' };
    await expect(run(env)).rejects.toThrow(/^VALETKEY_KEYS: required/);
    await expect(stat(join(folder, 'public'))).rejects.toThrow('ENOENT');
  });
});
