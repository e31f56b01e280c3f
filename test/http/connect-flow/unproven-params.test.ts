// Parameters that say whose account it is, and that no credential proves: an owner in a browser could name another's, and so
// could a caller for some owners. The app states them.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../../demo/browser.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk, expectProblem } from '../../support/contract.ts';
import {
  connectionOf,
  createConnectSession,
  expectErrorPage,
  formOf,
  newOwner,
  openLink,
  putIntegration,
  queryDatabase,
  sessionOf,
  visit,
} from '../../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../../support/scripted-server.ts';

const common = { category: 'generic', docs_url: 'https://docs.example', confidence: 'unverified' };
const base = { title: 'base', pattern: 'http://127\\.0\\.0\\.1:[0-9]+' };
/** As GitHub's: the app's own key opens each installation of the app. */
const installations = {
  ...common,
  id: 'installations',
  name: 'Installations',
  params: { base },
  connection_params: { region: { title: 'region', pattern: 'eu|us', default: 'eu' } },
  auth: [
    {
      mode: 'jwt_bearer',
      token_url: '{base}/installations/{installation_id}/access_tokens',
      presented: 'bearer',
      connection_params: { installation_id: { title: 'installation id', pattern: '[0-9]{1,20}', example: '111' } },
      assertion: { alg: 'RS256', claims: { iss: '{client_id}' }, lifetime: 540 },
      token_answer: { access_token: ['token'], expires: { otherwise: 3_600 } },
    },
  ],
};
/** Any key works for any merchant, as far as anyone checks. */
const merchants = {
  ...common,
  id: 'merchants',
  name: 'Merchants',
  params: { base },
  connection_params: {
    site: { title: 'site', pattern: '[a-z]+', optional: true },
    merchant: { title: 'merchant', pattern: '[A-Za-z]+', optional: true, unproven: true },
    region: { title: 'region', pattern: 'eu|us', optional: true },
  },
  auth: [{ mode: 'api_key' }],
  api_base_url: '{base}/sites/{site}',
  api: { whoami: [{ path: '/me', proves: [403] }] },
  rate_limits: { scope: { captured: 'site' } },
};

let folder: string;
let broker: TestBroker;
let provider: ScriptedServer;
let app: Json;
/** Of one tenant. */
let tenantKey: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-providers-'));
  for (const entry of [installations, merchants])
    await writeFile(join(folder, `${entry.id}.json`), JSON.stringify(entry));
  [broker, provider] = await Promise.all([
    startTestBroker({ VALETKEY_PROVIDERS_DIR: folder }),
    startScriptedServer(({ path }) => ({
      status: path === '/sites/victims/me' ? 403 : 200,
      body: { token: `token of ${path.split('/')[2]}` },
    })),
  ]);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  app = {
    provider: 'installations',
    client_id: 'client',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    params: { base: provider.url },
  };
  await putIntegration(broker, 'app', app);
  await putIntegration(broker, 'shop', { provider: 'merchants', params: { base: provider.url } });
  await putIntegration(broker, 'slack', { provider: 'slack', client_id: 'client', client_secret: 'a secret' });
  tenantKey = await broker.callerKey({ actions: ['connections:write', 'token'], owners: ['tenant-m:*'] });
});
afterAll(async () => {
  await Promise.all([broker?.stop(), provider?.close()]);
  await rm(folder, { recursive: true, force: true });
});

const tokenOf = async (owner: string, integration = 'app') =>
  (await broker.ask('GET', `/v1/token?integration=${integration}&owner=${owner}`)).body.access_token;

describe('in the browser', () => {
  test('a session without what says whose account it is: refused, with what to do', async () => {
    const answer = await broker.ask('POST', '/v1/connect-sessions', { integration: 'app', owner: newOwner() });
    expect(expectProblem(answer, 400, 'invalid_request').issues).toEqual([
      {
        path: 'params.installation_id',
        message: 'installation id is required, for example 111; owners are not asked for it',
      },
    ]);
    const several = { integrations: ['shop', 'app'], owner: newOwner() };
    expect(
      expectProblem(await broker.ask('POST', '/v1/connect-sessions', several), 400, 'invalid_request').issues,
    ).toEqual([
      {
        path: 'integrations',
        message: '"app" needs params.installation_id, which only a session of it alone can state',
      },
    ]);
  });

  test("the app's installation is connected, whatever the form says", async () => {
    const owner = newOwner();
    const link = await createConnectSession(broker, { integration: 'app', owner, params: { installation_id: '111' } });
    const jar = createCookieJar();
    const page = await visit(link.url, jar);
    expect(Object.keys(formOf(page)).filter((name) => name.includes('installation_id'))).toEqual([]);
    await visit(link.url, jar, { form: { ...formOf(page), installation_id: '48213377' } });
    expect(await connectionOf(broker, link)).toMatchObject({ status: 'active' });
    expect(await tokenOf(owner)).toBe('token of 111');

    // Once more, as the page of an owner's connections does it.
    const { connection_id } = await sessionOf(broker, link);
    const again = await createConnectSession(broker, { integration: undefined, owner: undefined, connection_id });
    const form = formOf(await visit(again.url, jar));
    expect(Object.values(form)).not.toContain('111');
    await visit(again.url, jar, { form: { ...form, installation_id: '48213377', region: 'us' } });
    expect((await sessionOf(broker, again)).status).toBe('completed');
    expect(await tokenOf(owner)).toBe('token of 111');
    expect(provider.received.map(({ path }) => path).join()).not.toContain('48213377');
  });

  test('a link from before the integration had such a mode: does not connect', async () => {
    await putIntegration(broker, 'moved', { provider: 'merchants', params: { base: provider.url } });
    const link = await createConnectSession(broker, { integration: 'moved', owner: newOwner() });
    await putIntegration(broker, 'moved', app);
    expectErrorPage(await openLink(link.url), 502, 'integration_misconfigured', link.url);
    expect((await sessionOf(broker, link)).status).toBe('pending');
  });

  test('what the catalogue marks is not asked for, and not taken', async () => {
    const link = await createConnectSession(broker, { integration: 'shop', owner: newOwner() });
    const jar = createCookieJar();
    const form = formOf(await visit(link.url, jar));
    const names = Object.keys(form).join();
    expect(names).toContain('region');
    expect(names).not.toContain('merchant');
    const entered = { ...form, 'credential-api_key': 'a-key-of-its-own', merchant: 'VictimShop', region: 'eu' };
    await visit(link.url, jar, { form: entered });
    const { id } = await connectionOf(broker, link);
    expect(queryDatabase(broker, 'select params from connections where id = ?', id)).toEqual([
      { params: '{"region":"eu"}' },
    ]);
    const values = queryDatabase(broker, 'select key, value from captured_values where connection_id = ?', id);
    expect(values).toEqual([{ key: 'params.region', value: 'eu' }]);
  });
});

describe('params beside credentials', () => {
  /** The owner of a session with these params enters a key, and this site where they are asked. */
  async function enter(site: string, params: Json = {}): Promise<unknown[]> {
    const link = await createConnectSession(broker, { integration: 'shop', owner: newOwner(), params });
    const jar = createCookieJar();
    const form = Object.entries(formOf(await visit(link.url, jar))).map(([name, value]) => [
      name,
      name.endsWith('site') ? site : value,
    ]);
    const entered = { ...Object.fromEntries(form), 'credential-api_key': 'a-key-of-its-own' };
    const { status } = await visit(link.url, jar, { form: entered });
    return [status, (await sessionOf(broker, link)).status];
  }

  test('what the owner enters is proved by an answer, and not by a refusal', async () => {
    expect(await enter('victims')).toEqual([400, 'pending']);
    expect(await enter('own')).toEqual([200, 'completed']);
    expect(await enter('')).toEqual([200, 'completed']);
  });

  test('what the app has stated needs no proof, so that a caller for some owners must not state it', async () => {
    expect(await enter('', { site: 'victims' })).toEqual([200, 'completed']);
  });
});

describe('a caller for some owners', () => {
  const whole = (integration: string) => ({ action: 'connections:write', integration, owner: '*' });
  const importWith = (more: Json) =>
    broker.ask('POST', '/v1/connections', { owner: 'tenant-m:one', ...more }, tenantKey);
  const importWhole = (more: Json) => broker.ask('POST', '/v1/connections', more);
  const missingOf = async (more: Json) => expectProblem(await importWith(more), 403, 'forbidden').missing;

  test('must not state whose account it is', async () => {
    const credentials = { refresh_token: 'made-up' };
    expect(await missingOf({ integration: 'app', params: { installation_id: '48213377' }, credentials: {} })).toEqual(
      whole('app'),
    );
    expect(
      await missingOf({ integration: 'shop', params: { merchant: 'VictimShop' }, credentials: { api_key: 'k' } }),
    ).toEqual(whole('shop'));
    // Nothing tries it.
    expect(
      await missingOf({ integration: 'shop', params: { site: 'victims' }, credentials: { api_key: 'k' } }),
    ).toEqual(whole('shop'));
    expect(await missingOf({ integration: 'slack', captured: { team_id: 'T1' }, credentials })).toEqual(whole('slack'));
    expect(await missingOf({ integration: 'slack', account: { id: 'T1' }, credentials })).toEqual(whole('slack'));
    for (const params of [{ installation_id: '48213377' }, { region: 'us', installation_id: '1' }]) {
      const session = { integration: 'app', owner: 'tenant-m:one', params };
      const answer = await broker.ask('POST', '/v1/connect-sessions', session, tenantKey);
      expect(expectProblem(answer, 403, 'forbidden').missing).toEqual(whole('app'));
    }
    // The form asks for it, where an answer of the API proves it.
    const stated = { integration: 'shop', owner: 'tenant-m:one', params: { site: 'victims' } };
    const answer = await broker.ask('POST', '/v1/connect-sessions', stated, tenantKey);
    expect(expectProblem(answer, 403, 'forbidden').missing).toEqual(whole('shop'));
    expectOk(await broker.ask('POST', '/v1/connect-sessions', stated), 201);
    expect(queryDatabase(broker, "select id from connections where owner like 'tenant-m:%'")).toEqual([]);
  });

  test('must not have another account than the one that a connection of its own has been proved for', async () => {
    const owner = 'tenant-m:three';
    const own = { integration: 'shop', owner, params: { site: 'own' }, credentials: { api_key: 'k1' } };
    const { id } = expectOk(await importWhole(own), 201);
    const renewal = (site: string) =>
      broker.ask('POST', '/v1/connect-sessions', { connection_id: id, params: { site } }, tenantKey);
    expect(expectProblem(await renewal('victims'), 403, 'forbidden').missing).toEqual(whole('shop'));
    expectOk(await renewal('own'), 201);
  });

  test('states the rest, and what is known of the connection already', async () => {
    expectOk(await importWith({ integration: 'shop', params: { region: 'eu' }, credentials: { api_key: 'k1' } }), 201);
    expectOk(await importWith({ integration: 'slack', credentials: { refresh_token: 'rt-1' } }), 201);

    const captured = { team_id: 'T1' };
    const params = { installation_id: '111' };
    const owner = 'tenant-m:two';
    expectOk(await importWhole({ integration: 'app', owner, params, credentials: {} }), 201);
    const first = { integration: 'slack', owner, captured, credentials: { refresh_token: 'rt-2' } };
    expectOk(await importWhole(first), 201);
    const { id } = expectOk(await importWith({ integration: 'app', owner, params, credentials: {} }), 201);
    expectOk(await importWith({ ...first, credentials: { refresh_token: 'rt-3' } }), 201);
    const renewal = { connection_id: id, params };
    expectOk(await broker.ask('POST', '/v1/connect-sessions', renewal, tenantKey), 201);
    const other = { ...first, captured: { team_id: 'T2' } };
    expect(await missingOf(other)).toEqual(whole('slack'));
    expect(await missingOf({ integration: 'app', owner, params: { installation_id: '2' }, credentials: {} })).toEqual(
      whole('app'),
    );
  });
});
