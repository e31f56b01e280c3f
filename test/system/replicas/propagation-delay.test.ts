// Propagation delay of changes between three brokers on one PostgreSQL database, and their caches when changes are lost.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, test as anyTest, beforeAll, expect } from 'vitest';
import { CHANGE_POLL_NOTIFIED_MS } from '../../../src/domain/time-limits.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { asked, hasPostgres } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';

const test = anyTest.skipIf(!hasPostgres());

const FELT = { timeout: 30_000, interval: 100 };

let folder: string;
let url: string;
let brokers: TestBroker[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-everything-'));
  url = await createMigratedDatabase();
  const keys = `k1:${randomBytes(32).toString('base64url')}`;
  brokers = [];
  for (const name of ['one', 'two', 'three'])
    brokers.push(
      await startTestBroker({
        VALETKEY_DATABASE_URL: url,
        VALETKEY_DATA_DIR: join(folder, name),
        VALETKEY_KEYS: keys,
      }),
    );
  const params = { authorization_url: 'https://op.example/a', token_url: 'https://op.example/t' };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await brokers[0]!.ask('PUT', '/v1/integrations/acme', setup), 201);
});
afterAll(async () => {
  await Promise.all((brokers ?? []).map((broker) => broker.stop()));
  await rm(folder, { recursive: true, force: true });
});

let owners = 0;
/** A connection whose token every replica has cached. */
async function held(): Promise<string> {
  const credentials = { access_token: 't', expires_at: new Date(Date.now() + 3_600_000).toISOString() };
  const body = { integration: 'acme', owner: `owner-${++owners}`, credentials };
  const { id } = expectOk(await brokers[0]!.ask('POST', '/v1/connections', body), 201);
  for (const broker of brokers) expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
  return String(id);
}
const statuses = (path: string, key?: string) =>
  Promise.all(brokers.map(async (broker) => (await broker.ask('GET', path, undefined, key)).status));

test('revocation: most reach all replicas before they would be polled', async () => {
  const took: number[] = [];
  for (let i = 0; i < 9; i++) {
    const path = `/v1/connections/${await held()}`;
    expectOk(await brokers[i % 3]!.ask('DELETE', path));
    const since = performance.now();
    await expect.poll(() => statuses(`${path}/token`), { timeout: 30_000, interval: 5 }).toEqual([410, 410, 410]);
    took.push(performance.now() - since);
  }
  // Polled, two of three would take longer, since both others have to.
  expect(took.toSorted((a, b) => a - b)[4]).toBeLessThan(CHANGE_POLL_NOTIFIED_MS / 2);
});

test('database that lost its last commits: replicas compare their caches, and drop what has changed', async () => {
  const [revoked, kept] = [await held(), await held()];
  const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
  const { id, key } = expectOk(await brokers[0]!.ask('POST', '/v1/callers', { name: 'x', grants }), 201);
  await expect.poll(() => statuses('/v1/whoami', String(key)), FELT).toEqual([200, 200, 200]);

  // As after a failover to a standby: no notification, and lower change numbers than before.
  await asked(url, `update connections set status = 'revoked' where id = '${revoked}'`);
  await asked(url, `delete from callers where id = '${id}'`);
  await asked(url, 'delete from changes where seq > (select min(seq) from changes)');

  await expect.poll(() => statuses(`/v1/connections/${revoked}/token`), FELT).toEqual([410, 410, 410]);
  await expect.poll(() => statuses('/v1/whoami', String(key)), FELT).toEqual([401, 401, 401]);
  expect(await statuses(`/v1/connections/${kept}/token`)).toEqual([200, 200, 200]);
});
