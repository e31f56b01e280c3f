// VALETKEY_WORKERS: a supervisor and its workers as processes, which share a port and a database.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bundled } from '../../support/bundle.ts';
import { type Client, startWorkers, type Workers } from './processes.ts';

vi.setConfig({ testTimeout: 180_000 });
const SOON = { interval: 20, timeout: 60_000 };
const EVERYTHING = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];

let workers: Workers;
beforeAll(async () => {
  workers = await startWorkers({ VALETKEY_LOG_LEVEL: 'info' });
  await vi.waitUntil(() => workers.starts() === 2, SOON);
});
afterAll(() => workers.close());

const bothServe = (starts: number) => expect.poll(workers.starts, SOON).toBe(starts);
const all = (clients: Client[], ...asked: Parameters<Client['send']>) =>
  Promise.all(clients.map((client) => client.send(...asked)));
const statuses = (replies: { status: number }[]) => [...new Set(replies.map(({ status }) => status))];
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The sum of the series of a metric. */
async function metric(name: string, labels = ''): Promise<number> {
  const text = String((await workers.clients(1)[0]!.send('GET', '/metrics')).body.text);
  const found = [...text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))];
  return found.filter(([, of = '']) => of.includes(labels)).reduce((sum, [, , value]) => sum + Number(value), 0);
}

test('rate limit of a caller: is exact over connections at both workers', async () => {
  const rate_limit = { requests: 50, window: 3_600 };
  const { body } = await workers.ask('POST', '/v1/callers', { name: 'limited', grants: EVERYTHING, rate_limit });
  const clients = workers.clients(16);
  const send = () => all(clients, 'GET', '/v1/whoami', { key: String(body.key) });
  const replies = (await Promise.all(Array.from({ length: 5 }, send))).flat();
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(50);
  expect(replies.filter(({ status }) => status === 429)).toHaveLength(30);
  const left = replies.map(({ headers }) => Number(/r=(\d+)/.exec(String(headers.ratelimit))?.[1]));
  const down = Array.from({ length: 80 }, (_, i) => Math.max(0, 49 - i));
  expect(left.toSorted((a, b) => b - a)).toEqual(down);
});

test('two ports: each is shared, and the public one serves what is published', async () => {
  const clients = workers.clients(16, workers.broker().url);
  expect(statuses(await all(clients, 'GET', '/readyz'))).toEqual([200]);
  expect(statuses(await all(clients, 'GET', '/v1/whoami'))).toEqual([404]);
});

test('revocation: is seen by both workers when it is answered; reads of both are in one sum', async () => {
  const id = await workers.importConnection('revoked');
  const clients = workers.clients(16);
  const read = () => all(clients, 'GET', `/v1/connections/${id}/token`);
  for (let i = 0; i < 3; i++) expect(statuses(await read())).toEqual([200]);
  const { status, body } = await workers.ask('DELETE', `/v1/connections/${id}`);
  expect(status).toBe(200);
  // On a busy machine, half a second may not be enough: then it says so.
  if (body.replicas_pending === undefined) expect(statuses(await read())).toEqual([410]);
  else await expect.poll(async () => statuses(await read()), SOON).toEqual([410]);
  const labels = 'route="/v1/connections/:id/token",method="GET",status="200"';
  expect(await metric('valetkey_http_requests_total', labels)).toBe(48);
  expect(await metric('valetkey_workers', 'state="running"')).toBe(2);
});

test('failed authentications: are counted over both workers', async () => {
  const clients = workers.clients(16);
  const guess = async (client: Client) => (await client.send('GET', '/v1/whoami', { key: 'vk_wrong' })).status;
  let refused = 0;
  while ((await guess(clients[0]!)) === 401) refused++;
  expect(refused).toBe(30);
  // The other worker hears of them soon; it would count as many of its own.
  let later = 0;
  for (const client of clients)
    await expect
      .poll(
        async () => {
          const status = await guess(client);
          later += Number(status === 401);
          return status;
        },
        { ...SOON, interval: 100 },
      )
      .toBe(429);
  expect(later).toBeLessThan(20);
  expect(statuses(await all(clients, 'GET', '/v1/whoami'))).toEqual([200]);
});

test('worker that is killed amid 32 refreshes: is replaced, the other goes on, and no grant is lost', async () => {
  const owners = Array.from({ length: 32 }, (_, i) => `o${i}`);
  const ids = await Promise.all(owners.map(workers.importConnection));
  const imports = () => metric('valetkey_http_requests_total', 'route="/v1/connections",method="POST",status="201"');
  const importsBefore = await imports();
  const { received } = workers.provider;
  const begun = received.length;
  const answerNow = workers.provider.hold();
  const clients = workers.clients(32);
  const refreshing = clients.map((client, i) => client.send('POST', `/v1/connections/${ids[i]}/refresh`, { body: {} }));
  await expect.poll(() => received.length - begun, SOON).toBe(32);
  process.kill(workers.pids().get(1)!, 'SIGKILL');
  await expect.poll(() => workers.broker().output(), SOON).toContain('"event":"worker_ended","worker":1');
  answerNow();
  const replies = await Promise.all(refreshing);
  // The port is shared: some connections were at each.
  expect(statuses(replies).toSorted()).toEqual([0, 200]);
  await bothServe(3);

  const states = async () =>
    Promise.all(ids.map(async (id) => (await workers.ask('GET', `/v1/connections/${id}`)).body));
  const committed = async () => (await states()).map(({ status, generation }) => [status, generation]);
  await expect.poll(committed, SOON).toEqual(ids.map(() => ['active', 2]));
  for (const [i, { status, body }] of replies.entries()) {
    const spent = received.filter((token) => token === `o${i}-1`).length;
    if (status === 200) expect([body.access_token, spent]).toEqual([`at-o${i}-2`, 1]);
    else expect(spent).toBeLessThanOrEqual(2);
    expect(statuses(await all(workers.clients(1), 'GET', `/v1/connections/${ids[i]}/token`))).toEqual([200]);
  }
  expect(received.some((token) => token.endsWith('-2'))).toBe(false);
  // The sums never decrease, although one process has begun at zero.
  expect(await imports()).toBe(importsBefore);
  expect(await metric('valetkey_worker_restarts_total')).toBe(1);
});

test('second deployment on the same port, and a folder that cannot be used: exit code 78, and each reason once', async () => {
  const main = await bundled('main');
  const started = async (env: Record<string, string>) => {
    const child = spawn(process.execPath, [main], { env: { PATH: process.env.PATH, ...workers.env, ...env } });
    const printed = text(child.stderr);
    const [status] = await once(child, 'exit');
    return { status, issues: (await printed).match(/^ {2}- .*/gm) };
  };
  const { port } = new URL(workers.broker().url);
  const taken = await started({ VALETKEY_PORT: port });
  expect(taken).toEqual({ status: 78, issues: [expect.stringContaining(`VALETKEY_PORT: ${port} is in use`)] });
  const unusable = await started({ VALETKEY_DATABASE_URL: 'file:/dev/null/valetkey.db' });
  expect(unusable).toEqual({ status: 78, issues: [expect.stringMatching(/VALETKEY_DATABASE_URL: .*\/dev\/null/)] });
});

test('SIGTERM: both workers drain; with the supervisor killed, they drain as well', async () => {
  const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => workers.importConnection(`drained${i}`)));
  for (const [signal, code] of [
    ['SIGTERM', 0],
    ['SIGKILL', null],
  ] as const) {
    const begun = workers.provider.received.length;
    const answerNow = workers.provider.hold();
    const clients = workers.clients(8);
    const refreshing = clients.map((client, i) =>
      client.send('POST', `/v1/connections/${ids[i]}/refresh`, { body: {} }),
    );
    await expect.poll(() => workers.provider.received.length - begun, SOON).toBe(8);
    const pids = [...workers.pids().values()];
    const ended = workers.broker().stop(signal);
    const stopping = () =>
      workers
        .broker()
        .output()
        .match(/"worker":\d,"event":"stopping"/g)?.length;
    await expect.poll(stopping, SOON).toBe(2);
    answerNow();
    expect(statuses(await Promise.all(refreshing))).toEqual([200]);
    expect(await ended).toBe(code);
    await expect.poll(() => pids.filter(isAlive), SOON).toEqual([]);
    if (signal === 'SIGKILL') return;
    await workers.start();
    await bothServe(2);
  }
});
