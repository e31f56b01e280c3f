// What the schema of an entry cannot say: names that must agree with each other.

import { type AuthMode, capturesOf, credentialsOf, isCode, nameOf } from '../domain/auth-modes.ts';
import { type CredentialField, holes, isValid, type Params, type Values } from '../domain/fields.ts';
import { apiOf, type Provider } from '../domain/provider.ts';

/** Filled in when a request is made. */
const TOKENS = ['access_token', 'refresh_token'];
const CLIENT = ['client_secret', 'key_id'];
const ASKED = ['scopes', 'redirect_uri'];
const SIGNING = ['key_fingerprint', 'now', 'scopes', 'token_url', 'key_id'];

/** In words, each with its field. */
export function faults(provider: Provider, name: string): string[] {
  const names = provider.auth.map(nameOf);
  return [
    ...(provider.id === name ? [] : [`id: "${provider.id}" must be the file's name, "${name}"`]),
    ...names.filter((n, i) => names.indexOf(n) !== i).map((n) => `auth: "${n}" is there twice; give it a variant`),
    ...defaults('params', provider.params),
    ...defaults('connection_params', provider.connection_params),
    ...provider.auth.flatMap((auth, i) => modeFaults(provider, auth, `auth[${i}]`)),
  ];
}

const defaults = (at: string, fields: Params): string[] =>
  Object.entries(fields)
    .filter(([, field]) => field.default !== undefined && !isValid(field, field.default))
    .map(([name]) => `${at}.${name}.default: is not a valid value of it`);

function modeFaults(provider: Provider, auth: AuthMode, at: string): string[] {
  const integration = { ...provider.params, ...auth.params };
  const connection = { ...provider.connection_params, ...auth.connection_params };
  const guarded = new Set([...Object.keys(integration), ...Object.keys(connection), 'client_id']);
  const captured = capturesOf(auth);
  const credentials = namesOf(credentialsOf(auth));
  const api = apiOf(provider, auth);
  const unknown = ([path, template, more]: Use): string[] =>
    holes(template ?? '')
      .filter((hole) => !guarded.has(hole) && !more.includes(hole))
      .map((hole) =>
        captured.includes(hole)
          ? `${path}: {${hole}} is captured: only a connection_param of that name, with a pattern, may be in a URL`
          : `${path}: {${hole}} is not among its params`,
      );
  return [
    ...Object.keys(integration)
      .filter((param) => Object.hasOwn(connection, param))
      .map((param) => `connection_params.${param}: is a parameter of the integration too`),
    ...defaults(`${at}.params`, auth.params),
    ...defaults(`${at}.connection_params`, auth.connection_params),
    ...uses(auth, at, captured, credentials).flatMap(unknown),
    ...selfMatches(auth, at),
    ...dpopFaults(auth, at, { ...integration, ...connection }),
    ...unknown([`${at}.api_base_url`, api.base, captured]),
    ...texts(`${at}.api_headers`, api.headers, captured).flatMap(unknown),
  ];
}

/** Proofs name the token endpoint and POST (RFC 9449 4.2), and nothing else is asked with one. */
function dpopFaults(auth: AuthMode, at: string, fields: Params): string[] {
  if (!('dpop' in auth) || auth.dpop === 'false') return [];
  const [name = ''] = holes(auth.dpop);
  const options = Object.values(fields[name]?.options ?? {});
  const wrong =
    fields[name] !== undefined && !(options.length > 0 && options.every((o) => o === 'true' || o === 'false'));
  const code = isCode(auth) ? auth : undefined;
  const elsewhere = {
    'token_request.method': auth.token_request.method !== 'POST',
    'refresh.method': code?.refresh.method === 'GET',
    'refresh.url': code?.refresh.url !== undefined,
    token_exchange: code?.token_exchange !== undefined,
    lookups: code !== undefined && code.lookups.length > 0,
  };
  return [
    ...(auth.send ? [`${at}.send: with dpop, it goes as RFC 9449 says`] : []),
    ...(wrong ? [`${at}.dpop: {${name}} must have options that stand for true and false`] : []),
    ...Object.entries(elsewhere).flatMap(([what, is]) =>
      is ? [`${at}.${what}: is asked without a proof, and cannot be together with dpop`] : [],
    ),
  ];
}

/** A callback that is compared with what it has itself brought matches always. */
const selfMatches = (auth: AuthMode, at: string): string[] =>
  isCode(auth)
    ? Object.entries(auth.callback.match).flatMap(([param, template]) =>
        holes(template).some((name) => Object.hasOwn(auth.callback.capture, name))
          ? [`${at}.callback.match.${param}: is compared with what the callback itself brings`]
          : [],
      )
    : [];

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const namesOf = (fields: Record<string, CredentialField>): string[] =>
  Object.entries(fields).flatMap(([name, { members }]) => [name, ...members]);

/** A template, where it stands, and what it may name besides params. */
type Use = [path: string, template: string | undefined, more: readonly string[]];

const texts = (at: string, templates: Values, more: readonly string[]): Use[] =>
  Object.entries(templates).map(([name, template]) => [`${at}.${name}`, template, more]);

function uses(auth: AuthMode, at: string, captured: string[], credentials: string[]): Use[] {
  const urls: Use[] = [
    [`${at}.issuer`, 'issuer' in auth ? auth.issuer : undefined, []],
    [`${at}.token_url`, 'token_url' in auth ? auth.token_url : undefined, []],
    [`${at}.dpop`, 'dpop' in auth ? auth.dpop : undefined, []],
  ];
  const signing: Use[] =
    'assertion' in auth
      ? [
          ...texts(`${at}.assertion.header`, auth.assertion.header, [...SIGNING, ...credentials]),
          ...texts(`${at}.assertion.claims`, auth.assertion.claims, [...SIGNING, ...credentials]),
        ]
      : [];
  const request: Use[] =
    'token_request' in auth
      ? [
          [`${at}.client_assertion.audience`, auth.client_assertion.audience, ['token_url', 'endpoint']],
          [`${at}.token_answer.expires.otherwise`, textOf(auth.token_answer.expires.otherwise), []],
          ...texts(`${at}.token_request.params`, auth.token_request.params, [
            ...CLIENT,
            ...(isCode(auth) ? ASKED : credentials),
          ]),
          ...texts(`${at}.token_request.headers`, auth.token_request.headers, CLIENT),
        ]
      : [];
  return [...urls, ...signing, ...request, ...codeUses(auth, at, captured), ...otherUses(auth, at, credentials)];
}

function codeUses(auth: AuthMode, at: string, captured: string[]): Use[] {
  if (!isCode(auth)) return [];
  const { revocation, token_exchange: exchange } = auth;
  const withTokens = [...TOKENS, ...CLIENT, ...captured];
  return [
    [`${at}.authorization_url`, auth.authorization_url, []],
    [`${at}.pushed_authorization_request_url`, auth.pushed_authorization_request_url, []],
    [`${at}.revocation_url`, auth.revocation_url, []],
    [`${at}.userinfo_url`, auth.userinfo_url, []],
    [`${at}.refresh.url`, auth.refresh.url, []],
    [`${at}.token_exchange.url`, exchange?.url, []],
    ...texts(`${at}.authorization_params`, auth.authorization_params, []),
    ...texts(`${at}.callback.match`, auth.callback.match, []),
    ...texts(`${at}.refresh.params`, auth.refresh.params, [...withTokens, ...ASKED]),
    ...texts(`${at}.token_exchange.params`, exchange?.params ?? {}, [...CLIENT, 'access_token']),
    ...auth.lookups.flatMap((lookup, i): Use[] => [
      [`${at}.lookups[${i}].url`, lookup.url, []],
      ...texts(`${at}.lookups[${i}].headers`, lookup.headers, ['access_token', 'key_id']),
    ]),
    ...(revocation.style === 'request'
      ? ([
          [`${at}.revocation.url`, revocation.url, TOKENS],
          ...texts(`${at}.revocation.fields`, revocation.fields, withTokens),
          ...texts(`${at}.revocation.headers`, revocation.headers, withTokens),
        ] satisfies Use[])
      : []),
  ];
}

function otherUses(auth: AuthMode, at: string, credentials: string[]): Use[] {
  switch (auth.mode) {
    case 'api_key':
      return [[`${at}.value`, auth.value, credentials]];
    case 'basic':
      return [
        [`${at}.username`, auth.username, credentials],
        [`${at}.password`, auth.password, credentials],
      ];
    case 'aws_sts_assume_role':
      return [
        [`${at}.region`, auth.region, []],
        [`${at}.role_arn`, auth.role_arn, []],
        [`${at}.external_id`, auth.external_id, []],
        [`${at}.session_name`, auth.session_name, []],
      ];
    default:
      return [];
  }
}
