// Checks of an entry beyond its schema: names that must agree with each other.

import {
  type AuthMode,
  capturesOf,
  credentialFieldsOf,
  isCode,
  modeName,
  protectedResourceOf,
} from '../domain/auth-modes.ts';
import { type CredentialField, isValid, type Params, placeholders, type Values } from '../domain/fields.ts';
import { settingIssues, settingsOf } from '../domain/param-settings.ts';
import { apiOf, connectionFields, type Provider } from '../domain/provider.ts';
import { apiIssues } from './check-api.ts';
import { webhookIssues } from './check-webhooks.ts';

/** Names that are filled when a request is made. */
const TOKENS = ['access_token', 'refresh_token'];
const CLIENT = ['client_secret', 'key_id'];
const REQUEST = ['scopes', 'redirect_uri'];
const SIGNING = ['key_fingerprint', 'now', 'scopes', 'token_url', 'key_id'];

/** Issues in words, each with its field. */
export function entryIssues(provider: Provider, name: string): string[] {
  const names = provider.auth.map(modeName);
  return [
    ...(provider.id === name ? [] : [`id: "${provider.id}" must be the file's name, "${name}"`]),
    ...names.filter((n, i) => names.indexOf(n) !== i).map((n) => `auth: "${n}" is listed twice; give one a variant`),
    ...defaultIssues('params', provider.params),
    ...defaultIssues('connection_params', provider.connection_params),
    ...provider.auth.flatMap((auth, i) => modeIssues(provider, auth, `auth[${i}]`)),
    ...apiIssues(provider),
    ...webhookIssues(provider),
  ];
}

const defaultIssues = (at: string, fields: Params): string[] =>
  Object.entries(fields)
    .filter(([, field]) => field.default !== undefined && !isValid(field, field.default))
    .map(([name]) => `${at}.${name}.default: is not a valid value of it`);

function modeIssues(provider: Provider, auth: AuthMode, at: string): string[] {
  const integration = { ...provider.params, ...auth.params };
  const connection = { ...provider.connection_params, ...auth.connection_params };
  const resource = protectedResourceOf(auth);
  const checkedNames = new Set([
    ...[...Object.keys(integration), ...Object.keys(connection), 'client_id'],
    ...(resource === undefined ? [] : ['resource']),
  ]);
  const captured = capturesOf(auth);
  const credentials = namesOf(credentialFieldsOf(auth));
  const api = apiOf(provider, auth);
  const unknownPlaceholders = ([path, template, additional]: Use): string[] =>
    placeholders(template ?? '')
      .filter((placeholder) => !checkedNames.has(placeholder) && !additional.includes(placeholder))
      .map((placeholder) =>
        captured.includes(placeholder)
          ? `${path}: {${placeholder}} is captured: only a connection_param of that name, with a pattern, may be in a URL`
          : `${path}: {${placeholder}} is not among its params`,
      );
  return [
    ...Object.keys(integration)
      .filter((param) => Object.hasOwn(connection, param) && !resourceParams(auth).includes(param))
      .map((param) => `connection_params.${param}: is a parameter of the integration too`),
    ...defaultIssues(`${at}.params`, auth.params),
    ...defaultIssues(`${at}.connection_params`, auth.connection_params),
    ...uses(auth, at, captured, credentials).flatMap(unknownPlaceholders),
    ...selfMatchIssues(auth, at),
    ...confirmIssues(provider, auth, at),
    ...settingsIssues(auth, at, integration),
    ...resourceIssues(auth, at, integration),
    ...dpopIssues(auth, at, { ...integration, ...connection }),
    ...unknownPlaceholders([`${at}.api_base_url`, api.base, captured]),
    ...templateUses(`${at}.api_headers`, api.headers, captured).flatMap(unknownPlaceholders),
  ];
}

/** A field is set by a param of the integration, and each option of that param must be a value of the field. */
function settingsIssues(auth: AuthMode, at: string, fields: Params): string[] {
  if (!('settings' in auth)) return [];
  return settingsOf(auth).flatMap(([setting, param]) => {
    const path = `${at}.settings.${setting}`;
    const field = fields[param];
    if (field === undefined) return [`${path}: ${param} is not among the params of the integration`];
    const values = field.options ? Object.keys(field.options) : field.default === undefined ? [] : [field.default];
    return values.flatMap((value) =>
      settingIssues(auth, fields, { [param]: value })
        .filter((issue) => issue.path === `params.${param}`)
        .map(({ message }) => `${path}: "${value}" of ${param}: ${message}`),
    );
  });
}

/** Params that the integration gives, or each connection: which resource it is. */
const resourceParams = (auth: AuthMode): string[] => placeholders(protectedResourceOf(auth)?.url ?? '');

/** The hosts that an integration allows are a param of it. */
function resourceIssues(auth: AuthMode, at: string, fields: Params): string[] {
  const { hosts } = protectedResourceOf(auth) ?? {};
  return hosts === undefined || Object.hasOwn(fields, hosts)
    ? []
    : [`${at}.protected_resource.hosts: ${hosts} is not among the params of the integration`];
}

/** Proofs name the token endpoint and POST (RFC 9449 4.2): other requests have none. */
function dpopIssues(auth: AuthMode, at: string, fields: Params): string[] {
  if (!('dpop' in auth) || auth.dpop === 'false') return [];
  const [name = ''] = placeholders(auth.dpop);
  const options = Object.values(fields[name]?.options ?? {});
  const badParameter =
    fields[name] !== undefined && !(options.length > 0 && options.every((o) => o === 'true' || o === 'false'));
  const code = isCode(auth) ? auth : undefined;
  const unsupported = {
    'token_request.method': auth.token_request.method !== 'POST',
    'refresh.method': code?.refresh.method === 'GET',
    'refresh.url': code?.refresh.url !== undefined,
    token_exchange: code?.token_exchange !== undefined,
    'callback.confirm': code?.callback.confirm !== undefined,
    // With a parameter, they are left out where it stands for true.
    lookups: auth.dpop === 'true' && code !== undefined && code.lookups.length > 0,
  };
  return [
    ...(auth.send ? [`${at}.send: not allowed with dpop, since RFC 9449 says how the token is sent`] : []),
    ...(badParameter ? [`${at}.dpop: {${name}} must have options that stand for true and false`] : []),
    ...Object.entries(unsupported).flatMap(([what, is]) =>
      is ? [`${at}.${what}: not allowed with dpop, since that request has no proof`] : [],
    ),
  ];
}

/** A callback that is compared with its own captured values always matches. */
const selfMatchIssues = (auth: AuthMode, at: string): string[] =>
  isCode(auth)
    ? Object.entries(auth.callback.match).flatMap(([param, template]) =>
        placeholders(template).some((name) => Object.hasOwn(auth.callback.capture, name))
          ? [`${at}.callback.match.${param}: is compared with a value that the callback itself provides`]
          : [],
      )
    : [];

/** The access token goes where the catalogue says, and no browser: values of the callback are in the path and the query alone. */
function confirmIssues(provider: Provider, auth: AuthMode, at: string): string[] {
  if (!isCode(auth) || auth.callback.confirm === undefined) return [];
  const { capture, confirm } = auth.callback;
  const { base } = apiOf(provider, auth);
  if (base === undefined) return [`${at}.callback.confirm.path: this mode has no api_base_url`];
  const connection = connectionFields(provider, auth);
  const isNamed = (name: string) => Object.hasOwn(capture, name);
  const names = [...new Set(placeholders(base + confirm.path))].filter(isNamed);
  const [host = base] = /^(?:[a-z]+:\/\/)?[^/?#]*/i.exec(base) ?? [];
  return [
    ...(names.length === 0 ? [`${at}.callback.confirm.path: names nothing that the callback says`] : []),
    ...placeholders(host)
      .filter(isNamed)
      .map((name) => `${at}.callback.confirm: {${name}} of the callback is in the host that the token is sent to`),
    ...placeholders(base)
      .filter((name) => !isNamed(name) && capturesOf(auth).includes(name) && !Object.hasOwn(connection, name))
      .map((name) => `${at}.callback.confirm.path: {${name}} of the API's base URL is not said by the callback`),
    ...names
      .filter((name) => !Object.hasOwn(provider.captured_patterns, name))
      .map((name) => `${at}.callback.confirm.path: {${name}} needs a pattern in captured_patterns`),
    ...Object.keys(capture)
      .filter((name) => Object.hasOwn(connection, name))
      .map((name) => `${at}.callback.confirm: ${name} is a connection_param, with which the code was exchanged before`),
  ];
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const namesOf = (fields: Record<string, CredentialField>): string[] =>
  Object.entries(fields).flatMap(([name, { members }]) => [name, ...members]);

/** A template, its path in the entry, and the names that it may use besides params. */
type Use = [path: string, template: string | undefined, more: readonly string[]];

const templateUses = (at: string, templates: Values, additional: readonly string[]): Use[] =>
  Object.entries(templates).map(([name, template]) => [`${at}.${name}`, template, additional]);

function uses(auth: AuthMode, at: string, captured: string[], credentials: string[]): Use[] {
  const urls: Use[] = [
    [`${at}.issuer`, 'issuer' in auth ? auth.issuer : undefined, []],
    [`${at}.token_url`, 'token_url' in auth ? auth.token_url : undefined, []],
    [`${at}.dpop`, 'dpop' in auth ? auth.dpop : undefined, []],
  ];
  const signing: Use[] =
    'assertion' in auth
      ? [
          ...templateUses(`${at}.assertion.header`, auth.assertion.header, [...SIGNING, ...credentials]),
          ...templateUses(`${at}.assertion.claims`, auth.assertion.claims, [...SIGNING, ...credentials]),
        ]
      : [];
  const request: Use[] =
    'token_request' in auth
      ? [
          [`${at}.client_assertion.audience`, auth.client_assertion.audience, ['token_url', 'endpoint']],
          [`${at}.token_answer.expires.otherwise`, textOf(auth.token_answer.expires.otherwise), []],
          ...templateUses(`${at}.token_request.params`, auth.token_request.params, [
            ...CLIENT,
            ...(isCode(auth) ? REQUEST : credentials),
          ]),
          ...templateUses(`${at}.token_request.headers`, auth.token_request.headers, CLIENT),
        ]
      : [];
  return [...urls, ...signing, ...request, ...codeUses(auth, at, captured), ...otherUses(auth, at, credentials)];
}

function codeUses(auth: AuthMode, at: string, captured: string[]): Use[] {
  if (!isCode(auth)) return [];
  const { revocation, token_exchange: exchange } = auth;
  const { capture, confirm } = auth.callback;
  const withTokens = [...TOKENS, ...CLIENT, ...captured];
  return [
    [`${at}.authorization_url`, auth.authorization_url, []],
    [`${at}.protected_resource.url`, protectedResourceOf(auth)?.url, []],
    [`${at}.protected_resource.pkce`, protectedResourceOf(auth)?.pkce, []],
    [`${at}.protected_resource.issuer`, protectedResourceOf(auth)?.issuer, []],
    [`${at}.protected_resource.client_metadata_url`, protectedResourceOf(auth)?.client_metadata_url, []],
    [`${at}.pushed_authorization_request_url`, auth.pushed_authorization_request_url, []],
    [`${at}.revocation_url`, auth.revocation_url, []],
    [`${at}.revocation_ends`, auth.revocation_ends, []],
    [`${at}.userinfo_url`, auth.userinfo_url, []],
    [`${at}.refresh.url`, auth.refresh.url, []],
    [`${at}.refresh.reuse_grace`, textOf(auth.refresh.reuse_grace), []],
    [`${at}.token_exchange.url`, exchange?.url, []],
    ...templateUses(`${at}.authorization_params`, auth.authorization_params, []),
    ...templateUses(`${at}.account_hint`, auth.account_hint, ['account', 'account_id']),
    ...templateUses(`${at}.choose_account`, auth.choose_account, []),
    ...templateUses(`${at}.callback.match`, auth.callback.match, []),
    [`${at}.callback.confirm.path`, confirm?.path, Object.keys(capture)],
    ...templateUses(`${at}.callback.confirm.headers`, confirm?.headers ?? {}, ['access_token', 'key_id']),
    ...templateUses(`${at}.refresh.params`, auth.refresh.params, [...withTokens, ...REQUEST]),
    ...templateUses(`${at}.token_exchange.params`, exchange?.params ?? {}, [...CLIENT, 'access_token']),
    ...auth.lookups.flatMap((lookup, i): Use[] => [
      [`${at}.lookups[${i}].url`, lookup.url, []],
      ...templateUses(`${at}.lookups[${i}].capture`, lookup.capture, []),
      ...templateUses(`${at}.lookups[${i}].headers`, lookup.headers, ['access_token', 'key_id']),
    ]),
    ...(auth.account === undefined
      ? []
      : [
          [`${at}.account.issuer`, auth.account.issuer, []] satisfies Use,
          ...[...auth.account.id, ...auth.account.name].map((template): Use => [`${at}.account`, template, captured]),
        ]),
    ...(revocation.style === 'request'
      ? ([
          [`${at}.revocation.url`, revocation.url, TOKENS],
          ...templateUses(`${at}.revocation.fields`, revocation.fields, withTokens),
          ...templateUses(`${at}.revocation.headers`, revocation.headers, withTokens),
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
