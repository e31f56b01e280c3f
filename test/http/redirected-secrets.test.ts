// An admin who may not have the tokens of an integration gets neither them nor its client secret by sending them elsewhere.
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCookieJar } from '../../demo/browser.ts';
import { createLogger } from '../../src/adapters/telemetry/logger.ts';
import { start } from '../../src/runtime/app.ts';
import { parseConfig } from '../../src/runtime/config.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { callbackWithConsent, createConnectSession, openLink, sessionOf, visit } from '../support/owner-browser.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-server.ts';

let broker: TestBroker;
let provider: ScriptedServer;
let thief: ScriptedServer;
let admin: string;
let made = 0;
/** The provider's next answers wait for it. */
let held: Promise<void> = Promise.resolve();

beforeAll(async () => {
  const tokens = () => ({ access_token: `new ${++made}`, refresh_token: `next ${made}`, token_type: 'Bearer' });
  const answer = () => ({ body: { ...tokens(), expires_in: 3_600 } });
  const patient = async () => {
    await held;
    return answer();
  };
  [provider, thief] = await Promise.all([startScriptedServer(patient), startScriptedServer(answer)]);
  broker = await startTestBroker({}, undefined, { refreshAhead: false, outboxEveryMs: 20 });
  admin = await broker.callerKey({ actions: ['admin', 'connections:read', 'connections:write'] });
});
afterAll(async () => {
  await broker.stop();
  await Promise.all([provider.close(), thief.close()]);
});

const PEM = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n';
const setup = (more: Json = {}): Json => ({
  provider: 'generic-oauth2',
  client_id: 'us',
  params: {
    authorization_url: `${provider.url}/authorize`,
    token_url: `${provider.url}/token`,
    revocation_url: `${provider.url}/revoke`,
  },
  ...more,
});
const put = (id: string, body: Json, key?: string) => broker.ask('PUT', `/v1/integrations/${id}`, body, key);

/** An integration with a client secret and a connection, whose ids are returned. */
async function anIntegration(more: Json = {}) {
  const id = `acme-${++made}`;
  expectOk(await put(id, setup({ client_secret: 'the client secret', ...more })), 201);
  const credentials = { access_token: 'old', refresh_token: 'the refresh token' };
  const body = { integration: id, owner: 'ada', credentials };
  return { id, connection: String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id) };
}

/** How a request may name another destination; each replaces members of the set-up. */
const WAYS: [string, () => Json][] = [
  ['overrides.token_url', () => setup({ overrides: { token_url: `${thief.url}/token` } })],
  ['overrides.revocation_url', () => setup({ overrides: { revocation_url: `${thief.url}/token` } })],
  ['overrides.authorization_url', () => setup({ overrides: { authorization_url: `${thief.url}/a` } })],
  ['overrides.userinfo_url', () => setup({ overrides: { userinfo_url: `${thief.url}/u` } })],
  ['overrides.api_base_url', () => setup({ overrides: { api_base_url: thief.url } })],
  ['params.token_url', () => setup({ params: { ...(setup().params as Json), token_url: `${thief.url}/token` } })],
  ['params.revocation_url', () => setup({ params: { ...(setup().params as Json), revocation_url: `${thief.url}/r` } })],
  ['another provider', () => ({ provider: 'generic-oidc', client_id: 'us', params: { issuer: thief.url } })],
];

describe('an admin without token', () => {
  test('cannot move an MCP server to another path of its host, where another one may be', async () => {
    const id = `mcp-${++made}`;
    const at = (path: string): Json => ({ provider: 'mcp', params: { server_url: `${provider.url}${path}` } });
    expectOk(await put(id, at('/ours/mcp')), 201);
    expectProblem(await put(id, at('/theirs/mcp'), admin), 403, 'forbidden');
    expectOk(await put(id, at('/ours/mcp'), admin));
    expectOk(await put(id, at('/theirs/mcp')));
  });

  test.each(WAYS)('cannot send secrets elsewhere by %s, also with a secret of their own', async (_, wanted) => {
    const { id, connection } = await anIntegration();
    for (const secret of [{}, { client_secret: 'made up' }, { client_secret: null }]) {
      const answer = await put(id, { ...wanted(), ...secret }, admin);
      expectProblem(answer, 403, 'forbidden');
      expect(answer.body.missing).toMatchObject({ action: 'token', integration: id, owner: '*' });
    }
    expectOk(await broker.ask('POST', `/v1/connections/${connection}/refresh`, {}));
    expect(thief.received).toEqual([]);
  });

  test('cannot do it with a declaration either', async () => {
    const { id } = await anIntegration();
    const body = { integrations: [{ id, ...WAYS[0]![1](), client_secret: 'made up' }] };
    expectProblem(await broker.ask('POST', '/v1/apply', body, admin), 403, 'forbidden');
    expectProblem(await broker.ask('POST', '/v1/apply', { ...body, dry_run: true }, admin), 403, 'forbidden');
  });

  test.each(['PUT', 'a declaration'])('cannot put back what another admin moves meanwhile: %s', async (way) => {
    const id = `acme-${++made}`;
    const theirs = setup({ params: { ...(setup().params as Json), token_url: `${thief.url}/token` } });
    expectOk(await put(id, theirs, admin), 201);
    const again = { ...theirs, scopes: ['a'] };
    const writer = new Database(broker.database);
    writer.exec('begin immediate');
    // Both are decided on what is stored now, and wait for the database.
    const moved = put(id, setup({ client_secret: 'the client secret' }));
    await broker.ask('GET', `/v1/integrations/${id}`);
    const declared = { integrations: [{ id, ...again }] };
    const back = way === 'PUT' ? put(id, again, admin) : broker.ask('POST', '/v1/apply', declared, admin);
    await broker.ask('GET', `/v1/integrations/${id}`);
    writer.exec('rollback');
    writer.close();
    expectOk(await moved);
    expectProblem(await back, 403, 'forbidden');
    const { body } = await broker.ask('GET', `/v1/integrations/${id}`);
    expect(body.params).toMatchObject({ token_url: `${provider.url}/token` });
  });

  describe('cannot set an integration up again under tokens that are on their way', () => {
    const endpoints = { authorization_url: 'https://provider.example/authorize' };
    /** At the provider, without a revocation endpoint. */
    const honest = (): Json => setup({ params: { ...endpoints, token_url: `${provider.url}/token` } });
    const theirs = (): Json =>
      setup({ params: { ...endpoints, token_url: `${thief.url}/token`, revocation_url: `${thief.url}/revoke` } });

    /** Deletes it and sets it up at the thief while the provider is asked for tokens. */
    async function replacedWhile<T>(id: string, work: () => Promise<T>, before?: () => Promise<unknown>): Promise<T> {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      const asked = provider.received.length;
      try {
        const working = work();
        await expect.poll(() => provider.received.length).toBe(asked + 1);
        await before?.();
        expect((await broker.ask('DELETE', `/v1/integrations/${id}`, undefined, admin)).status).toBe(204);
        expectOk(await put(id, theirs(), admin), 201);
        resolve();
        return await working;
      } finally {
        resolve();
      }
    }

    /** No token waits to be sent to the thief, or was. */
    async function expectNothingOf(id: string): Promise<void> {
      const { data } = expectOk(await broker.ask('GET', `/v1/connections?integration=${id}`));
      expect((data as Json[]).filter(({ status }) => status !== 'revoked')).toEqual([]);
      expect((await broker.ask('DELETE', `/v1/integrations/${id}`)).status).toBe(204);
      expect(thief.received).toEqual([]);
    }

    test.each([false, true])('to the callback of a connect session, with finish: %s', async (finish) => {
      const id = `acme-${++made}`;
      expectOk(await put(id, honest()), 201);
      const jar = createCookieJar();
      const wanted = { integration: id, ...(finish && { finish, return_url: `${broker.url}/done` }) };
      const link = await createConnectSession(broker, wanted);
      const { location } = await openLink(link.url, jar);
      await replacedWhile(id, () => visit(callbackWithConsent(location), jar));
      expect(await sessionOf(broker, link)).not.toMatchObject({ status: 'completed' });
      await expectNothingOf(id);
    });

    test('to a connection that is revoked while it is refreshed', async () => {
      const { id, connection } = await anIntegration(honest());
      const refresh = () => broker.ask('POST', `/v1/connections/${connection}/refresh`, {});
      const revoke = async () =>
        expectOk(await broker.ask('DELETE', `/v1/connections/${connection}`, undefined, admin));
      expectProblem(await replacedWhile(id, refresh, revoke), 410, 'connection_revoked');
      await expectNothingOf(id);
    });
  });

  test('cannot uncover another endpoint by removing an override', async () => {
    const covered: Json = {
      overrides: { token_url: `${provider.url}/token`, revocation_url: `${provider.url}/revoke` },
    };
    const params = { authorization_url: `${provider.url}/authorize`, token_url: `${thief.url}/token` };
    const { id, connection } = await anIntegration({ params, ...covered });
    const names = ['token_url', 'revocation_url'] as const;
    for (const name of names) {
      const more = name === 'token_url' ? {} : { revocation_url: `${thief.url}/revoke` };
      const overrides = { ...(covered.overrides as Json), [name]: undefined };
      const wanted = setup({ params: { ...params, ...more }, overrides });
      expectProblem(await put(id, wanted, admin), 403, 'forbidden');
      expectIssues(await put(id, wanted), 'client_secret');
    }
    expectOk(await broker.ask('POST', `/v1/connections/${connection}/refresh`, {}));
    expect(thief.received).toEqual([]);
    // Nothing is behind this one.
    expectOk(await put(id, setup({ params, overrides: { token_url: `${provider.url}/token` } }), admin));
  });

  test('with token of some owners or some scopes is without it', async () => {
    const { id } = await anIntegration();
    const all = { actions: ['admin'], integrations: ['*'], owners: ['*'] };
    for (const token of [
      { actions: ['token'], integrations: ['*'], owners: ['user:*'] },
      { actions: ['token'], integrations: ['*'], owners: ['*'], scopes: ['read'] },
    ]) {
      const caller = expectOk(await broker.ask('POST', '/v1/callers', { name: 'x', grants: [all, token] }), 201);
      expectProblem(await put(id, { ...WAYS[0]![1](), client_secret: 'x' }, String(caller.key)), 403, 'forbidden');
    }
  });

  test('can change everything else, and replace an integration that has no connections', async () => {
    const { id, connection } = await anIntegration();
    const params = { ...(setup().params as Json), token_url: `${provider.url}/other/path` };
    expectOk(await put(id, setup({ params, scopes: ['read'], client_id: 'us-too' }), admin));
    expectOk(await broker.ask('DELETE', `/v1/connections/${connection}`));
    await expect
      .poll(async () => (await broker.ask('DELETE', `/v1/integrations/${id}`, undefined, admin)).status)
      .toBe(204);
    expectOk(await put(id, WAYS[0]![1](), admin), 201);
    expect(thief.received).toEqual([]);
  });
});

describe('who may have every token', () => {
  test.each(WAYS)('must give the secrets again to change %s', async (_, wanted) => {
    const { id } = await anIntegration({ private_key: PEM });
    const answer = await put(id, wanted());
    expectIssues(answer, 'client_secret', 'private_key');
    expect(JSON.stringify(answer.body)).toContain('it is stored for another destination');
    expectIssues(await put(id, { ...wanted(), client_secret: 'new' }), 'private_key');
    expectOk(await put(id, { ...wanted(), client_secret: 'new', private_key: null }));
  });

  test('must do so in a declaration, over HTTP and at the start, which name what is missing', async () => {
    const { id } = await anIntegration();
    const declared = { integrations: [{ id, ...WAYS[0]![1]() }] };
    expectIssues(await broker.ask('POST', '/v1/apply', declared), 'integrations.0.client_secret');
    const parsed = parseConfig(
      {
        VALETKEY_PORT: '0',
        VALETKEY_DATABASE_URL: `file:${broker.database}`,
        VALETKEY_CONFIG: 'declared.json',
        VALETKEY_OUTBOUND_ALLOW: '127.0.0.1',
      },
      () => JSON.stringify(declared),
    );
    if (!parsed.ok) throw new Error(parsed.issues.join());
    await expect(start(parsed.config, createLogger('silent'))).rejects.toThrow('stored for another destination');
  });

  test('may give the same secret again', async () => {
    const { id } = await anIntegration();
    expectOk(await put(id, { ...WAYS[0]![1](), client_secret: 'the client secret' }));
  });

  test('is in the audit log with what changed, by origins', async () => {
    const { id } = await anIntegration();
    const wanted = setup({ client_secret: 'again', overrides: { token_url: `${thief.url}/token?key=a-secret` } });
    expectOk(await put(id, wanted));
    const { data } = expectOk(await broker.ask('GET', `/v1/audit?action=integration.put&integration=${id}`));
    const [entry] = data as Json[];
    expect(entry!.detail).toBe(`generic-oauth2; overrides.token_url: none → ${thief.url}`);
  });
});
