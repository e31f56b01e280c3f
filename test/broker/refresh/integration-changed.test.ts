// What waits for its next attempt after a failed refresh is tried at once when its integration was changed: a wrong client
// secret is replaced, and no one waits for minutes. Real brokers on one database, and a token endpoint that knows one secret.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/adapters/telemetry/logger.ts';
import { createFailedRetries } from '../../../src/broker/refresh/failures/failed-retries.ts';
import { openSqlite } from '../../../src/stores/sqlite/store.ts';
import { anEntry, anIntegration, connected, NOW } from '../../stores/builders.ts';
import { databaseIn, type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { createMovingClock, type MovingClock } from '../../support/moving-clock.ts';
import { type ReceivedRequest, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const SOON = { timeout: 30_000, interval: 20 };
const env = { VALETKEY_ADMIN_KEY: 'an-admin-key-of-several-brokers-on-one-database' };

let folder: string;
let database: Record<string, string>;
let secret: string;
let held: PromiseWithResolvers<void> | undefined;
let server: ScriptedServer;
let brokers: TestBroker[];

let clock: MovingClock;
const secretOf = ({ headers }: ReceivedRequest) =>
  Buffer.from(String(headers.authorization).replace('Basic ', ''), 'base64').toString().split(':')[1];

let issued = 0;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'valetkey-changed-'));
  database = await databaseIn(folder);
  clock = createMovingClock();
  secret = 'right';
  held = undefined;
  brokers = [];
  server = await startScriptedServer(async (request) => {
    const isRight = secretOf(request) === secret;
    if (!isRight) await held?.promise;
    if (!isRight) return { status: 401, body: { error: 'invalid_client' } };
    const token = { access_token: `at-${++issued}`, token_type: 'Bearer', refresh_token: `rt-${issued}` };
    return { body: { ...token, expires_in: 3_600 } };
  });
});
afterEach(async () => {
  held?.resolve();
  await server.close();
  for (const broker of brokers) await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function aBroker(more: Record<string, string> = {}): Promise<TestBroker> {
  const broker = await startTestBroker({ ...env, ...database, ...more }, undefined, { clock });
  brokers.push(broker);
  return broker;
}
async function putSecret(broker: TestBroker, client_secret: string): Promise<void> {
  const params = { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret, params };
  expect((await broker.ask('PUT', '/v1/integrations/acme', setup)).status).toBeLessThan(300);
}
async function connect(broker: TestBroker, count: number): Promise<string[]> {
  const expires_at = new Date(clock.now() + 600_000).toISOString();
  const connected = Array.from({ length: count }, async (_, i) => {
    const credentials = { refresh_token: `r${i}`, access_token: `a${i}`, expires_at };
    const body = { integration: 'acme', owner: `o${i}`, credentials };
    return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
  });
  return Promise.all(connected);
}
const connection = async (broker: TestBroker, id: string): Promise<Json> =>
  (await broker.ask('GET', `/v1/connections/${id}`)).body;
const generations = async (broker: TestBroker, ids: string[]) =>
  Promise.all(ids.map(async (id) => (await connection(broker, id)).generation));
/** Each has failed, and waits; the circuit is open. */
async function expectWaiting(broker: TestBroker, ids: string[]): Promise<void> {
  const errors = async () => {
    clock.advance(5_000);
    const all = await Promise.all(ids.map((id) => connection(broker, id)));
    return all.filter(({ last_refresh_error }) => last_refresh_error !== null).length;
  };
  await expect.poll(errors, { timeout: 30_000, interval: 50 }).toBe(ids.length);
}

test('a wrong client secret is replaced: what waits is refreshed at once, on every replica, without a read', async () => {
  const [first, second] = [await aBroker(), await aBroker()];
  await putSecret(first, 'wrong');
  const ids = await connect(first, 12);
  clock.advance(310_000);
  await expectWaiting(second, ids);
  expect(await generations(first, ids)).toEqual(ids.map(() => 1));
  await putSecret(second, 'right');
  // The clock stands still for all that they wait for.
  await expect.poll(() => generations(first, ids), SOON).toEqual(ids.map(() => 2));
  const after = await Promise.all(ids.map((id) => connection(first, id)));
  expect(after.map(({ last_refresh_error }) => last_refresh_error)).toEqual(ids.map(() => null));
});

test('a change that an earlier run did not live to follow is followed at the next start', async () => {
  const store = await openSqlite(`file:${join(folder, 'changed.db')}`);
  onTestFinished(() => store.close());
  const error = { code: 'misconfigured.invalid_client', detail: 'd', at: NOW - 60_000, retryAt: NOW + 900_000 };
  const given = { failures: 9, lastRefreshError: error, nextRefreshAt: NOW + 900_000 };
  const { connection } = await connected(store, given);
  const since = { store, targets: { find: () => Promise.reject(new Error('not asked')) }, clock: { now: () => NOW } };
  const failedRetries = createFailedRetries({ ...since, log: createLogger('silent') });
  await failedRetries.start();
  expect(await store.connection(connection.id)).toEqual(connection);
  await store.putIntegration(anIntegration({ updatedAt: NOW - 30_000 }), anEntry());
  await failedRetries.start();
  expect(await store.dueConnections('slack', NOW, 10)).toMatchObject([
    { dueAt: NOW, connection: { id: connection.id } },
  ]);
});

test('a refresh that the old secret fails after the change is tried again at once', async () => {
  const broker = await aBroker();
  await putSecret(broker, 'wrong');
  held = Promise.withResolvers();
  const [id] = await connect(broker, 1);
  clock.advance(310_000);
  await expect.poll(() => server.received.length, SOON).toBe(1);
  await putSecret(broker, 'right');
  held.resolve();
  await expect.poll(() => generations(broker, [id!]), SOON).toEqual([2]);
});

test('what waits for its turn is sent with the changed integration, and nothing with the old one', async () => {
  const broker = await aBroker({ VALETKEY_REFRESH_CONCURRENCY: '1' });
  await putSecret(broker, 'wrong');
  held = Promise.withResolvers();
  const ids = await connect(broker, 3);
  clock.advance(310_000);
  await expect.poll(() => server.received.length, SOON).toBe(1);
  // They wait behind the first one, before the integration is changed.
  const refreshes = ids.map((id) => broker.ask('POST', `/v1/connections/${id}/refresh`, {}));
  for (let n = 0; n < 5; n++) await generations(broker, ids);
  await putSecret(broker, 'right');
  const sent = server.received.length;
  held.resolve();
  await Promise.all(refreshes);
  await expect.poll(() => generations(broker, ids), SOON).toEqual([2, 2, 2]);
  expect(server.received.slice(sent).map(secretOf)).toEqual(['right', 'right', 'right']);
});
