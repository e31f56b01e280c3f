// Targets: the catalogue's templates, filled with parameters, and overrides.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AuthMode } from '../../src/domain/auth-modes-schema.ts';
import { Provider } from '../../src/domain/provider-schema.ts';
import { connectionParams, NO_SECRETS, resolveTarget, resolveUrl } from '../../src/domain/target.ts';

const code = {
  mode: 'oauth2_code',
  authorization_url: 'https://login.acme.test/authorize',
  token_url: 'https://api.acme.test/{subdomain}/token',
  revocation_url: 'https://api.acme.test/revoke',
  userinfo_url: 'https://api.acme.test/me?realm={realm}',
  refresh: { url: 'https://api.acme.test/refresh' },
};
const subdomain = { title: 'subdomain', pattern: '[a-z0-9-]{1,20}' };

const providerOf = (auth: object[], more: object = {}) =>
  Provider.parse({
    id: 'acme',
    name: 'Acme',
    category: 'generic',
    docs_url: 'https://acme.test/docs',
    confidence: 'unverified',
    params: { realm: { title: 'realm', pattern: '[a-z]+', optional: true } },
    connection_params: { subdomain },
    api_base_url: 'https://api.acme.test/v1',
    auth,
    ...more,
  });

type Settings = Partial<Parameters<typeof resolveTarget>[1]>;
const integration = (more: Settings = {}) => ({
  id: 'acme',
  version: 3,
  clientId: 'client',
  keyId: null,
  params: {},
  overrides: {},
  ...more,
});
const resolve = (provider: Provider, more?: Settings, params: Record<string, string> = { subdomain: 'blue' }) =>
  resolveTarget(provider, integration(more), NO_SECRETS, params);

describe('target', () => {
  test('has the catalogue’s endpoints, filled with both kinds of parameters', () => {
    const target = resolve(providerOf([code]), { params: { realm: 'east' }, keyId: 'key-1' });
    expect(target).toMatchObject({ integration: 'acme', version: 3, issuer: null, clientId: 'client' });
    expect(target.endpoints).toEqual({
      authorization: 'https://login.acme.test/authorize',
      token: 'https://api.acme.test/blue/token',
      refresh: 'https://api.acme.test/refresh',
      revocation: 'https://api.acme.test/revoke',
      userinfo: 'https://api.acme.test/me?realm=east',
    });
    expect(target.values).toEqual({ realm: 'east', subdomain: 'blue', client_id: 'client', key_id: 'key-1' });
    expect(target.overridden.size).toBe(0);
  });

  test('has no endpoint whose optional parameter is missing', () => {
    expect(resolve(providerOf([code])).endpoints).not.toHaveProperty('userinfo');
  });

  test('has only endpoints without connection parameters when those are unknown', () => {
    const { endpoints } = resolve(providerOf([code]), {}, {});
    expect(endpoints).not.toHaveProperty('token');
    expect(endpoints.revocation).toBe('https://api.acme.test/revoke');
  });

  test('has the filled issuer', () => {
    const oidc = { mode: 'oidc', issuer: 'https://{subdomain}.acme.test' };
    expect(resolve(providerOf([oidc])).issuer).toBe('https://blue.acme.test');
  });

  test('has no secrets among its template values', () => {
    const secrets = { secret: 's3cret', privateKey: 'pem', certificate: 'cert' };
    const target = resolveTarget(providerOf([code]), integration(), secrets, { subdomain: 'blue' });
    expect(target.secrets).toEqual(secrets);
    expect(JSON.stringify([target.values, target.endpoints])).not.toContain('s3cret');
  });

  test('keeps token placeholders in a revocation URL', () => {
    const revocation = { style: 'request', url: 'https://api.acme.test/{subdomain}/{access_token}/{refresh_token}' };
    const { endpoints } = resolve(providerOf([{ ...code, revocation }]));
    expect(endpoints.revocation).toBe('https://api.acme.test/blue/{access_token}/{refresh_token}');
  });

  test('has the mode that the integration names, by variant or mode, else the first', () => {
    const provider = providerOf([
      { ...code, variant: 'user' },
      { ...code, variant: 'bot', token_url: 'https://bots.acme.test/token' },
      { mode: 'api_key' },
    ]);
    const modeOf = (params: Record<string, string>) => {
      const { auth } = resolve(provider, { params });
      return auth.variant ?? auth.mode;
    };
    expect(modeOf({})).toBe('user');
    expect(modeOf({ mode: 'bot' })).toBe('bot');
    expect(modeOf({ mode: 'oauth2_code' })).toBe('user');
    expect(modeOf({ mode: 'api_key' })).toBe('api_key');
    expect(() => modeOf({ mode: 'telepathy' })).toThrow('names a mode that provider acme does not have');
  });
});

describe('override', () => {
  test('is used as it is', () => {
    const overrides = {
      authorization_url: 'https://a.example/1',
      token_url: 'https://b.example/2',
      revocation_url: 'https://c.example/3',
      userinfo_url: 'https://d.example/4',
    };
    expect(resolve(providerOf([code]), { overrides }).endpoints).toMatchObject({
      authorization: 'https://a.example/1',
      token: 'https://b.example/2',
      revocation: 'https://c.example/3',
      userinfo: 'https://d.example/4',
    });
  });

  test('of an endpoint moves the other URLs of its origin, and no others', () => {
    const target = resolve(providerOf([code]), {
      params: { realm: 'east' },
      overrides: { token_url: 'http://127.0.0.1:4000/other/token' },
    });
    expect(target.endpoints).toEqual({
      authorization: 'https://login.acme.test/authorize',
      token: 'http://127.0.0.1:4000/other/token',
      refresh: 'http://127.0.0.1:4000/refresh',
      revocation: 'http://127.0.0.1:4000/revoke',
      userinfo: 'http://127.0.0.1:4000/me?realm=east',
    });
    expect(resolveUrl(target, 'https://api.acme.test/{subdomain}/tenants')).toBe('http://127.0.0.1:4000/blue/tenants');
    expect(resolveUrl(target, 'https://api.acme.test.evil.example/x')).toBe('https://api.acme.test.evil.example/x');
    expect(resolveUrl(target, 'http://api.acme.test/x')).toBe('http://api.acme.test/x');
    expect(resolveUrl(target, 'https://api.acme.test/{missing}')).toBeUndefined();
  });

  test('of the API moves requests to its origin', () => {
    const target = resolve(providerOf([code]), { overrides: { api_base_url: 'https://sandbox.example/v1' } });
    expect(resolveUrl(target, 'https://api.acme.test/me')).toBe('https://sandbox.example/me');
    expect(target.endpoints.token).toBe('https://sandbox.example/blue/token');
  });

  test('of the token endpoint wins over others of one origin', () => {
    const one = { ...code, authorization_url: 'https://api.acme.test/authorize' };
    const overrides = {
      token_url: 'https://token.example/t',
      authorization_url: 'https://browser.example/a',
      revocation_url: 'https://gone.example/r',
    };
    const { endpoints } = resolve(providerOf([one]), { overrides });
    expect(endpoints).toMatchObject({
      authorization: 'https://browser.example/a',
      token: 'https://token.example/t',
      revocation: 'https://gone.example/r',
      refresh: 'https://token.example/refresh',
    });
  });

  test('within an origin moves nothing else', () => {
    const target = resolve(providerOf([code]), { overrides: { token_url: 'https://api.acme.test/v2/token' } });
    expect([...target.overridden.keys()]).toEqual(['https://api.acme.test/blue/token']);
    expect(target.endpoints.revocation).toBe('https://api.acme.test/revoke');
  });

  test('applies to requests at exactly the same URL', () => {
    const at = { ...code, token_exchange: { url: code.token_url, params: {} } };
    const target = resolve(providerOf([at]), { overrides: { token_url: 'http://127.0.0.1:4000/t' } });
    expect(resolveUrl(target, code.token_url)).toBe('http://127.0.0.1:4000/t');
  });

  test.each([
    ['with the default port', 'https://acme.test:443'],
    ['in capitals', 'https://ACME.test'],
    ['in another script', 'https://\u00e4cme.test'],
  ])('applies to an origin that is written %s', (_, origin) => {
    const at = { ...code, token_url: `${origin}/t`, revocation_url: `${origin}/revoke?a=b` };
    const target = resolve(providerOf([at]), { overrides: { token_url: 'http://127.0.0.1:4000/t' } });
    expect(target.endpoints.revocation).toBe('http://127.0.0.1:4000/revoke?a=b');
  });

  test('preserves paths and queries', () => {
    const overrides = { token_url: 'http://127.0.0.1:4000/t' };
    const target = resolve(providerOf([code]), { overrides });
    fc.assert(
      fc.property(fc.webPath(), fc.webQueryParameters(), (path, query) => {
        const rest = `${path.startsWith('/') ? path : `/${path}`}?${query}`;
        fc.pre(!rest.includes('{'));
        expect(resolveUrl(target, `https://api.acme.test${rest}`)).toBe(`http://127.0.0.1:4000${rest}`);
      }),
    );
  });
});

describe('captured value', () => {
  const provider = providerOf([code], {
    connection_params: { subdomain, region: { title: 'region', options: { eu: 'eu.acme.test', us: 'us.acme.test' } } },
  });
  const auth = AuthMode.parse(code);
  const paramsOf = (params: Record<string, string>, captured: Record<string, unknown>) =>
    connectionParams(provider, auth, { params, captured });

  test('replaces the parameter of its name', () => {
    expect(paramsOf({ subdomain: 'blue', region: 'eu' }, { subdomain: 'green', region: 'us' })).toEqual({
      subdomain: 'green',
      region: 'us',
    });
    expect(paramsOf({}, { subdomain: 'green' })).toEqual({ subdomain: 'green' });
  });

  test('does not become an unknown parameter', () => {
    expect(paramsOf({ subdomain: 'blue' }, { realm: 'east', client_id: 'x', mode: 'bot' })).toEqual({
      subdomain: 'blue',
    });
  });

  test('is ignored when it does not match the pattern, so it cannot choose a host', () => {
    const wild = fc.oneof(fc.string(), fc.constantFrom('evil.example/', 'a@b', 'x\n', '../x', ''), fc.anything());
    fc.assert(
      fc.property(wild, (value) => {
        const taken = typeof value === 'string' && /^[a-z0-9-]{1,20}$/.test(value) && !value.endsWith('\n');
        const params = paramsOf({ subdomain: 'blue' }, { subdomain: value });
        expect(params.subdomain).toBe(taken ? value : 'blue');
        const { endpoints } = resolve(provider, {}, params);
        expect(new URL(endpoints.token!).origin).toBe('https://api.acme.test');
      }),
    );
  });

  test('is an option’s name, not its value', () => {
    expect(paramsOf({ region: 'eu' }, { region: 'us.acme.test' })).toEqual({ region: 'eu' });
  });
});
