// Crash recovery: brokers are killed and restarted on the same database, and every acknowledged change must be there.
import { createHmac, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, it, vi } from 'vitest';
import type { RunningBroker } from '../../demo/broker.ts';
import { createCookieJar, walkThrough } from '../../demo/browser.ts';
import { RECEIVED_CLAIM_MS, REGISTRATION_CLAIM_MS } from '../../src/domain/time-limits.ts';
import { ask } from '../support/broker.ts';
import { startHostileMcp } from '../support/hostile-mcp/index.ts';
import { isLong } from '../support/long.ts';
import { formOf, visit } from '../support/owner-browser.ts';
import { INTEGRATION, type RestartableBroker, startRestartableBroker } from '../support/restartable-broker.ts';
import { pushEvent, startTransmitter } from '../support/transmitter.ts';

type TestHooks = { onTestFinished(clean: () => Promise<void>): void };

async function restartable(
  { onTestFinished }: TestHooks,
  options?: Parameters<typeof startRestartableBroker>[0],
): Promise<RestartableBroker> {
  const opened = await startRestartableBroker(options);
  onTestFinished(() => opened.close());
  return opened;
}

/** Sends a request; in the long run, the broker is killed as it answers, and started again. */
const killingWhenLong =
  (h: RestartableBroker) =>
  async (...request: Parameters<RestartableBroker['askAndKill']>) => {
    if (!isLong) return h.ask(...request);
    const answer = await h.askAndKill(...request);
    await h.start();
    return answer;
  };

const EVERYTHING = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];

/** Process starts are slow on a busy machine. */
vi.setConfig({ testTimeout: 180_000 });

describe.concurrent('committed data survives SIGKILL', () => {
  // What is committed before the answer is so for all kinds of rows: `npm test` kills where more than that is needed.
  const itLong = it.runIf(isLong);

  itLong('callers and keys, also deleted ones', async (test) => {
    const h = await restartable(test);
    const killing = killingWhenLong(h);
    const made = await h.askAndKill('POST', '/v1/callers', { name: 'calendar-sync', grants: EVERYTHING });
    test.expect(made.status).toBe(201);
    const statuses = async (...keys: unknown[]) => {
      const answers = keys.map((key) => h.ask('GET', '/v1/connections', undefined, String(key)));
      return (await Promise.all(answers)).map(({ status }) => status);
    };
    await h.start();
    test.expect(await statuses(made.body.key)).toEqual([200]);
    const second = await killing('POST', `/v1/callers/${made.body.id}/keys`, {});
    test.expect(second.status).toBe(201);
    test.expect(await statuses(made.body.key, second.body.key)).toEqual([200, 200]);
    test.expect((await h.askAndKill('DELETE', `/v1/callers/${made.body.id}/keys/${second.body.id}`)).status).toBe(204);
    await h.start();
    test.expect(await statuses(made.body.key, second.body.key)).toEqual([200, 401]);
    test.expect((await killing('DELETE', `/v1/callers/${made.body.id}`)).status).toBe(204);
    test.expect(await statuses(made.body.key, second.body.key)).toEqual([401, 401]);
  });

  itLong('a connect session, its flow, and its connection', async (test) => {
    const h = await restartable(test);
    const killing = killingWhenLong(h);
    const session = await killing('POST', '/v1/connect-sessions', { integration: INTEGRATION, owner: 'user_42' });
    test.expect(session.status).toBe(201);
    const jar = createCookieJar();
    const link = new URL(String(session.body.url));
    const form = new URLSearchParams(formOf(await visit(link, jar)));
    const headers = { cookie: jar.header(link)! };
    const opened = await h.sendAndKill(() => fetch(link, { method: 'POST', body: form, headers, redirect: 'manual' }));
    test.expect(opened.status).toBe(303);
    await h.start();
    const stopAt = `${h.current().url}/oauth2/callback/`;
    const { url } = await walkThrough(opened.headers.get('location')!, { login: 'alice', jar, stopAt });
    const result = await h.sendAndKill(() => fetch(url, { headers: { cookie: jar.header(url)! }, redirect: 'manual' }));
    test.expect(result.status).toBe(303);
    await h.start();
    const { body } = await h.ask('GET', `/v1/connect-sessions/${session.body.id}`);
    test.expect(body.status).toBe('completed');
    const [exchange] = h.proxy.forwarded('authorization_code');
    const served = await h.ask('GET', `/v1/connections/${body.connection_id}/token`);
    test.expect(served.body.access_token).toBe(exchange?.answer.access_token);
    test.expect((await h.ask('POST', `/v1/connections/${body.connection_id}/refresh`, {})).status).toBe(200);
  });

  it('webhooks that were answered: each is handed on once, under the id that it was received with', async (test) => {
    const h = await restartable(test);
    const key = randomBytes(32);
    const webhook = { secrets: [`whsec_${key.toString('base64')}`] };
    await h.ask('PUT', `/v1/integrations/${INTEGRATION}`, { ...h.integrationBody, webhook });
    const send = (id: string) => {
      const at = Math.floor(Date.now() / 1_000);
      const body = JSON.stringify({ type: 'invoice.paid', id });
      const mac = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64');
      const headers = { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${mac}` };
      return fetch(new URL(`/webhooks/${INTEGRATION}`, h.current().url), {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body,
      });
    };
    const answered: string[] = [];
    const burst = Array.from({ length: 40 }, async (_, i) => {
      if ((await send(`event-${i}`).catch(() => undefined))?.status === 200) answered.push(`event-${i}`);
    });
    test.expect((await h.sendAndKill(() => send('the-last'))).status).toBe(200);
    await Promise.all(burst);
    type Item = { event_id: string; provider_event_id: string };
    // Beyond the claims of the process that was killed.
    await h.start({ aheadMs: 120_000 });
    const received = async () => {
      const { body } = await h.ask('GET', `/v1/webhooks?integration=${INTEGRATION}&limit=500`);
      return body.data as { id: string; status: string; events: Item[] }[];
    };
    await vi.waitUntil(async () => (await received()).every(({ status }) => status !== 'received'), {
      timeout: 30_000,
    });
    const all = await received();
    test.expect(new Set(all.map(({ status }) => status))).toEqual(new Set(['unmatched']));
    const items = all.flatMap(({ events }) => events);
    test
      .expect(items.map((item) => item.provider_event_id))
      .toEqual(test.expect.arrayContaining([...answered, 'the-last']));
    test.expect(new Set(items.map((item) => item.provider_event_id)).size).toBe(items.length);
    if (process.env.VALETKEY_TEST_STORE === 'postgres') return;
    const inside = new Database(join(h.folder, 'valetkey.db'), { readonly: true });
    const told = inside.prepare(`select id from events where type = 'webhook.received'`).pluck().all();
    inside.close();
    test.expect(told.sort()).toEqual(items.map((item) => item.event_id).sort());
  });

  // Received as a webhook is, and claimed by the next process as those are.
  itLong('a signal: what it says is done, by the process that received it or by the next one', async (test) => {
    const h = await restartable(test);
    const op = await startTransmitter();
    test.onTestFinished(() => op.close());
    const setup = { provider: 'generic-oidc', client_id: 'client', client_secret: 's', params: { issuer: op.url } };
    test.expect((await h.ask('PUT', '/v1/integrations/signals', setup)).status).toBe(201);
    const iat = Math.floor(Date.now() / 1_000);
    for (const [n, sub] of ['one', 'two'].entries()) {
      const id_token = await op.sign({ iss: op.url, sub, aud: 'client', iat, exp: iat + 600 });
      const credentials = { access_token: 'at', refresh_token: sub, id_token, expires_in: 3_000 };
      const imported = await h.ask('POST', '/v1/connections', { integration: 'signals', owner: sub, credentials });
      const type = 'https://schemas.openid.net/secevent/risc/event-type/account-purged';
      const token = await op.event(type, 'client', sub);
      test.expect((await h.sendAndKill(() => pushEvent(h.current().url, 'signals', token))).status).toBe(202);
      // What the killed process had claimed is due again by then.
      await h.start({ aheadMs: (n + 1) * (RECEIVED_CLAIM_MS + 1_000) });
      const status = async () => (await h.ask('GET', `/v1/connections/${imported.body.id}`)).body.status;
      await test.expect.poll(status, { timeout: 30_000, interval: 100 }).toBe('revoked');
      const { body } = await h.ask('GET', '/v1/audit?action=connection.revoked&limit=500');
      const entries = (body.data as { connection_id: string }[]).filter(
        (one) => one.connection_id === imported.body.id,
      );
      test.expect(entries).toHaveLength(1);
    }
  });

  // The kill during thirty refreshes needs all three of them afterwards.
  itLong('an integration with its secret, an import, and a rotated refresh token', async (test) => {
    const h = await restartable(test, { empty: true });
    const put = await h.askAndKill('PUT', `/v1/integrations/${INTEGRATION}`, h.integrationBody);
    test.expect(put.status).toBe(201);
    await h.start();
    test.expect((await h.ask('GET', `/v1/integrations/${INTEGRATION}`)).body).toEqual(put.body);
    const credentials = { refresh_token: await h.mintRefreshToken('user_42') };
    const imported = await killingWhenLong(h)('POST', '/v1/connections', {
      integration: INTEGRATION,
      owner: 'user_42',
      credentials,
    });
    test.expect(imported.status).toBe(201);
    const path = `/v1/connections/${imported.body.id}`;
    const refreshed = await h.askAndKill('POST', `${path}/refresh`, {});
    test.expect(refreshed.status).toBe(200);
    await h.start();
    test.expect((await h.ask('GET', `${path}/token`)).body.access_token).toBe(refreshed.body.access_token);
    // The provider detects reuse: only the newest refresh token is accepted.
    const again = await h.ask('POST', `${path}/refresh`, {});
    test.expect(again.status).toBe(200);
    test.expect(again.body.access_token).not.toBe(refreshed.body.access_token);
  });

  it('agent sessions, their ends, and a step of the rotation of the keys that sign them', async (test) => {
    const h = await restartable(test);
    const killing = killingWhenLong(h);
    const wanted = { owner: 'user_42', integrations: [INTEGRATION], actions: ['proxy'], purpose: 'crash' };
    const signed = { ...wanted, format: 'jwt', audience: h.current().url };
    const opaque = await killing('POST', '/v1/sessions', wanted);
    const jwt = await h.askAndKill('POST', '/v1/sessions', signed);
    await h.start();
    const statuses = () =>
      Promise.all(
        [opaque, jwt].map(async ({ body }) => (await h.ask('GET', '/v1/whoami', undefined, String(body.token))).status),
      );
    test.expect([opaque.status, jwt.status, ...(await statuses())]).toEqual([201, 201, 200, 200]);
    const published = async () =>
      ((await h.ask('GET', '/oauth2/jwks')).body.keys as { kid: string }[]).map(({ kid }) => kid);
    const [kid] = await published();
    test.expect((await h.askAndKill('POST', '/v1/signing-keys/rotate', {})).status).toBe(200);
    await h.start();
    const keys = await published();
    test.expect(keys).toHaveLength(2);
    test.expect(keys).toContain(kid);
    test.expect(await statuses()).toEqual([200, 200]);
    test.expect((await h.ask('POST', '/v1/sessions', signed)).status).toBe(201);
    const end = ({ body }: typeof jwt) => ['DELETE', `/v1/sessions/${body.id}`] as const;
    test.expect((await h.askAndKill(...end(jwt))).status).toBe(200);
    await h.start();
    test.expect(await statuses()).toEqual([200, 401]);
    test.expect((await killing(...end(opaque))).status).toBe(200);
    test.expect(await statuses()).toEqual([401, 401]);
    const { body } = await h.ask('GET', '/v1/audit?action=session.ended');
    test.expect(body.data).toHaveLength(2);
  });

  it('a registration that a server has answered and that was not stored is made once more, and not for each connection', async (test) => {
    const h = await restartable(test, { empty: true });
    const hostile = await startHostileMcp();
    test.onTestFinished(() => hostile.close());
    const { mcp, as } = hostile;
    const body = { provider: 'mcp', params: { server_url: mcp.url } };
    test.expect((await h.ask('PUT', '/v1/integrations/docs', body)).status).toBe(201);
    // The client is made there, and the process that asked for it is gone before it hears of it.
    as.site.on('/register', async (_, response) => {
      await h.current().stop('SIGKILL');
      response.end();
    });
    const session = (owner: string) => h.ask('POST', '/v1/connect-sessions', { integration: 'docs', owner });
    await test.expect(session('user_0')).rejects.toThrow();
    test.expect(as.site.to('/register')).toHaveLength(1);
    as.site.on('/register', undefined);
    // Beyond the claim of the process that was killed.
    await h.start({ aheadMs: REGISTRATION_CLAIM_MS + 1_000 });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => session(`user_${i}`)));
    test.expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    test.expect(as.registrations).toHaveLength(1);
    const { body: audit } = await h.ask('GET', '/v1/audit?action=integration.client_registered');
    test.expect(audit.data).toHaveLength(1);
  });

  itLong('a grant that waits for its finish, and the finish', async (test) => {
    const h = await restartable(test);
    const body = { integration: INTEGRATION, owner: 'alice', finish: true, return_url: `${h.current().url}/app` };
    const { body: session } = await h.ask('POST', '/v1/connect-sessions', body);
    const jar = createCookieJar();
    const stopAt = `${h.current().url}/oauth2/callback/`;
    const { url } = await walkThrough(String(session.url), { login: 'alice', jar, stopAt });
    const confirm = await h.sendAndKill(() =>
      fetch(url, { redirect: 'manual', headers: { cookie: jar.header(url)! } }),
    );
    const finish_code = new URL(confirm.headers.get('location')!).searchParams.get('finish_code');
    await h.start();
    test.expect((await h.ask('GET', `/v1/token?integration=${INTEGRATION}&owner=alice`)).status).toBe(404);
    const path = `/v1/connect-sessions/${session.id}/finish`;
    const finished = await h.askAndKill('POST', path, { finish_code, owner: 'alice' });
    test.expect(finished).toMatchObject({ status: 200, body: { status: 'completed' } });
    await h.start();
    test.expect((await h.ask('POST', path, { finish_code, owner: 'alice' })).body).toEqual(finished.body);
    const token = await h.ask('GET', `/v1/token?integration=${INTEGRATION}&owner=alice`);
    test.expect(token).toMatchObject({ status: 200, body: { connection_id: finished.body.connection_id } });
  });

  it.for([
    { which: 'one', method: 'DELETE', path: '/v1/connections/{id}', body: undefined },
    ...(isLong
      ? [{ which: "all of an owner's", method: 'POST', path: '/v1/connections/revoke', body: { owner: 'user_42' } }]
      : []),
  ])('the revocation of $which, which is sent to the provider later', async ({ method, path, body }, test) => {
    const h = await restartable(test);
    const id = await h.importConnection('user_42');
    await h.ask('POST', `/v1/connections/${id}/refresh`, {});
    const [refresh] = h.proxy.forwarded('refresh_token');
    const kept = String(refresh?.answer.refresh_token);
    h.proxy.setRule('cut');
    const revoked = await h.askAndKill(method, path.replace('{id}', id), body);
    test.expect(revoked.status).toBe(200);

    h.proxy.setRule('withhold');
    await h.start({ aheadMs: 60_000 });
    await h.proxy.untilHeld(1);
    test.expect((await h.ask('GET', `/v1/connections/${id}/token`)).body.code).toBe('connection_revoked');
    const upstream = async () => (await h.ask('GET', `/v1/connections/${id}`)).body.upstream_revocation;
    test.expect(await upstream()).toBe('pending');
    h.proxy.setRule('pass');
    h.proxy.release();
    await test.expect.poll(upstream, { timeout: 30_000 }).toBe('done');
    test.expect(await h.provider.provider.RefreshToken.find(kept)).toBeUndefined();
  });
});

it('SIGKILL during thirty refreshes: loses only the grants whose response was in flight', async (test) => {
  const h = await restartable(test);
  const ids = await Promise.all(Array.from({ length: 30 }, (_, i) => h.importConnection(`user_${i}`)));
  const refreshOf = (id: string) => h.ask('POST', `/v1/connections/${id}/refresh`, {});
  const refreshTokens = await Promise.all(
    ids.map(async (id) => {
      const { body } = await refreshOf(id);
      const source = h.proxy.requests.find(({ answer }) => answer.access_token === body.access_token);
      return String(source?.answer.refresh_token);
    }),
  );

  // A third is done, a third has its response in flight, and a third has not reached the provider.
  let count = 0;
  h.proxy.requests.length = 0;
  h.proxy.setRule(() => (['pass', 'withhold', 'stall'] as const)[count++ % 3]!);
  const some = Promise.withResolvers<void>();
  let completed = 0;
  const answers = ids.map(async (id) => {
    const answer = await refreshOf(id).catch(() => undefined);
    if (++completed === 4) some.resolve();
    return answer;
  });
  await Promise.all([h.proxy.untilHeld(20), some.promise]);
  await h.current().stop('SIGKILL');
  const answered = await Promise.all(answers);
  const consumed = new Set(h.proxy.forwarded('refresh_token').map(({ form }) => form.get('refresh_token')));

  h.proxy.setRule('pass');
  const begun = performance.now();
  // Immediately: leases of a dead process do not block.
  await h.start();
  console.info(`start to listening: ${Math.round(performance.now() - begun)} ms`);

  const counts = { answered: 0, refreshed: 0, reauthorization: 0 };
  for (const [i, id] of ids.entries()) {
    const before = answered[i];
    if (before) {
      test.expect(before.status).toBe(200);
      const kept = await h.ask('GET', `/v1/connections/${id}/token`);
      test.expect(kept.body.access_token, 'what was answered holds').toBe(before.body.access_token);
      counts.answered++;
    }
    const { status, body } = await refreshOf(id);
    if (status === 200) counts.refreshed++;
    else {
      test.expect(body).toMatchObject({ code: 'reauthorization_required', reason: 'refresh_outcome_unknown' });
      test.expect(before, 'no caller had a response').toBeUndefined();
      test.expect(consumed, 'the provider had consumed it').toContain(refreshTokens[i]);
      counts.reauthorization++;
    }
  }
  console.info('after kill -9 amid 30 refreshes:', JSON.stringify(counts));
  test.expect(counts.refreshed + counts.reauthorization).toBe(30);
  test.expect(counts.refreshed).toBeGreaterThanOrEqual(30 - consumed.size + counts.answered);
});

it('expired token, two brokers on one database: refreshed once, served by both', async (test) => {
  const h = await restartable(test);
  const one = h.current();
  const other = await h.start({ elsewhere: true });
  h.proxy.setRule('withhold');
  const path = `/v1/connections/${await h.importConnection('user_42')}/token`;
  const reads = [one, other, one, other, one, other].map(({ url }) => ask(url, h.adminKey, 'GET', path));
  await h.proxy.untilHeld(1);
  h.proxy.release();
  const answers = await Promise.all(reads);
  test.expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  test.expect(h.proxy.requests).toHaveLength(1);
  const tokens = new Set(answers.map(({ body }) => String(body.access_token)));
  test.expect(tokens.size).toBe(1);
  for (const token of tokens) test.expect(await h.provider.provider.AccessToken.find(token)).toBeDefined();
});

const isOpen = ({ url }: RunningBroker) =>
  new Promise<boolean>((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

it('SIGTERM during slow refreshes: their responses are committed, also when the caller disconnected', async (test) => {
  const h = await restartable(test);
  h.proxy.setRule('withhold');
  const headers = { authorization: `Bearer ${h.adminKey}` };
  const read = async (id: string, signal?: AbortSignal) => {
    const url = new URL(`/v1/connections/${id}/token`, h.current().url);
    const response = await fetch(url, signal ? { headers, signal } : { headers });
    return (await response.json()) as { access_token: string };
  };
  const patient = await h.importConnection('patient');
  const answer = read(patient);
  await h.proxy.untilHeld(1);
  const impatient = await h.importConnection('impatient');
  const leaving = new AbortController();
  const left = test.expect(read(impatient, leaving.signal)).rejects.toThrow('aborted');
  await h.proxy.untilHeld(2);
  leaving.abort();
  await left;
  const code = h.current().stop('SIGTERM');
  await test.expect.poll(() => h.current().output()).toContain('"event":"stopping"');
  h.proxy.release(1);
  const [first, second] = h.proxy.forwarded('refresh_token').map(({ answer }) => answer.access_token);
  test.expect((await answer).access_token).toBe(first);
  await test.expect.poll(() => isOpen(h.current())).toBe(false);
  // Repeatedly: keep-alive connections are closed over time.
  for (let knock = 0; knock < 200; knock++) test.expect(await isOpen(h.current())).toBe(false);
  test.expect(h.current().process.exitCode, 'it accepts no requests, and still waits').toBeNull();
  h.proxy.release();
  test.expect(await code).toBe(0);

  h.proxy.setRule('pass');
  await h.start();
  test.expect((await read(patient)).access_token).toBe(first);
  test.expect((await read(impatient)).access_token).toBe(second);
  for (const id of [patient, impatient])
    test.expect((await h.ask('POST', `/v1/connections/${id}/refresh`, {})).status).toBe(200);
});
