// What was made with a credential ends with it: sessions of the console and of the portal, connect sessions and jobs, when the key
// is deleted or has expired, the workload binding is gone, or the admin key of the settings is another one.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import { generateKey } from '../../src/adapters/keyring/keyring.ts';
import { databaseIn, type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { consoleBrowser, openLink } from '../support/console-browser.ts';
import { expectOk } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { formOf, newOwner, visit } from '../support/owner-browser.ts';

const EVERYTHING = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
const RETURN = 'http://127.0.0.1:9/settings';

let ahead = 0;
const clock = { now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead };
let folder: string;
let issuer: Issuer;
let broker: TestBroker;
/** The same database and public URL, with another admin key. */
let restarted: TestBroker;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-credentials-'));
  issuer = await startIssuer(clock.now);
  const declared = {
    trusted_issuers: [{ issuer: issuer.url, exchange: true }],
    return_origins: ['http://127.0.0.1:9'],
  };
  const env = { ...(await databaseIn(folder)), VALETKEY_KEYS: generateKey() };
  const tuning = { clock, refreshAhead: false };
  broker = await startTestBroker(env, declared, tuning);
  restarted = await startTestBroker({ ...env, VALETKEY_PUBLIC_URL: broker.url }, declared, tuning);
  for (const id of ['acme', 'other']) {
    const params = { authorization_url: 'https://p.example/authorize', token_url: 'https://p.example/token' };
    const setup = { provider: 'generic-oauth2', client_id: 'us', client_secret: 'a secret', params };
    expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, setup), 201);
  }
});
afterAll(async () => {
  await restarted?.stop();
  await broker?.stop();
  await issuer?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A credential with every permission, what ends it, and the broker at which it has ended by then. */
interface Ending {
  credential: string;
  end(): Promise<unknown>;
  at(): TestBroker;
}

async function caller(more: Json = {}): Promise<Json & { id: string; key: string; key_id: string }> {
  const body = { name: 'a test', grants: EVERYTHING, ...more };
  return expectOk(await broker.ask('POST', '/v1/callers', body), 201) as Json & {
    id: string;
    key: string;
    key_id: string;
  };
}
const deleted = async (path: string) => expect((await broker.ask('DELETE', path)).status).toBe(204);

const ENDINGS: [string, () => Promise<Ending>][] = [
  [
    'its key is deleted, and its caller has another one',
    async () => {
      const { id, key, key_id } = await caller();
      expectOk(await broker.ask('POST', `/v1/callers/${id}/keys`, {}), 201);
      return { credential: key, end: () => deleted(`/v1/callers/${id}/keys/${key_id}`), at: () => broker };
    },
  ],
  [
    'its key has expired, and its caller has another one',
    async () => {
      const { id, key } = await caller({ key_expires_at: new Date(clock.now() + 60_000).toISOString() });
      expectOk(await broker.ask('POST', `/v1/callers/${id}/keys`, {}), 201);
      const end = async () => {
        ahead += 61_000;
      };
      return { credential: key, end, at: () => broker };
    },
  ],
  [
    'its workload binding is gone, and its caller has a key',
    async () => {
      const sub = `service-${randomBytes(6).toString('hex')}`;
      const workloads = [{ issuer: issuer.url, audience: 'valetkey', claims: { sub } }];
      const { id } = await caller({ workloads });
      expectOk(await broker.ask('POST', `/v1/callers/${id}/keys`, {}), 201);
      const end = () => broker.ask('PUT', `/v1/callers/${id}`, { name: 'a test', grants: EVERYTHING });
      return { credential: await issuer.sign({ sub }), end, at: () => broker };
    },
  ],
  [
    'the admin key is another one',
    async () => ({ credential: broker.adminKey, end: async () => undefined, at: () => restarted }),
  ],
];

describe.each(ENDINGS)('when %s,', (_, make) => {
  test('a console link is over, and a session of the console is signed out', async () => {
    const { credential, end, at } = await make();
    const linkOf = async () => String(expectOk(await broker.ask('POST', '/v1/console-links', {}, credential), 201).url);
    const signedIn = consoleBrowser(broker.url);
    await openLink(signedIn, await linkOf());
    expect((await signedIn.get('/console')).url.pathname).toBe('/console');
    const unopened = new URL(await linkOf()).pathname;
    await end();
    const later = consoleBrowser(at().url);
    later.cookies.set('valetkey-console', signedIn.cookies.get('valetkey-console')!);
    expect((await later.get('/console')).url.pathname).toBe('/console/sign-in');
    expect((await consoleBrowser(at().url).post(unopened)).url.pathname).toBe('/console/sign-in');
  });

  test('the page of an owner is over', async () => {
    const { credential, end, at } = await make();
    const body = { owner: newOwner(), return_url: RETURN };
    const { url } = expectOk(await broker.ask('POST', '/v1/portal-sessions', body, credential), 201);
    const jar = createCookieJar();
    const entered = await visit(String(url), jar, { form: formOf(await visit(String(url), jar)) });
    expect(entered.status).toBe(303);
    const pageAt = async (one: TestBroker) => {
      const headers = { cookie: jar.header(new URL(broker.url)) ?? '' };
      return (await visit(`${one.url}/connect/portal`, undefined, { headers })).status;
    };
    expect(await pageAt(broker)).toBe(200);
    await end();
    expect(await pageAt(at())).toBe(410);
  });
});

describe('a connect session', () => {
  test('that an agent session has made for a token exchange ends with the key above it', async () => {
    const { id, key, key_id } = await caller();
    expectOk(await broker.ask('POST', `/v1/callers/${id}/keys`, {}), 201);
    const owner = newOwner();
    const wanted = { owner, integrations: ['acme'], actions: ['token'], purpose: 'a test' };
    const { token } = expectOk(await broker.ask('POST', '/v1/sessions', wanted, key), 201);
    const jwt = 'urn:ietf:params:oauth:token-type:jwt';
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      ...{
        subject_token: await issuer.sign({ sub: owner, aud: broker.url }),
        subject_token_type: jwt,
        audience: 'acme',
      },
    };
    const response = await fetch(`${broker.url}/oauth2/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: new URLSearchParams(form),
    });
    const { error, connect_url: link } = (await response.json()) as Record<string, string>;
    expect(error).toBe('interaction_required');
    expect((await visit(link!)).status).toBe(200);
    await deleted(`/v1/callers/${id}/keys/${key_id}`);
    expect((await visit(link!)).status).toBe(410);
  });

  test('of the page of an owner is made where a workload has made the page', async () => {
    const sub = `service-${randomBytes(6).toString('hex')}`;
    const { id } = await caller({ workloads: [{ issuer: issuer.url, audience: 'valetkey', claims: { sub } }] });
    const owner = newOwner();
    const credentials = { access_token: randomBytes(8).toString('hex'), expires_in: 3_600 };
    const imported = { integration: 'acme', owner, credentials };
    const connection = expectOk(await broker.ask('POST', '/v1/connections', imported), 201).id;
    const token = await issuer.sign({ sub });
    const page = await broker.ask('POST', '/v1/portal-sessions', { owner, return_url: RETURN }, token);
    const { url } = expectOk(page, 201);
    const jar = createCookieJar();
    await visit(String(url), jar, { form: formOf(await visit(String(url), jar)) });
    const form = formOf(await visit(`${broker.url}/connect/portal`, jar));
    const reconnect = `${broker.url}/connect/portal/connections/${connection}/reconnect`;
    const { location } = await visit(reconnect, jar, { form });
    expect(location).toMatch(/\/connect\/[\w-]{43}$/);
    expect((await visit(location!, jar)).status).toBe(302);
    expectOk(await broker.ask('PUT', `/v1/callers/${id}`, { name: 'a test', grants: EVERYTHING }));
    expect((await visit(location!, jar)).location).toContain('error=invitation_cancelled');
  });
});
