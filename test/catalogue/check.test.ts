// Issues of a catalogue entry, by file and field; above all, unknown placeholders.
import { describe, expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { isCode } from '../../src/domain/auth-modes.ts';
import { placeholders } from '../../src/domain/fields.ts';
import { codeMode, createFolder, entry, issuesOf, providersOf } from '../support/entries.ts';

/** The issues of one entry, without the file's name. */
const faultsOf = (more: object): string[] =>
  issuesOf(loadCatalogue([createFolder({ 'acme.json': entry('acme', more) })])).map((issue) =>
    issue.replace(/^acme\.json: /, ''),
  );
const inMode = (auth: object): string[] => faultsOf({ auth: [auth] });

const subdomain = { title: 'subdomain', pattern: '[a-z]+' };
const tokenUrl = 'https://acme.test/t';
const client = (more: object) => ({ mode: 'oauth2_client_credentials', token_url: tokenUrl, ...more });
const bearer = (more: object) => ({ mode: 'jwt_bearer', token_url: tokenUrl, ...more });
const vendor = (more: object) =>
  codeMode({ revocation: { style: 'request', url: 'https://acme.test/gone', body: 'json', ...more } });
const lookup = (more: object) =>
  codeMode({ lookups: [{ url: 'https://acme.test/me', capture: { me: 'id' }, ...more }] });
const role = (more: object) => ({
  mode: 'aws_sts_assume_role',
  token_url: 'https://sts.acme.test/',
  region: 'eu',
  role_arn: 'arn',
  external_id: 'x',
  ...more,
});

const URL_OF = 'https://{nobody}.acme.test/x';
const TEXT = 'before {nobody} after';

describe('unknown placeholder: an issue', () => {
  const places: [path: string, auth: { mode: string; [more: string]: unknown }][] = [
    ['issuer', { mode: 'oidc', issuer: URL_OF }],
    ['authorization_url', codeMode({ authorization_url: URL_OF })],
    ['pushed_authorization_request_url', codeMode({ pushed_authorization_request_url: URL_OF })],
    ['token_url', codeMode({ token_url: URL_OF })],
    ['revocation_url', codeMode({ revocation_url: URL_OF })],
    ['userinfo_url', codeMode({ userinfo_url: URL_OF })],
    ['api_base_url', codeMode({ api_base_url: URL_OF })],
    ['api_headers.x-team', codeMode({ api_headers: { 'x-team': TEXT } })],
    ['authorization_params.audience', codeMode({ authorization_params: { audience: TEXT } })],
    ['callback.match.shop', codeMode({ callback: { match: { shop: TEXT } } })],
    ['token_request.params.audience', codeMode({ token_request: { params: { audience: TEXT } } })],
    ['token_request.headers.x-team', codeMode({ token_request: { headers: { 'x-team': TEXT } } })],
    ['token_answer.expires.otherwise', codeMode({ token_answer: { expires: { otherwise: '{nobody}' } } })],
    ['client_assertion.audience', codeMode({ client_assertion: { audience: TEXT } })],
    ['refresh.url', codeMode({ refresh: { url: URL_OF } })],
    ['refresh.params.audience', codeMode({ refresh: { params: { audience: TEXT } } })],
    ['token_exchange.url', codeMode({ token_exchange: { url: URL_OF, params: {} } })],
    ['token_exchange.params.t', codeMode({ token_exchange: { url: tokenUrl, params: { t: TEXT } } })],
    ['lookups[0].url', lookup({ url: URL_OF })],
    ['lookups[0].headers.authorization', lookup({ headers: { authorization: TEXT } })],
    ['revocation.url', vendor({ url: URL_OF })],
    ['revocation.fields.t', vendor({ fields: { t: TEXT } })],
    ['revocation.headers.authorization', vendor({ headers: { authorization: TEXT } })],
    ['token_url', client({ token_url: URL_OF })],
    ['issuer', client({ issuer: URL_OF })],
    ['token_request.params.audience', client({ token_request: { params: { audience: TEXT } } })],
    ['assertion.header.kid', bearer({ assertion: { header: { kid: TEXT } } })],
    ['assertion.claims.sub', bearer({ assertion: { claims: { sub: TEXT } } })],
    ['assertion.claims.iss', { mode: 'self_signed_jwt', assertion: { claims: { iss: TEXT } } }],
    ['value', { mode: 'api_key', value: TEXT }],
    ['username', { mode: 'basic', username: TEXT }],
    ['password', { mode: 'basic', password: TEXT }],
    ['token_url', role({ token_url: URL_OF })],
    ['region', role({ region: TEXT })],
    ['role_arn', role({ role_arn: TEXT })],
    ['external_id', role({ external_id: TEXT })],
    ['session_name', role({ session_name: TEXT })],
    ['dpop', codeMode({ dpop: '{nobody}' })],
    ['dpop', client({ dpop: '{nobody}' })],
  ];
  test.each(places.map(([path, auth]) => [path, auth.mode, auth]))('in %s of %s', (path, _, auth) => {
    expect(inMode(auth)).toEqual([`auth[0].${path}: {nobody} is not among its params`]);
  });

  test('in fields for every mode, once for each mode that lacks the parameter', () => {
    const auth = [codeMode(), { mode: 'api_key', params: { nobody: subdomain } }];
    expect(faultsOf({ auth, api_base_url: URL_OF, api_headers: { team: TEXT } })).toEqual([
      'auth[0].api_base_url: {nobody} is not among its params',
      'auth[0].api_headers.team: {nobody} is not among its params',
    ]);
  });

  test('also when it is a token or secret in a place that has none', () => {
    const asked = {
      authorization_url: 'https://acme.test/{access_token}',
      token_url: 'https://acme.test/{client_secret}',
    };
    expect(inMode(codeMode(asked))).toEqual([
      'auth[0].token_url: {client_secret} is not among its params',
      'auth[0].authorization_url: {access_token} is not among its params',
    ]);
    expect(inMode(codeMode({ authorization_params: { a: '{client_secret}' } }))).toHaveLength(1);
    expect(inMode(codeMode({ api_headers: { a: '{client_secret}' } }))).toHaveLength(1);
    expect(inMode(vendor({ url: 'https://acme.test/{client_secret}' }))).toHaveLength(1);
    expect(
      inMode(client({ credentials: { key: { title: 'key' } }, token_url: 'https://acme.test/{key}' })),
    ).toHaveLength(1);
  });
});

describe('placeholder: accepted', () => {
  test('from params of the entry or mode, of the integration or the connection, and client_id', () => {
    const url = 'https://{a}.{b}.{c}.{d}.acme.test/{client_id}';
    const auth = [codeMode({ token_url: url, params: { b: subdomain }, connection_params: { d: subdomain } })];
    expect(faultsOf({ auth, params: { a: subdomain }, connection_params: { c: subdomain } })).toEqual([]);
  });

  test('in requests, from tokens, the client’s secret, scopes and the redirect URI', () => {
    const all = '{access_token}{refresh_token}{client_secret}{key_id}';
    expect(inMode(codeMode({ refresh: { params: { all: `${all}{scopes}{redirect_uri}` } } }))).toEqual([]);
    expect(inMode(vendor({ url: 'https://acme.test/{access_token}/{refresh_token}', fields: { all } }))).toEqual([]);
  });

  test('in assertions, from imported credentials and signing values', () => {
    const claims = {
      iss: '{key_fingerprint}{now}{scopes}{token_url}{key_id}',
      sub: '{account}',
      aud: '{client_email}',
    };
    const credentials = {
      account: { title: 'account' },
      document: { title: 'document', format: 'json', members: ['client_email'] },
    };
    expect(inMode(bearer({ assertion: { claims }, credentials }))).toEqual([]);
    expect(inMode(codeMode({ client_assertion: { audience: '{token_url}' } }))).toEqual([]);
  });

  test('in the served token, from imported credentials', () => {
    const credentials = { token: { title: 'token' } };
    expect(inMode({ mode: 'api_key', credentials, value: '{client_id}/{token}' })).toEqual([]);
    expect(inMode({ mode: 'basic', credentials, username: '{token}', password: 'x' })).toEqual([]);
  });
});

describe('captured value', () => {
  const tenant = { token_answer: { capture: { tenant: 'tenant.id' } } };
  const capturedIssue = (path: string) =>
    `auth[0].${path}: {tenant} is captured: only a connection_param of that name, with a pattern, may be in a URL`;

  test.each([
    ['the token answer', tenant],
    ['the callback', { callback: { capture: { tenant: 'realm' } } }],
    ['a lookup', { lookups: [{ url: 'https://acme.test/me', capture: { tenant: 'id' } }] }],
  ])('is not allowed in %s, a request’s URL', (_, captured) => {
    const url = 'https://{tenant}.acme.test/x';
    expect(inMode(codeMode({ ...captured, token_url: url }))).toEqual([capturedIssue('token_url')]);
    expect(inMode(codeMode({ ...captured, refresh: { url } }))).toEqual([capturedIssue('refresh.url')]);
    const revocation = { style: 'request', url };
    expect(inMode(codeMode({ ...captured, revocation }))).toEqual([capturedIssue('revocation.url')]);
  });

  test('is allowed in a URL as a connection param of that name, which has a pattern', () => {
    const connection_params = { tenant: subdomain };
    expect(inMode(codeMode({ ...tenant, connection_params, token_url: 'https://{tenant}.acme.test/t' }))).toEqual([]);
  });

  test('is allowed in revocations, and in the API’s URL and headers', () => {
    const params = { tenant: '{tenant}' };
    const api = { api_base_url: 'https://{tenant}.acme.test', api_headers: { 'x-tenant': '{tenant}' } };
    expect(inMode(codeMode({ ...tenant, ...api, refresh: { params } }))).toEqual([]);
    const revocation = { style: 'request', url: 'https://acme.test/gone', fields: params, headers: params };
    expect(inMode(codeMode({ ...tenant, revocation }))).toEqual([]);
  });
});

describe('dpop', () => {
  const on = (more: object) => inMode(codeMode({ dpop: 'true', ...more }));
  const bound = (field: object) =>
    inMode(codeMode({ dpop: '{bound}', params: { bound: { title: 'bound', ...field } } }));

  test('is true, false, or a parameter whose options stand for them', () => {
    expect(on({})).toEqual([]);
    expect(bound({ options: { yes: 'true', no: 'false' } })).toEqual([]);
    const fault = 'auth[0].dpop: {bound} must have options that stand for true and false';
    expect(bound({ options: { true: 'yes', false: 'no' } })).toEqual([fault]);
    expect(bound({ pattern: 'true|false' })).toEqual([fault]);
    expect(inMode(codeMode({ dpop: 'yes' }))).toEqual(['auth[0].dpop: true, false, or a {parameter}']);
  });

  test.each([
    ['token_request.method', { token_request: { method: 'GET' } }],
    ['refresh.method', { refresh: { method: 'GET' } }],
    ['refresh.url', { refresh: { url: tokenUrl } }],
    ['token_exchange', { token_exchange: { url: tokenUrl, params: {} } }],
    ['lookups', { lookups: [{ url: tokenUrl, capture: { me: 'id' } }] }],
  ])('is not allowed with %s', (what, more) => {
    expect(on(more)).toEqual([`auth[0].${what}: not allowed with dpop, since that request has no proof`]);
    expect(on({ ...more, dpop: 'false' })).toEqual([]);
  });

  test('is not allowed with send', () => {
    expect(on({ send: { prefix: 'Token ' } })).toEqual([
      'auth[0].send: not allowed with dpop, since RFC 9449 says how the token is sent',
    ]);
  });
});

describe('field', () => {
  const options = { eu: 'https://eu.acme.test', us: 'https://us.acme.test' };
  const places = (field: object): [string, object][] => [
    ['params', { params: { field } }],
    ['connection_params', { connection_params: { field } }],
    ['auth[0].params', { auth: [codeMode({ params: { field } })] }],
    ['auth[0].connection_params', { auth: [codeMode({ connection_params: { field } })] }],
  ];

  test.each([
    ['a pattern', { title: 'field', pattern: 'eu|us', default: 'mars' }],
    ['a part of a pattern', { title: 'field', pattern: 'eu|us', default: 'europe' }],
    ['options', { title: 'field', options, default: 'mars' }],
    ['what an option stands for', { title: 'field', options, default: options.eu }],
  ])('with a default that does not match %s: an issue, wherever it is', (_, field) => {
    for (const [at, more] of places(field))
      expect(faultsOf(more)).toEqual([`${at}.field.default: is not a valid value of it`]);
    for (const [, more] of places({ ...field, default: 'eu' })) expect(faultsOf(more)).toEqual([]);
  });

  test.each([
    ['both a pattern and options', { title: 'field', pattern: 'eu', options }],
    ['neither a pattern nor options', { title: 'field' }],
  ])('with %s: an issue', (_, field) => {
    for (const [at, more] of places(field))
      expect(faultsOf(more)).toEqual([`${at}.field: needs either a pattern or options`]);
  });

  test('with an invalid pattern: an issue', () => {
    for (const pattern of ['(', '[a', 'a)|(b', '\\p'])
      expect(faultsOf({ params: { field: { title: 'field', pattern } } })).toEqual([
        'params.field.pattern: not a regular expression',
      ]);
  });

  test('is not allowed for both the integration and the connection', () => {
    const fault = 'connection_params.field: is a parameter of the integration too';
    const field = subdomain;
    expect(faultsOf({ params: { field }, connection_params: { field } })).toEqual([fault]);
    expect(faultsOf({ params: { field }, auth: [codeMode({ connection_params: { field } })] })).toEqual([fault]);
    expect(faultsOf({ connection_params: { field }, auth: [codeMode({ params: { field } })] })).toEqual([fault]);
  });
});

describe('modes of an entry', () => {
  const twice = (name: string) => `auth: "${name}" is listed twice; give one a variant`;

  test('have unique names', () => {
    expect(faultsOf({ auth: [codeMode(), codeMode()] })).toEqual([twice('oauth2_code')]);
    expect(faultsOf({ auth: [codeMode({ variant: 'bot' }), codeMode(), codeMode({ variant: 'bot' })] })).toEqual([
      twice('bot'),
    ]);
    expect(faultsOf({ auth: [{ mode: 'api_key' }, codeMode({ variant: 'api_key' })] })).toEqual([twice('api_key')]);
    expect(faultsOf({ auth: [codeMode(), codeMode({ variant: 'bot' }), { mode: 'api_key' }] })).toEqual([]);
  });

  test('have their required endpoints', () => {
    const { token_url: _, ...without } = codeMode();
    expect(inMode(without)).toEqual([
      'auth[0]: authorization_url and token_url are required without an issuer or a protected_resource',
    ]);
    expect(inMode({ mode: 'jwt_bearer' })).toEqual(['auth[0]: token_url is required']);
    const client = { mode: 'oauth2_client_credentials' };
    expect(inMode(client)).toEqual(['auth[0]: token_url is required without an issuer']);
    expect(inMode({ ...client, issuer: 'https://acme.test' })).toEqual([]);
  });

  test('have plain http URLs only at loopback', () => {
    for (const url of ['http://acme.test/t', 'http://127.0.0.1.acme.test/t', 'ftp://acme.test/t', '//acme.test/t'])
      expect(inMode(codeMode({ token_url: url })), url).toHaveLength(1);
    for (const url of ['http://127.0.0.1:4000/t', 'http://localhost/t', 'http://[::1]:4000/t'])
      expect(inMode(codeMode({ token_url: url })), url).toEqual([]);
  });
});

describe('what confirms the callback', () => {
  const confirm = { path: '/tenants/{tenant}', denied: [403], if_denied: 'fail', otherwise: 'drop' };
  const base = { api_base_url: 'https://api.acme.test/{region}', params: { region: subdomain } };
  const issues = (callback: object, more: object = {}, mode: object = {}) =>
    faultsOf({
      ...{ captured_patterns: { tenant: '[a-z]+', place: '[a-z]+' }, ...base, ...more },
      auth: [codeMode({ callback: { capture: { tenant: 'tenant', place: 'place' }, ...callback }, ...mode })],
    });

  test('is accepted with params and values of the callback in its path', () => {
    expect(issues({ confirm })).toEqual([]);
    expect(issues({ confirm: { ...confirm, path: '/{region}?tenant={tenant}' } })).toEqual([]);
    expect(issues({ confirm }, { api_base_url: 'https://api.acme.test/{tenant}' })).toEqual([]);
  });

  test.each(['https://{place}.acme.test', 'https://acme.test:{place}/v1', '{place}/v1'])(
    'is refused with one in the host: %s',
    (url) => {
      expect(issues({ confirm }, { api_base_url: url })).toEqual([
        'auth[0].callback.confirm: {place} of the callback is in the host that the token is sent to',
      ]);
    },
  );

  test('is refused where it cannot be asked, or asks for nothing', () => {
    const at = 'auth[0].callback.confirm';
    expect(issues({ confirm }, { api_base_url: undefined })).toEqual([`${at}.path: this mode has no api_base_url`]);
    expect(issues({ confirm: { ...confirm, path: '/me' } })).toEqual([
      `${at}.path: names nothing that the callback says`,
    ]);
    expect(issues({ confirm: { ...confirm, path: '/{tenant}/{nobody}' } })).toEqual([
      `${at}.path: {nobody} is not among its params`,
    ]);
    const site = { token_answer: { capture: { site: 'site' } } };
    expect(issues({ confirm }, { api_base_url: 'https://acme.test/{site}' }, site)).toEqual([
      `${at}.path: {site} of the API's base URL is not said by the callback`,
    ]);
    expect(issues({ confirm: { ...confirm, headers: { a: '{client_secret}' } } })).toHaveLength(1);
    expect(issues({ confirm }, {}, { dpop: 'true' })).toEqual([
      `${at}: not allowed with dpop, since that request has no proof`,
    ]);
  });

  test('needs a pattern for what it names, and comes too late for a connection_param', () => {
    const at = 'auth[0].callback.confirm';
    expect(issues({ confirm }, { captured_patterns: {} })).toEqual([
      `${at}.path: {tenant} needs a pattern in captured_patterns`,
    ]);
    expect(issues({ confirm }, { connection_params: { place: subdomain } })).toEqual([
      `${at}: place is a connection_param, with which the code was exchanged before`,
    ]);
  });
});

test('the catalogue matches no webhooks, and tells no account, by what a browser alone says', () => {
  const unproved = [...providersOf(loadCatalogue([])).values()].flatMap((provider) => {
    const locators = Object.values(provider.webhooks).flatMap(({ connection, deauthorization, hold }) => [
      ...connection,
      ...[...deauthorization, ...hold].flatMap((one) => one.connection ?? []),
    ]);
    const matched = locators.map(({ match }) => match.replace(/^captured\./, ''));
    return provider.auth.filter(isCode).flatMap(({ callback, account }) => {
      const { capture, confirm, hmac } = callback;
      const confirmed = hmac ? Object.keys(capture) : placeholders(confirm?.path ?? '');
      const used = [...matched, ...(account?.id ?? []).flatMap(placeholders)];
      return Object.keys(capture).filter((name) => used.includes(name) && !confirmed.includes(name));
    });
  });
  expect(unproved).toEqual([]);
});
