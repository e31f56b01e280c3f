// Servers that differ from the standards or from their metadata, at the generic entries: what params say about them.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startProvider } from '../../../demo/provider.ts';
import type { Logger } from '../../../src/ports/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { type OddProvider, startOddProvider } from '../../support/odd-provider.ts';
import { connect, connectionOf, createConnectSession, newOwner, putIntegration } from '../../support/owner-browser.ts';

let broker: TestBroker;
let provider: OddProvider;
const warnings: (Json & { message: string })[] = [];
const log: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => void warnings.push({ ...fields, message }),
  error() {},
};

beforeAll(async () => {
  broker = await startTestBroker({}, undefined, { refreshAhead: false }, log);
});
afterAll(() => broker.stop());
beforeEach(async () => {
  warnings.length = 0;
  provider = await startOddProvider();
  provider.answer = (form) => ({
    body: {
      access_token: `at-${form.get('grant_type')}`,
      refresh_token: 'rt-0123456789',
      expires_in: 3_600,
      token_type: 'Bearer',
      ...(form.get('grant_type') === 'authorization_code' && { id_token: provider.idToken() }),
    },
  });
  return () => provider.close();
});

const endpoints = () => ({ authorization_url: `${provider.url}/authorize`, token_url: `${provider.url}/token` });

const setup = (params: Json, more: Json = {}): Json => ({
  provider: 'generic-oauth2',
  client_id: 'client',
  client_secret: 'a secret',
  params,
  ...more,
});

async function put(params: Json, more: Json = {}) {
  const { status, body } = await putIntegration(broker, 'acme', setup(params, more));
  expect(status, JSON.stringify(body)).toBeLessThan(300);
}

async function refused(params: Json, more: Json = {}, id = 'refused') {
  const { status, body } = await putIntegration(broker, id, setup(params, more));
  expect(status, JSON.stringify(body)).toBe(400);
  return body.issues as { path: string; message: string }[];
}

const refresh = async ({ id }: Json) => (await broker.ask('POST', `/v1/connections/${id}/refresh`, {})).body;

/** The last token request: its form, and its credentials. */
function lastTokenRequest() {
  const { form, headers } = provider.tokenRequests().at(-1)!;
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? '')?.[1];
  return { form: Object.fromEntries(form), basic: basic && Buffer.from(basic, 'base64').toString() };
}

describe('an authorization server with metadata (RFC 8414)', () => {
  const paths = {
    'with the well-known part inserted': (path: string) => `/.well-known/oauth-authorization-server${path}`,
    'as an OpenID Provider has it': (path: string) => `${path}/.well-known/openid-configuration`,
    'as an OpenID Provider, inserted': (path: string) => `/.well-known/openid-configuration${path}`,
  };
  const cases = Object.entries(paths).flatMap(([title, at]) =>
    ['', '/tenants/acme'].map((path) => ({ title, at, path })),
  );

  test.each(cases)('$title, at "$path": connects, refreshes and revokes', async ({ at, path }) => {
    const issuer = provider.url + path;
    const more = {
      revocation_endpoint: `${provider.url}/revoke`,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    };
    provider.documents.set(at(path), provider.metadata(issuer, more));
    await put({ issuer }, { scopes: ['read'] });
    const { asked, connection } = await provider.connect(broker);
    expect(asked).toMatchObject({ scope: 'read', code_challenge_method: 'S256' });
    expect(lastTokenRequest()).toMatchObject({ form: { client_secret: 'a secret' }, basic: undefined });
    expect(await refresh(connection)).toMatchObject({ access_token: 'at-refresh_token' });
    const revoked = await broker.ask('DELETE', `/v1/connections/${connection.id}`);
    expect(revoked.body).toMatchObject({ upstream_revocation: 'done' });
  });

  test('that names another issuer is refused', async () => {
    provider.documents.set('/.well-known/oauth-authorization-server', provider.metadata('https://other.example'));
    await put({ issuer: provider.url });
    await expect(provider.connect(broker)).rejects.toThrow('integration_misconfigured');
  });

  test('its iss is required once announced, and must be this one (RFC 9207)', async () => {
    const metadata = provider.metadata(provider.url, { authorization_response_iss_parameter_supported: true });
    provider.documents.set('/.well-known/oauth-authorization-server', metadata);
    await put({ issuer: provider.url });
    await expect(provider.connect(broker)).rejects.toThrow('invalid_answer');
    await expect(provider.connect(broker, {}, { iss: 'https://other.example' })).rejects.toThrow('invalid_answer');
    expect((await provider.connect(broker, {}, { iss: provider.url })).connection).toMatchObject({ status: 'active' });
  });

  test('that supports plain PKCE alone gets that', async () => {
    const metadata = provider.metadata(provider.url, { code_challenge_methods_supported: ['plain'] });
    provider.documents.set('/.well-known/oauth-authorization-server', metadata);
    await put({ issuer: provider.url });
    const { asked } = await provider.connect(broker);
    expect(asked.code_challenge_method).toBe('plain');
    expect(lastTokenRequest().form.code_verifier).toBe(asked.code_challenge);
  });

  test('is not trusted as an issuer of JWTs', async () => {
    provider.documents.set('/.well-known/oauth-authorization-server', provider.metadata(provider.url));
    await put({ issuer: provider.url });
    const { body } = await broker.ask('POST', '/v1/jwt/verify', { token: provider.idToken() });
    expect(body).toMatchObject({ active: false });
  });

  test('or its URLs are required', async () => {
    const unless = expect.stringContaining('unless params.issuer is given');
    expect(await refused({})).toMatchObject([
      { path: 'params.authorization_url', message: unless },
      { path: 'params.token_url', message: unless },
    ]);
    expect(await refused({ token_url: `${provider.url}/token` })).toMatchObject([{ path: 'params.authorization_url' }]);
  });
});

describe('client_auth', () => {
  const SIGNING_SECRET = 'a secret of at least 32 characters, to sign with';
  const clientSecret = 'a+b%2B c:d/é';
  const clientId = 'cli:ent+1';
  const connectAs = async (client_auth: string) => {
    await put({ ...endpoints(), client_auth }, { client_id: clientId, client_secret: clientSecret });
    const { connection } = await provider.connect(broker);
    const connected = lastTokenRequest();
    await refresh(connection);
    const { basic, form } = lastTokenRequest();
    expect(basic).toBe(connected.basic);
    expect(form.client_secret).toBe(connected.form.client_secret);
    return { basic, form };
  };

  test('client_secret_basic encodes both as a form (RFC 6749 2.3.1)', async () => {
    const { basic, form } = await connectAs('client_secret_basic');
    const [id, secret] = basic!.split(':').map((part) => new URLSearchParams(`v=${part}`).get('v'));
    expect([id, secret]).toEqual([clientId, clientSecret]);
    expect(form).not.toHaveProperty('client_secret');
  });

  test('client_secret_basic_raw encodes nothing', async () => {
    expect((await connectAs('client_secret_basic_raw')).basic).toBe(`${clientId}:${clientSecret}`);
  });

  test('client_secret_post sends the secret in the body', async () => {
    expect(await connectAs('client_secret_post')).toMatchObject({
      basic: undefined,
      form: { client_id: clientId, client_secret: clientSecret },
    });
  });

  test('none sends no secret, though there is one', async () => {
    const { basic, form } = await connectAs('none');
    expect(basic).toBeUndefined();
    expect(form).toMatchObject({ client_id: clientId });
    expect(form).not.toHaveProperty('client_secret');
  });

  test('wins over what the metadata announces', async () => {
    const client = {
      client_id: 'signer',
      client_secret: SIGNING_SECRET,
      redirect_uris: [`${broker.url}/oauth2/callback/acme`],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_jwt' as const,
    };
    const clientAuthMethods = ['client_secret_basic', 'client_secret_jwt'] as const;
    const real = await startProvider({
      clients: [client],
      configuration: { clientAuthMethods: [...clientAuthMethods] },
    });
    try {
      const more = { provider: 'generic-oidc', client_id: 'signer', client_secret: SIGNING_SECRET };
      const invite = async (params: Json) => {
        await put({ issuer: real.issuer, ...params }, more);
        const invited = await createConnectSession(broker);
        return { invited, page: await connect(broker, invited.url) };
      };
      expect((await invite({})).page.status).not.toBe(200);
      const { invited, page } = await invite({ client_auth: 'client_secret_jwt' });
      expect(page.status, page.text).toBe(200);
      const connection = await connectionOf(broker, invited);
      expect(await refresh(connection)).toMatchObject({ access_token: expect.any(String) });
      const revoked = await broker.ask('DELETE', `/v1/connections/${connection.id}`);
      expect(revoked.body).toMatchObject({ upstream_revocation: 'done' });
    } finally {
      await real.close();
    }
  });

  test('needs the secret that it sends, given or stored', async () => {
    const issues = await refused({ ...endpoints(), client_auth: 'private_key_jwt' });
    expect(issues).toMatchObject([{ path: 'private_key', message: expect.stringContaining('params.client_auth') }]);
    const post = { ...endpoints(), client_auth: 'client_secret_post' };
    expect(await refused(post, { client_secret: undefined })).toMatchObject([{ path: 'client_secret' }]);
    await put(endpoints());
    await put(post, { client_secret: undefined });
    expect(await refused(post, { client_secret: null }, 'acme')).toMatchObject([{ path: 'client_secret' }]);
    expect(await refused({ ...post, client_auth: 'basic' })).toMatchObject([
      { path: 'params.client_auth', message: expect.stringContaining('client_secret_basic_raw') },
    ]);
  });
});

describe('parameters', () => {
  test('audience, resource, prompt, access_type and others are sent', async () => {
    await put({
      ...endpoints(),
      audience: 'https://api.example.com/',
      resource: 'https://api.example.com/orders',
      prompt: 'select_account consent',
      access_type: 'offline',
      authorization_params: 'login_hint=a%26b%2Bc&claims=%7B%22userinfo%22%3A%7B%7D%7D',
      token_params: 'tenant=acme+co',
    });
    const { asked, connection } = await provider.connect(broker);
    expect(asked).toMatchObject({
      audience: 'https://api.example.com/',
      resource: 'https://api.example.com/orders',
      prompt: 'select_account consent',
      access_type: 'offline',
      login_hint: 'a&b+c',
      claims: '{"userinfo":{}}',
    });
    const sent = { tenant: 'acme co', resource: 'https://api.example.com/orders' };
    expect(lastTokenRequest().form).toMatchObject(sent);
    await refresh(connection);
    expect(lastTokenRequest().form).toMatchObject({ ...sent, grant_type: 'refresh_token' });
  });

  test('an empty prompt sends none, where one would be sent by default', async () => {
    provider.documents.set('/.well-known/openid-configuration', provider.metadata(provider.url));
    await put({ issuer: provider.url, prompt: '' }, { provider: 'generic-oidc' });
    const { asked } = await provider.connect(broker);
    expect(asked.scope).toBe('openid offline_access');
    expect(asked).not.toHaveProperty('prompt');
  });

  const OWNED = [
    'state',
    'code_challenge',
    'redirect_uri',
    'client_id',
    'client_secret',
    'grant_type',
    'code',
    'nonce',
  ];
  const MORE_OWNED = ['refresh_token', 'response_type', 'scope', 'response_mode', 'request', 'request_uri', 'STATE'];
  test.each([...OWNED, ...MORE_OWNED])('%s cannot be set: it is the protocol’s', async (name) => {
    for (const param of ['authorization_params', 'token_params']) {
      const issues = await refused({ ...endpoints(), [param]: `theme=dark&${name}=x` });
      expect(issues).toMatchObject([
        { path: `params.${param}`, message: expect.stringContaining(name.toLowerCase() === 'scope' ? 'scopes' : name) },
      ]);
    }
  });

  test.each([
    ['theme', 'name=value'],
    ['=x', 'name=value'],
    ['a=1&&b=2', 'name=value'],
    ['a=1&a=2', 'twice'],
    ['a=%0D%0Ab', 'control characters'],
    ['a=%7Bclient_id%7D', '{name}'],
    ['audience=x', 'params.audience'],
  ])('%s is refused', async (authorization_params, why) => {
    expect(await refused({ ...endpoints(), authorization_params })).toMatchObject([
      { path: 'params.authorization_params', message: expect.stringContaining(why) },
    ]);
  });
});

describe('pkce', () => {
  test('none sends no challenge and no verifier, and is logged', async () => {
    await put({ ...endpoints(), pkce: 'none' });
    expect(warnings).toMatchObject([{ integration: 'acme', message: expect.stringContaining('PKCE') }]);
    const { asked } = await provider.connect(broker);
    expect(Object.keys(asked).filter((name) => name.startsWith('code_challenge'))).toEqual([]);
    expect(lastTokenRequest().form).not.toHaveProperty('code_verifier');
  });

  test('none at an OpenID Provider still has the nonce', async () => {
    provider.documents.set('/.well-known/openid-configuration', provider.metadata(provider.url));
    await put({ issuer: provider.url, pkce: 'none' }, { provider: 'generic-oidc' });
    const { asked } = await provider.connect(broker);
    expect(asked).toMatchObject({ nonce: expect.stringMatching(/./) });
    provider.answer = () => ({
      body: { access_token: 'at-0123456789', token_type: 'Bearer', id_token: provider.idToken({ nonce: 'another' }) },
    });
    await expect(provider.connect(broker)).rejects.toThrow('invalid_answer');
  });

  test('is S256 by default, without a warning', async () => {
    await put(endpoints());
    expect((await provider.connect(broker)).asked).toMatchObject({ code_challenge_method: 'S256' });
    expect(warnings.filter(({ message }) => message.includes('PKCE'))).toEqual([]);
  });
});

describe('scope_separator', () => {
  test.each([
    ['comma', 'a,b'],
    [',', 'a,b'],
    ['semicolon', 'a;b'],
    ['space', 'a b'],
    ['none', undefined],
  ])('%s', async (scope_separator, sent) => {
    await put({ ...endpoints(), scope_separator }, { scopes: ['a', 'b'] });
    const { asked, connection } = await provider.connect(broker);
    expect(asked.scope).toBe(sent);
    expect(connection.scopes).toEqual(sent === undefined ? [] : ['a', 'b']);
  });
});

describe('expires', () => {
  const connectedWith = async (expires: string, more: object) => {
    await put({ ...endpoints(), expires });
    provider.answer = () => ({ body: { access_token: 'at-0123456789', token_type: 'Bearer', ...more } });
    return Date.parse(String((await provider.connect(broker)).connection.expires_at));
  };

  test.each([
    ['1800', {}, 1_800],
    ['1800', { expires_in: 600 }, 600],
    ['in=data.ttl&otherwise=60', { data: { ttl: 900 } }, 900],
    ['in=data.ttl&otherwise=60', {}, 60],
  ])('%s with %o', async (expires, more, seconds) => {
    const before = Date.now();
    const expiresAt = await connectedWith(expires, more);
    // The broker may keep whole seconds.
    expect(expiresAt).toBeGreaterThan(before + seconds * 1_000 - 1_000);
    expect(expiresAt).toBeLessThanOrEqual(Date.now() + seconds * 1_000);
  });

  test('at=data.ends: the time itself', async () => {
    const ends = Math.floor(Date.now() / 1_000) + 3_000;
    const expiresAt = await connectedWith('at=data.ends', { data: { ends } });
    expect(Math.abs(expiresAt - ends * 1_000)).toBeLessThan(1_000);
  });

  test.each(['0', '-1', 'soon', 'in=', 'after=3', 'otherwise=0', 'jwt=maybe'])('%s is refused', async (expires) => {
    expect(await refused({ ...endpoints(), expires })).toMatchObject([{ path: 'params.expires' }]);
  });
});

describe('errors', () => {
  const errors = 'grant_dead=Session%20Gone&misconfigured=app_locked&transient=invalid_grant';
  test.each([
    ['session gone', 409, 'reauthorization_required'],
    ['app_locked', 502, 'integration_misconfigured'],
    ['invalid_grant', 503, 'provider_unavailable'],
  ])('%s: %i', async (error, status, code) => {
    await put({ ...endpoints(), errors });
    const { connection } = await provider.connect(broker, { owner: newOwner() });
    provider.answer = () => ({ status: 400, body: { error } });
    const answer = await broker.ask('POST', `/v1/connections/${connection.id}/refresh`, {});
    expect(answer).toMatchObject({ status, body: { code } });
  });

  test.each([
    ['dead=x', 'dead'],
    ['grant_dead=', 'empty'],
    ['grant_dead=a&transient=a', 'twice'],
    ['a', 'name=value'],
  ])('%s is refused', async (given, why) => {
    expect(await refused({ ...endpoints(), errors: given })).toMatchObject([
      { path: 'params.errors', message: expect.stringContaining(why) },
    ]);
  });
});

describe('client credentials', () => {
  test.each(['generic-oidc', 'generic-oauth2'])('of %s: by the issuer’s metadata', async (entry) => {
    provider.documents.set('/.well-known/openid-configuration', provider.metadata(provider.url));
    const params = { mode: 'oauth2_client_credentials', issuer: provider.url, audience: 'https://api.example.com/' };
    await put({ ...params, client_auth: 'client_secret_post' }, { provider: entry, scopes: ['read'] });
    const imported = await broker.ask('POST', '/v1/connections', {
      integration: 'acme',
      owner: newOwner(),
      credentials: {},
    });
    expect(imported.status, JSON.stringify(imported.body)).toBe(201);
    const token = await broker.ask('GET', `/v1/connections/${imported.body.id}/token`);
    expect(token.body).toMatchObject({ access_token: 'at-client_credentials' });
    expect(lastTokenRequest().form).toMatchObject({
      grant_type: 'client_credentials',
      audience: 'https://api.example.com/',
      scope: 'read',
      client_secret: 'a secret',
    });
  });
});

test('the generic entries show these params', async () => {
  const names = [
    'client_auth',
    'audience',
    'resource',
    'prompt',
    'access_type',
    'authorization_params',
    'token_params',
  ];
  const more = ['pkce', 'scope_separator', 'expires', 'errors', 'issuer', 'dpop'];
  for (const id of ['generic-oidc', 'generic-oauth2']) {
    const { body } = await broker.ask('GET', `/v1/providers/${id}`);
    expect(Object.keys(body.params as Json)).toEqual(expect.arrayContaining([...names, ...more]));
    expect(body.params).toMatchObject({
      client_auth: { options: expect.arrayContaining(['client_secret_post']), required: false },
    });
  }
});
