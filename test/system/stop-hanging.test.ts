// SIGTERM while something hangs that the broker waits for: the process ends all the same, and says what was in the way.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, vi } from 'vitest';
import { startBroker } from '../../demo/broker.ts';
import { ask, type Json } from '../support/broker.ts';
import { bundled } from '../support/bundle.ts';
import { entry } from '../support/entries.ts';
import { fasterStop, hangingDisk, preloaded } from '../support/preloaded.ts';
import { createMigratedFile } from '../support/sqlite-file.ts';
import { createMigratedDatabase } from '../support/stores.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startTokenEndpoint } from '../support/token-endpoint.ts';
import { hang, startWebhookReceiver } from '../support/webhook-receiver.ts';

vi.setConfig({ testTimeout: 180_000 });
const SOON = { interval: 20, timeout: 40_000 };
const ADMIN_KEY = randomBytes(32).toString('base64url');
/** A stop takes seconds where it would take a minute. */
const FASTER = fasterStop(20);

type Hooks = { onTestFinished(clean: () => Promise<void>): void };

async function setup({ onTestFinished }: Hooks) {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-hanging-'));
  const provider = await startTokenEndpoint(folder);
  const database = join(folder, 'valetkey.db');
  await createMigratedFile(database);
  const env = {
    VALETKEY_DATABASE_URL: `file:${database}`,
    VALETKEY_ADMIN_KEY: ADMIN_KEY,
    NODE_EXTRA_CA_CERTS: provider.certificate,
    ...preloaded(FASTER),
  };
  const start = async (more = {}) => startBroker({ ...env, ...more }, await bundled('main'));
  const running: Awaited<ReturnType<typeof start>>[] = [];
  const on = (method: string, path: string, body?: unknown) => ask(running.at(-1)!.url, ADMIN_KEY, method, path, body);
  onTestFinished(async () => {
    for (const broker of running) await broker.stop('SIGKILL');
    await provider.close();
    await rm(folder, { recursive: true });
  });
  return {
    folder,
    provider,
    on,
    env,
    async begin(more = {}) {
      running.push(await start(more));
      return running.at(-1)!;
    },
    async integration(api: Json = {}) {
      const params = { authorization_url: provider.url, token_url: provider.url };
      await on('PUT', '/v1/integrations/acme', {
        provider: 'generic-oauth2',
        client_id: 'c',
        client_secret: 's',
        params,
        ...api,
      });
    },
    async connection(credentials: Json, integration = 'acme') {
      const { body } = await on('POST', '/v1/connections', { integration, owner: 'o', credentials });
      return String(body.id);
    },
  };
}

describe.concurrent('SIGTERM', () => {
  test('while the disk hangs: ends, not in order; an answer that waited for the disk is there at the next start', async (test) => {
    const { expect } = test;
    const { folder, provider, begin, integration, connection, on } = await setup(test);
    const [hangs, pipe] = [join(folder, 'hangs'), join(folder, 'pipe')];
    execFileSync('mkfifo', [pipe]);
    const broker = await begin(preloaded(FASTER, hangingDisk(hangs, pipe)));
    await integration();
    const answerNow = provider.hold();
    const id = await connection({ refresh_token: 'o-1' });
    await expect.poll(() => provider.received, SOON).toEqual(['o-1']);
    writeFileSync(hangs, '');
    // This one is in the log, and the disk is asked to take it: what comes next waits.
    const newCaller = () => on('POST', '/v1/callers', { name: 'c', grants: [] }).catch(() => undefined);
    const unanswered = newCaller();
    await expect.poll(() => broker.output(), SOON).toContain('the disk hangs');
    await expect.poll(async () => (await newCaller())?.status, SOON).toBe(503);
    answerNow();
    await expect.poll(() => provider.proxy.connections().open, SOON).toBeGreaterThan(0);
    expect(await broker.stop()).toBe(null);
    expect(await unanswered).toBe(undefined);
    expect(broker.process.signalCode).toBe('SIGKILL');
    expect(broker.output()).toMatch(/"room":"refreshes in flight"|"room":"store"/);
    expect(broker.output()).toContain('stopped, not in order');
    // Not with each flush of what is left.
    expect(broker.output().split('"message":"the store is closed"').length).toBeLessThanOrEqual(2);

    rmSync(hangs);
    await begin();
    const state = async () => (await on('GET', `/v1/connections/${id}`)).body;
    await expect.poll(state, SOON).toMatchObject({ generation: 2, status: 'active' });
    expect(provider.received).toEqual(['o-1']);
  });

  test('while PostgreSQL is silent: ends', async (test) => {
    const { expect } = test;
    const { folder, begin, on } = await setup(test);
    const link = await startTcpProxy(await createMigratedDatabase());
    test.onTestFinished(link.close);
    const broker = await begin({ VALETKEY_DATABASE_URL: link.url, VALETKEY_DATA_DIR: folder });
    expect((await on('GET', '/readyz')).status).toBe(200);
    link.stall();
    const waiting = on('GET', '/v1/callers').catch(() => undefined);
    await broker.stop();
    await waiting;
    expect(broker.output()).toContain('"event":"stopped"');
  });

  test('while a provider, an API and a webhook endpoint hang: ends in order', async (test) => {
    const { expect } = test;
    const { folder, provider, begin, integration, connection, on } = await setup(test);
    const receiver = await startWebhookReceiver();
    const api = createServer((_, response) => void response.writeHead(200).write('the first of many')).listen(0);
    await once(api, 'listening');
    test.onTestFinished(async () => {
      api.closeAllConnections();
      api.close();
      await receiver.close();
    });
    const auth = { mode: 'api_key', send: { in: 'header', name: 'Authorization', prefix: 'Bearer ' } };
    const api_base_url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    writeFileSync(join(folder, 'api.json'), JSON.stringify(entry('api', { api_base_url, auth: [auth] })));
    const broker = await begin({ VALETKEY_PROVIDERS_DIR: folder });
    await integration();
    provider.hold();
    receiver.answer('/events', hang);
    expect((await on('POST', '/v1/webhook-endpoints', { url: `${receiver.url}/events` })).status).toBe(201);
    expect((await on('PUT', '/v1/integrations/api', { provider: 'api' })).status).toBe(201);
    const called = await connection({ api_key: 'k' }, 'api');
    const stream = await fetch(`${broker.url}/v1/connections/${called}/proxy/`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    expect(stream.status).toBe(200);
    await connection({ refresh_token: 'o-1' });
    await expect.poll(() => provider.received, SOON).toEqual(['o-1']);
    await expect.poll(() => receiver.received.length, SOON).toBeGreaterThan(0);
    expect(await broker.stop()).toBe(0);
    await expect(stream.text()).rejects.toThrow();
    expect(broker.output()).toContain('"event":"stopped"');
  });

  test('while no one reads the log: ends', async (test) => {
    const { expect } = test;
    const { folder, env } = await setup(test);
    const pipe = join(folder, 'log');
    execFileSync('mkfifo', [pipe]);
    const log = openSync(pipe, 'r+');
    const full = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const child = spawn(process.execPath, [await bundled('main')], {
      env: { PATH: process.env.PATH, ...env, VALETKEY_PORT: `${port}` },
      stdio: ['ignore', log, 'ignore'],
    });
    const ended = once(child, 'exit');
    const isReady = () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await expect.poll(isReady, SOON).toBe(true);
    expect(() => {
      for (;;) writeSync(full, ' '.repeat(512));
    }).toThrow('EAGAIN');
    child.kill('SIGTERM');
    await ended;
    for (const file of [log, full]) closeSync(file);
  });
});
