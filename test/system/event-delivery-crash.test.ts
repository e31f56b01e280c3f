// Events survive SIGKILL: each that a 2xx has promised is delivered, and none under two ids.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type RunningBroker, startBroker } from '../../demo/broker.ts';
import { DELIVERY_CLAIM_MS } from '../../src/domain/time-limits.ts';
import { ask, databaseIn, type Json } from '../support/broker.ts';
import { bundled } from '../support/bundle.ts';
import { clockAhead } from '../support/clock-offset.ts';
import { isLong } from '../support/long.ts';
import { hasPostgres } from '../support/postgres.ts';
import { createMigratedDatabase } from '../support/stores.ts';
import { hang, startWebhookReceiver, status, type WebhookReceiver } from '../support/webhook-receiver.ts';

/** Process starts are slow on a busy machine. */
vi.setConfig({ testTimeout: 180_000 });
const PATIENT = { timeout: 30_000, interval: 50 };

let folder: string;
let receiver: WebhookReceiver;
let started: RunningBroker[] = [];
const adminKey = randomBytes(32).toString('base64url');
const keys = `k1:${randomBytes(32).toString('base64url')}`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-events-'));
  receiver = await startWebhookReceiver();
});
afterEach(async () => {
  await Promise.all(started.map((broker) => broker.stop('SIGKILL')));
  started = [];
  await receiver.close();
  await rm(folder, { recursive: true, force: true });
});

/** `isLate`: by its clock, the claims of others have expired. */
async function start(database: Record<string, string>, isLate = false): Promise<RunningBroker> {
  const clock = clockAhead(DELIVERY_CLAIM_MS + 1_000);
  const env = { ...database, VALETKEY_ADMIN_KEY: adminKey, VALETKEY_KEYS: keys, ...(isLate && clock) };
  const broker = await startBroker(env, await bundled('main'));
  started.push(broker);
  return broker;
}

async function prepare({ url }: RunningBroker): Promise<void> {
  const integration = { provider: 'stripe', params: { mode: 'api_key' } };
  expect((await ask(url, adminKey, 'PUT', '/v1/integrations/pay', integration)).status).toBe(201);
  const endpoint = { url: `${receiver.url}/events`, types: ['connection.created'] };
  expect((await ask(url, adminKey, 'POST', '/v1/webhook-endpoints', endpoint)).status).toBe(201);
}

const imported = (owner: string): Json => ({
  integration: 'pay',
  owner,
  credentials: { api_key: `sk_${'x'.repeat(30)}` },
});

/** The ids of the events of each connection. */
function idsByConnection(): Map<string, Set<string>> {
  const ids = new Map<string, Set<string>>();
  for (const { id, event } of receiver.at('/events')) {
    const connection = String((event.data.connection as Json).id);
    ids.set(connection, (ids.get(connection) ?? new Set()).add(id));
  }
  return ids;
}

test('killed between the commit and the delivery, and during it: the next start delivers, under the same id', async () => {
  const database = await databaseIn(folder);
  receiver.answer('/events', hang);
  const first = await start(database);
  await prepare(first);
  const answer = await ask(first.url, adminKey, 'POST', '/v1/connections', imported('during'));
  await vi.waitFor(() => expect(receiver.at('/events')).toHaveLength(1), PATIENT);
  const response = await fetch(new URL('/v1/connections', first.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(imported('between')),
  });
  const killed = first.stop('SIGKILL');
  const [during, between] = [String(answer.body.id), String(((await response.json()) as Json).id)];
  await killed;

  receiver.answer('/events', status(204));
  await start(database, true);
  await vi.waitFor(() => expect(receiver.at('/events').length).toBeGreaterThanOrEqual(3), PATIENT);
  const ids = idsByConnection();
  expect([...ids.keys()].sort()).toEqual([during, between].sort());
  expect([...ids.values()].map(({ size }) => size)).toEqual([1, 1]);
});

// That a burst writes each event once, on two replicas: test/stores/conformance/event-hook.ts.
test.runIf(isLong && hasPostgres())(
  'two replicas on PostgreSQL in a burst, one killed: nothing is lost, no event has two ids',
  async () => {
    const database = { VALETKEY_DATABASE_URL: await createMigratedDatabase() };
    receiver.answer('/events', (response) => void setTimeout(() => response.writeHead(204).end(), 20));
    const [one, two] = [
      await start({ ...database, VALETKEY_DATA_DIR: join(folder, 'one') }),
      await start({ ...database, VALETKEY_DATA_DIR: join(folder, 'two') }),
    ];
    await prepare(one);
    const promised: string[] = [];
    let sent = 0;
    const burst = async (broker: RunningBroker) => {
      while (sent < 120) {
        const owner = `user_${++sent}`;
        const answer = await ask(broker.url, adminKey, 'POST', '/v1/connections', imported(owner)).catch(
          () => undefined,
        );
        if (answer === undefined) return;
        expect(answer.status).toBe(201);
        promised.push(String(answer.body.id));
        if (promised.length === 60) void two.stop('SIGKILL');
      }
    };
    await Promise.all([one, one, two, two, two].map(burst));
    await two.stop('SIGKILL');
    expect(promised.length).toBeGreaterThan(60);

    // What the killed one had claimed comes back when its claims expire.
    await start({ ...database, VALETKEY_DATA_DIR: join(folder, 'three') }, true);
    await vi.waitFor(() => {
      const told = idsByConnection();
      expect(promised.filter((id) => !told.has(id))).toEqual([]);
    }, PATIENT);
    expect([...idsByConnection().values()].filter(({ size }) => size !== 1)).toEqual([]);
  },
);
