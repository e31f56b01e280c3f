// Signals and webhooks between two brokers on one database: the same event at both, a hold that both apply, and the secrets that
// both verify with.

import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import { hasPostgres } from '../../support/postgres.ts';
import { createMigratedDatabase } from '../../support/stores.ts';
import { pushEvent, startTransmitter, type Transmitter } from '../../support/transmitter.ts';

const RISC = 'https://schemas.openid.net/secevent/risc/event-type';
const WAIT = { timeout: 30_000, interval: 50 };

const stores: [string, (folder: string) => Promise<string>][] = [
  ['SQLite', async (folder) => `file:${join(folder, 'shared.db')}`],
  ['PostgreSQL', createMigratedDatabase],
];

describe.each(hasPostgres() ? stores : stores.slice(0, 1))('signals on %s, at two replicas:', (_, databaseIn) => {
  let folder: string;
  let op: Transmitter;
  let here: TestBroker;
  let there: TestBroker;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'valetkey-replicas-'));
    op = await startTransmitter();
    const env = {
      VALETKEY_DATABASE_URL: await databaseIn(folder),
      VALETKEY_DATA_DIR: folder,
      VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
    };
    here = await startTestBroker(env);
    there = await startTestBroker({ ...env, VALETKEY_DATA_DIR: join(folder, 'there') });
    const setup = { provider: 'generic-oidc', client_id: 'client', client_secret: 's', params: { issuer: op.url } };
    expectOk(await here.ask('PUT', '/v1/integrations/acme', setup), 201);
  });
  afterAll(async () => {
    await Promise.all([here?.stop(), there?.stop()]);
    await op?.close();
    await rm(folder, { recursive: true, force: true });
  });

  let made = 0;
  async function connect(): Promise<{ id: string; sub: string }> {
    const sub = `sub-${++made}`;
    const iat = Math.floor(Date.now() / 1_000);
    const id_token = await op.sign({ iss: op.url, sub, aud: 'client', iat, exp: iat + 600 });
    const credentials = { access_token: `at-${made}`, refresh_token: `rt-${made}`, id_token, expires_in: 3_000 };
    const body = { integration: 'acme', owner: sub, credentials };
    return { id: String(expectOk(await here.ask('POST', '/v1/connections', body), 201).id), sub };
  }
  const tokenAt = (broker: TestBroker, id: string) => broker.ask('GET', `/v1/connections/${id}/token`);
  const actionsOf = async (id: string): Promise<unknown[]> => {
    const { data } = expectOk(await here.ask('GET', '/v1/audit?limit=500'));
    return (data as Json[]).filter((one) => one.connection_id === id).map(({ action }) => action);
  };

  test('the same event at both is acted on once, and neither serves what is on hold', async () => {
    const { id, sub } = await connect();
    const before = expectOk(await tokenAt(there, id)).access_token;
    expectOk(await tokenAt(here, id));
    const token = await op.event(`${RISC}/account-disabled`, 'client', sub);
    const answers = await Promise.all([here, there, here, there].map(({ url }) => pushEvent(url, 'acme', token)));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
    for (const broker of [here, there])
      await expect.poll(async () => (await tokenAt(broker, id)).status, WAIT).toBe(409);
    expectProblem(await tokenAt(there, id), 409, 'connection_on_hold');
    expect((await actionsOf(id)).filter((action) => action === 'connection.held')).toHaveLength(1);

    expect((await pushEvent(there.url, 'acme', await op.event(`${RISC}/account-enabled`, 'client', sub))).status).toBe(
      202,
    );
    for (const broker of [here, there])
      await expect.poll(async () => (await tokenAt(broker, id)).status, WAIT).toBe(200);
    for (const broker of [here, there]) expect(expectOk(await tokenAt(broker, id)).access_token).not.toBe(before);
  });

  test('callers hear of a hold once no replica serves the connection any more', async () => {
    const { id, sub } = await connect();
    expectOk(await tokenAt(there, id));
    const key = await here.callerKey({ actions: ['events'] });
    const cursor = String(expectOk(await here.ask('GET', '/v1/events?after=now', undefined, key)).next_cursor);
    await pushEvent(here.url, 'acme', await op.event(`${RISC}/account-disabled`, 'client', sub));
    const heard = async () => {
      const { data } = expectOk(
        await here.ask('GET', `/v1/events?after=${cursor}&types=webhook.received`, undefined, key),
      );
      // Others may be told of at the same time.
      return (data as { data: { connection: Json | null } }[]).filter((one) => one.data.connection?.id === id).length;
    };
    await expect.poll(heard, { ...WAIT, interval: 5 }).toBe(1);
    expectProblem(await tokenAt(there, id), 409, 'connection_on_hold');
  });

  test('an integration that was just made receives at the other replica, which has looked for it in vain', async () => {
    const setup = { provider: 'generic-oidc', client_id: 'client', client_secret: 's', params: { issuer: op.url } };
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const token = await op.event(`${RISC}/account-disabled`, 'client', `of no one ${i}`);
      // It has read all receivers, and remembers them.
      expect((await pushEvent(there.url, `new-${i}`, token)).status).toBe(404);
      expectOk(await here.ask('PUT', `/v1/integrations/new-${i}`, setup), 201);
      statuses.push((await pushEvent(there.url, `new-${i}`, token)).status);
    }
    expect(statuses).toEqual([202, 202, 202]);
  });

  test('a secret of webhooks that is replaced at one replica is the only one at the other, at once', async () => {
    const params = { authorization_url: `${op.url}/authorize`, token_url: `${op.url}/token` };
    const put = async (secret: string) => {
      const webhook = { secrets: [secret], scheme: 'hmac', header: 'X-Signature' };
      const setup = { provider: 'generic-oauth2', client_id: 'client', client_secret: 's', params, webhook };
      return (await here.ask('PUT', '/v1/integrations/hooked', setup)).status;
    };
    const sendTo = async ({ url }: TestBroker, secret: string) => {
      const body = JSON.stringify({ id: `Ev${++made}` });
      const headers = { 'x-signature': createHmac('sha256', secret).update(body).digest('hex') };
      return (await fetch(`${url}/webhooks/hooked`, { method: 'POST', headers, body })).status;
    };
    expect(await put('the first')).toBe(201);
    expect(await sendTo(there, 'the first')).toBe(200);
    expect(await put('the second')).toBe(200);
    expect([await sendTo(there, 'the second'), await sendTo(there, 'the first')]).toEqual([200, 401]);
    expect([await sendTo(here, 'the second'), await sendTo(here, 'the first')]).toEqual([200, 401]);
  });
});
