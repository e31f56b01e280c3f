// Explains a catalogue entry in words, for people who set up an integration.

import {
  type AuthMode,
  capturesOf,
  credentialFieldsOf,
  isCode,
  isStatic,
  modeName,
  protectedResourceOf,
  sendOf,
} from '../domain/auth-modes.ts';
import { type CredentialField, type ParamField, placeholders } from '../domain/fields.ts';
import { apiOf, type Provider } from '../domain/provider.ts';
import { explainApi } from './explain-api.ts';
import { explainWebhooks } from './explain-webhooks.ts';

/** One line per fact. */
export function explain(provider: Provider): string[] {
  const multipleModes = provider.auth.length > 1;
  return [
    `${provider.name} (${provider.id}), ${provider.category}, ${provider.confidence}`,
    `Documentation: ${provider.docs_url}`,
    ...(provider.extends ? [`Extends the entry ${provider.extends}.`] : []),
    ...provider.notes.map((note) => `- ${note}`),
    ...listLine('Not certain', provider.uncertain),
    ...fieldLines('Integration params', provider.params),
    ...fieldLines('Connection params', provider.connection_params),
    ...provider.auth.flatMap((auth, i) => [
      '',
      multipleModes
        ? `Mode ${modeName(auth)}${i === 0 ? ' (unless params.mode names another)' : ''}${auth.title ? `: ${auth.title}` : ''}`
        : `Mode ${modeName(auth)}${auth.title ? `: ${auth.title}` : ''}`,
      ...describeMode(provider, auth).map((line) => `  ${line}`),
    ]),
    ...explainApi(provider),
    ...explainWebhooks(provider),
  ];
}

function describeMode(provider: Provider, auth: AuthMode): string[] {
  const api = apiOf(provider, auth);
  return [
    ...auth.notes.map((note) => `- ${note}`),
    ...fieldLines('Additional integration params', auth.params),
    ...fieldLines('Additional connection params', auth.connection_params),
    describeConnect(auth),
    ...fieldLines('Import credentials', credentialFieldsOf(auth)),
    ...('client_auth' in auth && auth.client_auth
      ? [`The client authenticates with ${auth.client_auth.join(' or ')}.`]
      : []),
    ...('default_scopes' in auth ? [describeScopes(auth)] : []),
    describeRenewal(auth),
    ...(isCode(auth) ? [describeRevocation(auth)] : []),
    `The token is sent ${describeSending(auth)}.`,
    ...describeBinding(auth),
    ...listLine('Captured on the connection', capturesOf(auth)),
    ...describeConfirmation(auth),
    ...(api.base ? [`API: ${api.base}`] : []),
    ...listLine(
      'API requests also need',
      Object.entries(api.headers).map(([name, value]) => `${name}: ${value}`),
    ),
  ];
}

function describeConnect(auth: AuthMode): string {
  if (!isCode(auth)) return `Connected by POST /v1/connections${isStatic(auth) ? '; served as imported' : ''}.`;
  const where = protectedResourceOf(auth)
    ? 'the authorization server that the server names'
    : auth.mode === 'oidc'
      ? `an OpenID Provider, found by discovery at ${auth.issuer}`
      : [auth.authorization_url, ...(auth.issuer ? [`where the metadata of ${auth.issuer} says`] : [])].join(', or ');
  return `Connected in a browser, at ${where}${auth.pkce === 'none' ? ', without PKCE, which it does not support' : ''}.`;
}

function describeScopes(auth: Extract<AuthMode, { default_scopes: string[] }>): string {
  if (auth.scope_separator === 'none') return 'It has no scopes: permissions are set where the client is registered.';
  return auth.default_scopes.length > 0 ? `Default scopes: ${auth.default_scopes.join(' ')}` : 'No default scopes.';
}

/** Also a column of docs/catalogue.md. */
export function describeRenewal(auth: AuthMode): string {
  if (isStatic(auth)) return 'Never expires.';
  if (!isCode(auth)) return 'Minted again before it expires.';
  const { supported, spends, rotates, idle_lifetime: idle, absolute_lifetime: end } = auth.refresh;
  if (!supported) return 'Not refreshable: when the token expires, the owner connects again.';
  const how =
    spends === 'access_token'
      ? 'The access token is refreshed with itself'
      : {
          never: 'Refreshes keep the refresh token',
          always: 'Each refresh rotates the refresh token',
          sometimes: 'A refresh may rotate the refresh token',
          unknown: 'Refreshable; rotation of the refresh token is not documented',
        }[rotates];
  return [
    how,
    ...(idle === undefined ? [] : [`expires when unused for ${duration(idle)}`]),
    ...(end === undefined ? [] : [`expires ${duration(end)} after the consent`]),
  ]
    .join('; ')
    .concat('.');
}

const describeRevocation = (auth: Extract<AuthMode, { revocation: unknown }>): string =>
  ({
    rfc7009: protectedResourceOf(auth)
      ? 'Revoked upstream where the authorization server can (RFC 7009).'
      : auth.mode === 'oidc' || auth.revocation_url
        ? 'Revoked upstream (RFC 7009).'
        : 'Cannot be revoked upstream.',
    request: "Revoked upstream, by the vendor's own request.",
    none: 'Cannot be revoked upstream.',
  })[auth.revocation.style];

function describeConfirmation(auth: AuthMode): string[] {
  if (!isCode(auth) || auth.callback.confirm === undefined) return [];
  const { path, denied, if_denied, otherwise } = auth.callback.confirm;
  const after = { fail: 'nothing is connected', drop: 'they are dropped', keep: 'they are believed' };
  const then = `${denied.join(', ')}: ${after[if_denied]}; otherwise: ${after[otherwise]}`;
  return [`The callback's values are confirmed by GET ${path} (${then}).`];
}

function describeBinding(auth: AuthMode): string[] {
  if (!('dpop' in auth) || auth.dpop === 'false') return [];
  const bound = 'is bound to a key (DPoP), and every request needs a proof, from POST /v1/connections/{id}/dpop-proof';
  const [name] = placeholders(auth.dpop);
  return [name === undefined ? `It ${bound}.` : `If params.${name} says so, it ${bound}.`];
}

function describeSending(auth: AuthMode): string {
  const { in: place, name, prefix } = sendOf(auth);
  switch (place) {
    case 'header':
      return `in the header ${name}: ${prefix}…`;
    case 'query':
      return `in the query, as ${name === '' ? 'the whole query' : name}`;
    case 'body':
      return `in the body, as ${name}`;
    case 'signature':
      return `never: it signs requests (${name})`;
  }
}

const DAY = 86_400;
function duration(seconds: number): string {
  if (seconds >= 2 * 365 * DAY) return `${Math.round(seconds / (365 * DAY))} years`;
  if (seconds >= 2 * DAY) return `${Math.round(seconds / DAY)} days`;
  return seconds >= 7_200 ? `${Math.round(seconds / 3_600)} hours` : `${Math.round(seconds / 60)} minutes`;
}

const listLine = (what: string, items: readonly string[]): string[] =>
  items.length === 0 ? [] : [`${what}: ${items.join(', ')}`];

function fieldLines(what: string, asked: Record<string, ParamField | CredentialField>): string[] {
  const lines = Object.entries(asked).map(([name, field]) => {
    const options = 'options' in field && field.options ? `one of ${Object.keys(field.options).join(', ')}` : '';
    const fallback = 'default' in field && field.default !== undefined ? `default ${field.default}` : '';
    const example = 'example' in field && field.example ? `for example ${field.example}` : '';
    const more = [options, fallback, example, field.optional ? 'optional' : ''].filter((part) => part !== '');
    return `  ${name}: ${field.title}${more.length > 0 ? ` (${more.join('; ')})` : ''}`;
  });
  return lines.length === 0 ? [] : [`${what}:`, ...lines];
}
