// A caller limited to scopes is never served a token with more of them, whatever path the token came by.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { createMovingClock } from '../support/moving-clock.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

const clock = createMovingClock();
let folder: string;
let provider: ScriptedServer;
let idp: Issuer;
let broker: TestBroker;
/** Another replica on the same database. */
let replica: TestBroker;
let key: string;
/** What the token endpoint says that it has granted. */
let granted: string | undefined;
/** Resolved: the token endpoint answers. */
let held: Promise<void> = Promise.resolve();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-scopes-'));
  [provider, idp] = await Promise.all([
    startScriptedServer(async () => {
      await held;
      const [access_token, refresh_token] = [randomBytes(12).toString('hex'), randomBytes(12).toString('hex')];
      return { body: { access_token, refresh_token, token_type: 'Bearer', expires_in: 3_600, scope: granted } };
    }),
    startIssuer(clock.now),
  ]);
  const env = {
    VALETKEY_DATABASE_URL: `file:${join(folder, 'shared.db')}`,
    VALETKEY_KEYS: `k1:${randomBytes(32).toString('base64url')}`,
  };
  const declared = { trusted_issuers: [{ issuer: idp.url, audiences: ['broker'], exchange: true }] };
  broker = await startTestBroker(env, declared, { clock, refreshAhead: false });
  replica = await startTestBroker(env, declared, { clock, refreshAhead: false });
  const params = { authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params };
  expectOk(await broker.ask('PUT', '/v1/integrations/acme', setup), 201);
  const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['*'], scopes: ['read'] }];
  key = String(expectOk(await broker.ask('POST', '/v1/callers', { name: 'reader', grants }), 201).key);
});
afterAll(async () => {
  await Promise.all([broker.stop(), replica.stop(), provider.close(), idp.close()]);
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  granted = 'read write';
});

let owners = 0;
/** A connection with the scope `read`, whose token has so many seconds left of an hour. */
async function imported(left: number): Promise<{ id: string; owner: string }> {
  const owner = `owner-${++owners}`;
  const credentials = { refresh_token: 'rt', access_token: `narrow-${owner}`, expires_in: 3_600, scopes: ['read'] };
  const { id } = expectOk(
    await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials }),
    201,
  );
  clock.advance((3_600 - left) * 1_000);
  return { id: String(id), owner };
}
const ask = (method: string, path: string, body?: unknown, by = key, at = broker) => at.ask(method, path, body, by);
const missing = (owner: string) => ({ action: 'token', integration: 'acme', owner, scopes: ['write'] });

test('a read that refreshes: 403, and the widened token stays out of reach', async () => {
  const { id, owner } = await imported(10);
  const first = expectProblem(await ask('GET', `/v1/connections/${id}/token`), 403, 'forbidden');
  expect(first.missing).toEqual(missing(owner));
  // From memory, by id and by owner; and of a replica that has to read the store.
  for (const path of [`/v1/connections/${id}/token`, `/v1/token?integration=acme&owner=${owner}`])
    for (const at of [broker, replica]) expectProblem(await ask('GET', path, undefined, key, at), 403, 'forbidden');
  expect(expectOk(await broker.ask('GET', `/v1/connections/${id}/token`)).scopes).toEqual(['read', 'write']);
});

test('a read by owner that refreshes: 403', async () => {
  const { owner } = await imported(10);
  expectProblem(await ask('GET', `/v1/token?integration=acme&owner=${owner}`), 403, 'forbidden');
});

test('a read for a min_ttl that the stored token does not have: 403', async () => {
  const { id } = await imported(600);
  expectOk(await ask('GET', `/v1/connections/${id}/token`));
  expectProblem(await ask('GET', `/v1/connections/${id}/token?min_ttl=1200`), 403, 'forbidden');
});

test.each<[string, (token: string) => Json]>([
  ['a forced refresh', () => ({})],
  ['a refresh of a rejected token', (token) => ({ rejected_token: token })],
])('%s: 403', async (_, body) => {
  const { id, owner } = await imported(3_600);
  expectProblem(await ask('POST', `/v1/connections/${id}/refresh`, body(`narrow-${owner}`)), 403, 'forbidden');
});

test('a refresh that another caller has begun: 403 for those who join it', async () => {
  const { id } = await imported(10);
  const { promise, resolve } = Promise.withResolvers<void>();
  held = promise;
  const before = provider.received.length;
  const theirs = broker.ask('GET', `/v1/connections/${id}/token`);
  await expect.poll(() => provider.received.length).toBe(before + 1);
  const ours = ask('GET', `/v1/connections/${id}/token`);
  const forced = ask('POST', `/v1/connections/${id}/refresh`, {});
  held = Promise.resolve();
  resolve();
  expectOk(await theirs);
  expectProblem(await ours, 403, 'forbidden');
  expectProblem(await forced, 403, 'forbidden');
});

test('a DPoP proof whose token has to be refreshed: 403', async () => {
  const { id } = await imported(-10);
  const request = { method: 'GET', url: 'https://api.example/' };
  expectProblem(await ask('POST', `/v1/connections/${id}/dpop-proof`, request), 403, 'forbidden');
});

test('a token exchange that refreshes: invalid_target', async () => {
  const { owner } = await imported(10);
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await idp.sign({ sub: owner, aud: 'broker' }),
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    audience: 'acme',
  });
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(new URL('/oauth2/token', broker.url), { method: 'POST', headers, body: form });
  expect([response.status, await response.json()]).toMatchObject([
    400,
    { error: 'invalid_target', missing: missing(owner) },
  ]);
});

test('a reconnect with more scopes at another replica: the old token at most, then 403', async () => {
  const { id, owner } = await imported(3_600);
  const read = () => ask('GET', `/v1/connections/${id}/token`, undefined, key, replica);
  expectOk(await read());
  const credentials = { access_token: 'wide', expires_in: 3_600, refresh_token: 'rt2', scopes: ['read', 'write'] };
  const renewed = { integration: 'acme', owner, connection_id: id, credentials };
  expectOk(await broker.ask('POST', '/v1/connections', renewed), 201);
  expectProblem(await ask('GET', `/v1/connections/${id}/token`), 403, 'forbidden');
  await expect
    .poll(
      async () => {
        const { status, body } = await read();
        expect(body.access_token ?? '').not.toBe('wide');
        return status;
      },
      { timeout: 30_000 },
    )
    .toBe(403);
});

test('a refresh with the same or fewer scopes is served', async () => {
  granted = 'read';
  const { id } = await imported(10);
  expect(expectOk(await ask('GET', `/v1/connections/${id}/token`)).scopes).toEqual(['read']);
});

test('an import that calls a connection narrower than its refresh token: 403, before and after the refresh', async () => {
  // As a provider may that grants what the refresh token has (RFC 6749 5.1).
  granted = undefined;
  const grants = [{ actions: ['token', 'connections:write'], integrations: ['acme'], owners: ['*'], scopes: ['read'] }];
  const writer = String(expectOk(await broker.ask('POST', '/v1/callers', { name: 'writer', grants }), 201).key);
  for (const place of ['connection_id', 'the same owner']) {
    const owner = `owner-${++owners}`;
    const wide = { refresh_token: 'rt', access_token: 'wide', expires_in: 3_600, scopes: ['read', 'write'] };
    const made = await broker.ask('POST', '/v1/connections', { integration: 'acme', owner, credentials: wide });
    const connection_id = String(expectOk(made, 201).id);
    const credentials = { access_token: 'mine', expires_in: 3_600, scopes: ['read'] };
    const body = { integration: 'acme', owner, credentials, ...(place === 'connection_id' && { connection_id }) };
    expect(expectOk(await ask('POST', '/v1/connections', body, writer), 201).scopes).toEqual(['read', 'write']);
    const path = `/v1/connections/${connection_id}`;
    expectProblem(await ask('POST', `${path}/refresh`, {}, writer), 403, 'forbidden');
    expectProblem(await ask('POST', `${path}/refresh`, { rejected_token: 'mine' }, writer), 403, 'forbidden');
    expectProblem(await ask('GET', `${path}/token`, undefined, writer), 403, 'forbidden');
  }
});
