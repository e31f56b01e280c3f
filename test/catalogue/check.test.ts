// What is wrong with a catalogue entry, told by file and field: names that nothing fills, above all.
import { describe, expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { code, entry, folderOf, issuesOf } from '../support/entries.ts';

/** Of one entry, without the file's name. */
const faultsOf = (more: object): string[] =>
  issuesOf(loadCatalogue([folderOf({ 'acme.json': entry('acme', more) })])).map((issue) =>
    issue.replace(/^acme\.json: /, ''),
  );
const inMode = (auth: object): string[] => faultsOf({ auth: [auth] });

const subdomain = { title: 'subdomain', pattern: '[a-z]+' };
const tokenUrl = 'https://acme.test/t';
const client = (more: object) => ({ mode: 'oauth2_client_credentials', token_url: tokenUrl, ...more });
const bearer = (more: object) => ({ mode: 'jwt_bearer', token_url: tokenUrl, ...more });
const vendor = (more: object) =>
  code({ revocation: { style: 'request', url: 'https://acme.test/gone', body: 'json', ...more } });
const lookup = (more: object) => code({ lookups: [{ url: 'https://acme.test/me', capture: { me: 'id' }, ...more }] });
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

describe('a name that nothing fills is told', () => {
  const places: [path: string, auth: { mode: string; [more: string]: unknown }][] = [
    ['issuer', { mode: 'oidc', issuer: URL_OF }],
    ['authorization_url', code({ authorization_url: URL_OF })],
    ['pushed_authorization_request_url', code({ pushed_authorization_request_url: URL_OF })],
    ['token_url', code({ token_url: URL_OF })],
    ['revocation_url', code({ revocation_url: URL_OF })],
    ['userinfo_url', code({ userinfo_url: URL_OF })],
    ['api_base_url', code({ api_base_url: URL_OF })],
    ['api_headers.x-team', code({ api_headers: { 'x-team': TEXT } })],
    ['authorization_params.audience', code({ authorization_params: { audience: TEXT } })],
    ['callback.match.shop', code({ callback: { match: { shop: TEXT } } })],
    ['token_request.params.audience', code({ token_request: { params: { audience: TEXT } } })],
    ['token_request.headers.x-team', code({ token_request: { headers: { 'x-team': TEXT } } })],
    ['token_answer.expires.otherwise', code({ token_answer: { expires: { otherwise: '{nobody}' } } })],
    ['client_assertion.audience', code({ client_assertion: { audience: TEXT } })],
    ['refresh.url', code({ refresh: { url: URL_OF } })],
    ['refresh.params.audience', code({ refresh: { params: { audience: TEXT } } })],
    ['token_exchange.url', code({ token_exchange: { url: URL_OF, params: {} } })],
    ['token_exchange.params.t', code({ token_exchange: { url: tokenUrl, params: { t: TEXT } } })],
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
    ['dpop', code({ dpop: '{nobody}' })],
    ['dpop', client({ dpop: '{nobody}' })],
  ];
  test.each(places.map(([path, auth]) => [path, auth.mode, auth]))('in %s of %s', (path, _, auth) => {
    expect(inMode(auth)).toEqual([`auth[0].${path}: {nobody} is not among its params`]);
  });

  test('in what holds for every mode, and by each mode that lacks it', () => {
    const auth = [code(), { mode: 'api_key', params: { nobody: subdomain } }];
    expect(faultsOf({ auth, api_base_url: URL_OF, api_headers: { team: TEXT } })).toEqual([
      'auth[0].api_base_url: {nobody} is not among its params',
      'auth[0].api_headers.team: {nobody} is not among its params',
    ]);
  });

  test('also where another place could fill it: tokens and secrets go only where they are known', () => {
    const asked = {
      authorization_url: 'https://acme.test/{access_token}',
      token_url: 'https://acme.test/{client_secret}',
    };
    expect(inMode(code(asked))).toEqual([
      'auth[0].token_url: {client_secret} is not among its params',
      'auth[0].authorization_url: {access_token} is not among its params',
    ]);
    expect(inMode(code({ authorization_params: { a: '{client_secret}' } }))).toHaveLength(1);
    expect(inMode(code({ api_headers: { a: '{client_secret}' } }))).toHaveLength(1);
    expect(inMode(vendor({ url: 'https://acme.test/{client_secret}' }))).toHaveLength(1);
    expect(
      inMode(client({ credentials: { key: { title: 'key' } }, token_url: 'https://acme.test/{key}' })),
    ).toHaveLength(1);
  });
});

describe('a name is filled', () => {
  test('by params of the entry or the mode, asked of the integration or the connection, and by the client’s id', () => {
    const url = 'https://{a}.{b}.{c}.{d}.acme.test/{client_id}';
    const auth = [code({ token_url: url, params: { b: subdomain }, connection_params: { d: subdomain } })];
    expect(faultsOf({ auth, params: { a: subdomain }, connection_params: { c: subdomain } })).toEqual([]);
  });

  test('in requests by tokens, the client’s secret, scopes and the redirect URI', () => {
    const all = '{access_token}{refresh_token}{client_secret}{key_id}';
    expect(inMode(code({ refresh: { params: { all: `${all}{scopes}{redirect_uri}` } } }))).toEqual([]);
    expect(inMode(vendor({ url: 'https://acme.test/{access_token}/{refresh_token}', fields: { all } }))).toEqual([]);
  });

  test('in assertions by what was imported and by what signing knows', () => {
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
    expect(inMode(code({ client_assertion: { audience: '{token_url}' } }))).toEqual([]);
  });

  test('in what is served by what was imported', () => {
    const credentials = { token: { title: 'token' } };
    expect(inMode({ mode: 'api_key', credentials, value: '{client_id}/{token}' })).toEqual([]);
    expect(inMode({ mode: 'basic', credentials, username: '{token}', password: 'x' })).toEqual([]);
  });
});

describe('what a provider says of itself', () => {
  const tenant = { token_answer: { capture: { tenant: 'tenant.id' } } };
  const told = (path: string) =>
    `auth[0].${path}: {tenant} is captured: only a connection_param of that name, with a pattern, may be in a URL`;

  test.each([
    ['the token answer', tenant],
    ['the callback', { callback: { capture: { tenant: 'realm' } } }],
    ['a lookup', { lookups: [{ url: 'https://acme.test/me', capture: { tenant: 'id' } }] }],
  ])('in %s does not decide where requests go', (_, captured) => {
    const url = 'https://{tenant}.acme.test/x';
    expect(inMode(code({ ...captured, token_url: url }))).toEqual([told('token_url')]);
    expect(inMode(code({ ...captured, refresh: { url } }))).toEqual([told('refresh.url')]);
    const revocation = { style: 'request', url };
    expect(inMode(code({ ...captured, revocation }))).toEqual([told('revocation.url')]);
  });

  test('does, as a connection’s param of that name, which has a pattern', () => {
    const connection_params = { tenant: subdomain };
    expect(inMode(code({ ...tenant, connection_params, token_url: 'https://{tenant}.acme.test/t' }))).toEqual([]);
  });

  test('is sent back to it, and told to callers with its API', () => {
    const params = { tenant: '{tenant}' };
    const api = { api_base_url: 'https://{tenant}.acme.test', api_headers: { 'x-tenant': '{tenant}' } };
    expect(inMode(code({ ...tenant, ...api, refresh: { params } }))).toEqual([]);
    const revocation = { style: 'request', url: 'https://acme.test/gone', fields: params, headers: params };
    expect(inMode(code({ ...tenant, revocation }))).toEqual([]);
  });
});

describe('proofs of a key', () => {
  const on = (more: object) => inMode(code({ dpop: 'true', ...more }));
  const bound = (field: object) => inMode(code({ dpop: '{bound}', params: { bound: { title: 'bound', ...field } } }));

  test('are on, off, or as a parameter says whose options stand for that', () => {
    expect(on({})).toEqual([]);
    expect(bound({ options: { yes: 'true', no: 'false' } })).toEqual([]);
    const fault = 'auth[0].dpop: {bound} must have options that stand for true and false';
    expect(bound({ options: { true: 'yes', false: 'no' } })).toEqual([fault]);
    expect(bound({ pattern: 'true|false' })).toEqual([fault]);
    expect(inMode(code({ dpop: 'yes' }))).toEqual(['auth[0].dpop: true, false, or a {parameter}']);
  });

  test.each([
    ['token_request.method', { token_request: { method: 'GET' } }],
    ['refresh.method', { refresh: { method: 'GET' } }],
    ['refresh.url', { refresh: { url: tokenUrl } }],
    ['token_exchange', { token_exchange: { url: tokenUrl, params: {} } }],
    ['lookups', { lookups: [{ url: tokenUrl, capture: { me: 'id' } }] }],
  ])('are not for %s', (what, more) => {
    expect(on(more)).toEqual([`auth[0].${what}: is asked without a proof, and cannot be together with dpop`]);
    expect(on({ ...more, dpop: 'false' })).toEqual([]);
  });

  test('leave no choice in how the token is sent', () => {
    expect(on({ send: { prefix: 'Token ' } })).toEqual(['auth[0].send: with dpop, it goes as RFC 9449 says']);
  });
});

describe('a field', () => {
  const options = { eu: 'https://eu.acme.test', us: 'https://us.acme.test' };
  const places = (field: object): [string, object][] => [
    ['params', { params: { field } }],
    ['connection_params', { connection_params: { field } }],
    ['auth[0].params', { auth: [code({ params: { field } })] }],
    ['auth[0].connection_params', { auth: [code({ connection_params: { field } })] }],
  ];

  test.each([
    ['a pattern', { title: 'field', pattern: 'eu|us', default: 'mars' }],
    ['a part of a pattern', { title: 'field', pattern: 'eu|us', default: 'europe' }],
    ['options', { title: 'field', options, default: 'mars' }],
    ['what an option stands for', { title: 'field', options, default: options.eu }],
  ])('whose default does not fit %s is told, wherever it stands', (_, field) => {
    for (const [at, more] of places(field))
      expect(faultsOf(more)).toEqual([`${at}.field.default: is not a valid value of it`]);
    for (const [, more] of places({ ...field, default: 'eu' })) expect(faultsOf(more)).toEqual([]);
  });

  test.each([
    ['both a pattern and options', { title: 'field', pattern: 'eu', options }],
    ['neither a pattern nor options', { title: 'field' }],
  ])('with %s is told', (_, field) => {
    for (const [at, more] of places(field))
      expect(faultsOf(more)).toEqual([`${at}.field: needs either a pattern or options`]);
  });

  test('with a pattern that is none is told', () => {
    for (const pattern of ['(', '[a', 'a)|(b', '\\p'])
      expect(faultsOf({ params: { field: { title: 'field', pattern } } })).toEqual([
        'params.field.pattern: not a regular expression',
      ]);
  });

  test('cannot be asked of the integration and of each connection', () => {
    const fault = 'connection_params.field: is a parameter of the integration too';
    const field = subdomain;
    expect(faultsOf({ params: { field }, connection_params: { field } })).toEqual([fault]);
    expect(faultsOf({ params: { field }, auth: [code({ connection_params: { field } })] })).toEqual([fault]);
    expect(faultsOf({ connection_params: { field }, auth: [code({ params: { field } })] })).toEqual([fault]);
  });
});

describe('the modes of an entry', () => {
  const twice = (name: string) => `auth: "${name}" is there twice; give it a variant`;

  test('have a name each', () => {
    expect(faultsOf({ auth: [code(), code()] })).toEqual([twice('oauth2_code')]);
    expect(faultsOf({ auth: [code({ variant: 'bot' }), code(), code({ variant: 'bot' })] })).toEqual([twice('bot')]);
    expect(faultsOf({ auth: [{ mode: 'api_key' }, code({ variant: 'api_key' })] })).toEqual([twice('api_key')]);
    expect(faultsOf({ auth: [code(), code({ variant: 'bot' }), { mode: 'api_key' }] })).toEqual([]);
  });

  test('have the endpoints that they need', () => {
    const { token_url: _, ...without } = code();
    expect(inMode(without)).toEqual(['auth[0]: authorization_url and token_url are required without an issuer']);
    expect(inMode({ mode: 'jwt_bearer' })).toEqual(['auth[0]: token_url is required']);
    const client = { mode: 'oauth2_client_credentials' };
    expect(inMode(client)).toEqual(['auth[0]: token_url is required without an issuer']);
    expect(inMode({ ...client, issuer: 'https://acme.test' })).toEqual([]);
  });

  test('go nowhere over plain http but to loopback', () => {
    for (const url of ['http://acme.test/t', 'http://127.0.0.1.acme.test/t', 'ftp://acme.test/t', '//acme.test/t'])
      expect(inMode(code({ token_url: url })), url).toHaveLength(1);
    for (const url of ['http://127.0.0.1:4000/t', 'http://localhost/t', 'http://[::1]:4000/t'])
      expect(inMode(code({ token_url: url })), url).toEqual([]);
  });
});
