// A catalogue entry in words, for whoever sets it up.

import { type AuthMode, capturesOf, credentialsOf, isCode, isStatic, nameOf, sendOf } from '../domain/auth-modes.ts';
import { type CredentialField, holes, type ParamField } from '../domain/fields.ts';
import { apiOf, type Provider } from '../domain/provider.ts';

/** Lines of at most one thought each. */
export function explain(provider: Provider): string[] {
  const several = provider.auth.length > 1;
  return [
    `${provider.name} (${provider.id}), ${provider.category}, ${provider.confidence}`,
    `Documentation: ${provider.docs_url}`,
    ...(provider.extends ? [`Stands on the entry ${provider.extends}.`] : []),
    ...provider.notes.map((note) => `- ${note}`),
    ...listed('Not certain', provider.uncertain),
    ...fields('The integration gives, as params', provider.params),
    ...fields('Each connection gives, as params', provider.connection_params),
    ...provider.auth.flatMap((auth, i) => [
      '',
      several
        ? `Mode ${nameOf(auth)}${i === 0 ? ' (unless params.mode names another)' : ''}${auth.title ? `: ${auth.title}` : ''}`
        : `Mode ${nameOf(auth)}${auth.title ? `: ${auth.title}` : ''}`,
      ...explainMode(provider, auth).map((line) => `  ${line}`),
    ]),
  ];
}

function explainMode(provider: Provider, auth: AuthMode): string[] {
  const api = apiOf(provider, auth);
  return [
    ...auth.notes.map((note) => `- ${note}`),
    ...fields('The integration also gives, as params', auth.params),
    ...fields('Each connection also gives, as params', auth.connection_params),
    connectFlow(auth),
    ...fields('An import gives, as credentials', credentialsOf(auth)),
    ...('client_auth' in auth && auth.client_auth
      ? [`The client authenticates with ${auth.client_auth.join(' or ')}.`]
      : []),
    ...('default_scopes' in auth ? [scopes(auth)] : []),
    renewing(auth),
    ...(isCode(auth) ? [ending(auth)] : []),
    `The token is sent ${sending(auth)}.`,
    ...binding(auth),
    ...listed('Captured on the connection', capturesOf(auth)),
    ...(api.base ? [`Its API: ${api.base}`] : []),
    ...listed(
      'Its requests also need',
      Object.entries(api.headers).map(([name, value]) => `${name}: ${value}`),
    ),
  ];
}

function connectFlow(auth: AuthMode): string {
  if (!isCode(auth)) return `Connected by POST /v1/connections${isStatic(auth) ? '; served as it is' : ''}.`;
  const where =
    auth.mode === 'oidc' ? `an OpenID Provider, found by discovery at ${auth.issuer}` : auth.authorization_url;
  return `Connected in a browser, at ${where}${auth.pkce === 'none' ? ', without PKCE, which it does not take' : ''}.`;
}

function scopes(auth: Extract<AuthMode, { default_scopes: string[] }>): string {
  if (auth.scope_separator === 'none') return 'It knows no scopes: rights are set where the client is registered.';
  return auth.default_scopes.length > 0
    ? `Scopes asked for unless others are named: ${auth.default_scopes.join(' ')}`
    : 'Asks for no scopes unless some are named.';
}

/** Also the table's column. */
export function renewing(auth: AuthMode): string {
  if (isStatic(auth)) return 'Never expires here.';
  if (!isCode(auth)) return 'Made anew before it expires.';
  const { supported, spends, rotates, idle_lifetime: idle, absolute_lifetime: end } = auth.refresh;
  if (!supported) return 'Not refreshable: when the token ends, the owner connects again.';
  const how =
    spends === 'access_token'
      ? 'The access token renews itself'
      : {
          never: 'The refresh token stays the same',
          always: 'Each refresh brings a new refresh token',
          sometimes: 'A refresh may bring a new refresh token',
          unknown: 'Refreshed; whether the refresh token changes is not known',
        }[rotates];
  return [
    how,
    ...(idle === undefined ? [] : [`dies when unused for ${duration(idle)}`]),
    ...(end === undefined ? [] : [`ends ${duration(end)} after the consent`]),
  ]
    .join('; ')
    .concat('.');
}

const ending = (auth: Extract<AuthMode, { revocation: unknown }>): string =>
  ({
    rfc7009:
      auth.mode === 'oidc' || auth.revocation_url ? 'Revoked upstream (RFC 7009).' : 'Cannot be revoked upstream.',
    request: "Revoked upstream, by the vendor's own request.",
    none: 'Cannot be revoked upstream.',
  })[auth.revocation.style];

function binding(auth: AuthMode): string[] {
  if (!('dpop' in auth) || auth.dpop === 'false') return [];
  const bound = 'is bound to a key (DPoP), and every request needs a proof, from POST /v1/connections/{id}/dpop-proof';
  const [name] = holes(auth.dpop);
  return [name === undefined ? `It ${bound}.` : `Where params.${name} says so, it ${bound}.`];
}

function sending(auth: AuthMode): string {
  const { in: place, name, prefix } = sendOf(auth);
  switch (place) {
    case 'header':
      return `in the header ${name}: ${prefix}…`;
    case 'query':
      return `in the query, as ${name === '' ? 'it is' : name}`;
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

const listed = (what: string, items: readonly string[]): string[] =>
  items.length === 0 ? [] : [`${what}: ${items.join(', ')}`];

function fields(what: string, asked: Record<string, ParamField | CredentialField>): string[] {
  const lines = Object.entries(asked).map(([name, field]) => {
    const choice = 'options' in field && field.options ? `one of ${Object.keys(field.options).join(', ')}` : '';
    const usual = 'default' in field && field.default !== undefined ? `${field.default} unless given` : '';
    const example = 'example' in field && field.example ? `such as ${field.example}` : '';
    const more = [choice, usual, example, field.optional ? 'optional' : ''].filter((part) => part !== '');
    return `  ${name}: ${field.title}${more.length > 0 ? ` (${more.join('; ')})` : ''}`;
  });
  return lines.length === 0 ? [] : [`${what}:`, ...lines];
}
