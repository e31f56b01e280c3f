// Settings: fields of a mode that params of the integration set (`settings` of a catalogue entry), for servers that differ from
// what their entry or their metadata says. Token endpoint authentication, for one, is a property of the client (RFC 7591 2).
import { type AuthMode, isCode, type TokenMode } from './auth-modes.ts';
import { CLIENT_AUTH, PKCE, SIGNING_ALGORITHMS } from './client-auth-values.ts';
import type { Errors, SettableField } from './dialect.ts';
import type { InputIssue } from './errors.ts';
import { type Params, placeholders, type Values, valuesOf } from './fields.ts';

/** Returns the mode with the field set, or why the text is not a value of it. */
type Setter = (auth: TokenMode, text: string) => TokenMode | string;

const SETTERS: Record<SettableField, Setter> = {
  client_auth: (auth, text) => {
    const method = CLIENT_AUTH.find((known) => known === text);
    return method ? { ...auth, client_auth: [method] } : oneOf(CLIENT_AUTH);
  },
  'client_assertion.alg': (auth, text) => {
    const alg = SIGNING_ALGORITHMS.find((known) => known === text);
    return alg ? { ...auth, client_assertion: { ...auth.client_assertion, alg } } : oneOf(SIGNING_ALGORITHMS);
  },
  pkce: (auth, text) => {
    const pkce = PKCE.find((known) => known === text);
    if (!isCode(auth)) return 'not used in this mode';
    return pkce ? { ...auth, pkce } : oneOf(PKCE);
  },
  scope_separator: (auth, text) => {
    const separator = SEPARATORS.get(text);
    if (separator === undefined) return oneOf([...SEPARATORS.keys()].filter((name) => name.length > 1));
    if (separator === 'none') return { ...auth, scope_separator: separator };
    return {
      ...auth,
      scope_separator: separator,
      token_answer: { ...auth.token_answer, scope_separator: separator },
    };
  },
  authorization_params: (auth, text) => {
    if (!isCode(auth)) return 'not used in this mode';
    const more = parseParameters(text, auth.authorization_params, auth.authorization_rename);
    return typeof more === 'string'
      ? more
      : { ...auth, authorization_params: { ...auth.authorization_params, ...more } };
  },
  'token_request.params': (auth, text) => {
    const { token_request: request } = auth;
    const more = parseParameters(text, request.params, request.rename);
    if (typeof more === 'string') return more;
    return { ...auth, token_request: { ...request, params: { ...request.params, ...more } } };
  },
  'token_answer.expires': (auth, text) => {
    const { token_answer: answer } = auth;
    const found = parseExpires(text);
    if (typeof found === 'string') return found;
    const { in: paths, at, ...more } = found;
    const expires = {
      ...answer.expires,
      ...more,
      ...(paths && { in: [...paths, ...answer.expires.in] }),
      ...(at && { at: [...at, ...(answer.expires.at ?? [])] }),
    };
    return { ...auth, token_answer: { ...answer, expires } };
  },
  errors: (auth, text) => {
    const found = parseErrors(text);
    if (typeof found === 'string') return found;
    const named = new Set(Object.values(found).flat());
    const errors = Object.fromEntries(
      ERROR_KINDS.map((kind) => [kind, [...found[kind], ...auth.errors[kind].filter((code) => !named.has(code))]]),
    ) as Errors;
    return { ...auth, errors };
  },
};

const oneOf = (values: readonly string[]): string => `must be one of: ${values.join(', ')}`;

const SEPARATORS = new Map<string, TokenMode['scope_separator']>([
  ['space', ' '],
  ['comma', ','],
  ['semicolon', ';'],
  ['none', 'none'],
  [' ', ' '],
  [',', ','],
  [';', ';'],
]);

/** The mode as these values of params set it. A value that is not valid sets nothing: `settingIssues` reports it. */
export function applySettings(auth: AuthMode, values: Values): AuthMode {
  if (!('settings' in auth)) return auth;
  let applied: TokenMode = auth;
  for (const [field, param] of settingsOf(auth)) {
    const text = values[param];
    const set = text === undefined ? applied : SETTERS[field](applied, text);
    if (typeof set !== 'string') applied = set;
  }
  return applied;
}

/** What is wrong with the params that set fields of the mode. Expects params that passed `fieldIssues`. */
export function settingIssues(auth: AuthMode, fields: Params, params: Values): InputIssue[] {
  if (!('settings' in auth)) return [];
  const values = valuesOf(fields, params);
  return settingsOf(auth).flatMap(([field, param]) => {
    const text = values[param];
    const set = text === undefined ? undefined : SETTERS[field](auth, text);
    return typeof set === 'string' ? [{ path: `params.${param}`, message: set }] : [];
  });
}

export const settingsOf = (auth: TokenMode): [field: SettableField, param: string][] =>
  Object.entries(auth.settings) as [SettableField, string][];

/** What the protocol and the broker decide, in lower case: set from outside, they would break a flow or its protection. */
const PROTOCOL_PARAMETERS: ReadonlySet<string> = new Set([
  'access_token',
  'assertion',
  'client_assertion',
  'client_assertion_type',
  'client_id',
  'client_secret',
  'code',
  'code_challenge',
  'code_challenge_method',
  'code_verifier',
  'dpop_jkt',
  'grant_type',
  'nonce',
  'redirect_uri',
  'refresh_token',
  'request',
  'request_uri',
  'response_mode',
  'response_type',
  'scope',
  'state',
  'token',
  'token_type_hint',
]);

/** Additional parameters, form-encoded (`a=b&c=d`). Those that a param of their own sets are refused. */
function parseParameters(text: string, set: Values, rename: Values): Values | string {
  const pairs = parsePairs(text);
  if (typeof pairs === 'string') return pairs;
  for (const [name, value] of Object.entries(pairs)) {
    const lower = name.toLowerCase();
    if (lower === 'scope') return 'scope is set by the scopes of the integration or the connect session';
    if (PROTOCOL_PARAMETERS.has(lower) || Object.values(rename).includes(name))
      return `${name} belongs to the protocol and is set by the broker`;
    const [param] = placeholders(set[name] ?? '');
    if (param !== undefined && set[name] === `{${param}}`) return `${name} has a parameter of its own: params.${param}`;
    if (placeholders(value).length > 0) return `the value of ${name} must not have a {name} in it`;
  }
  return pairs;
}

function parsePairs(text: string): Values | string {
  if (!/^[^&=]+=[^&]*(?:&[^&=]+=[^&]*)*$/.test(text)) return 'must be name=value pairs, form-encoded, joined by &';
  const pairs = [...new URLSearchParams(text)];
  const names = pairs.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) return `has ${twice} twice`;
  if (pairs.some((pair) => pair.some((part) => /\p{Cc}/u.test(part)))) return 'must not have control characters';
  return Object.fromEntries(pairs);
}

type Expires = { in?: string[]; at?: string[]; jwt?: boolean; otherwise?: number };

const PATHS = /^[^.\s,]+(?:\.[^.\s,]+)*(?:,[^.\s,]+(?:\.[^.\s,]+)*)*$/;

/** Seconds, or pairs: `in` and `at` with paths in the response, `jwt=true`, `otherwise` with seconds. */
function parseExpires(text: string): Expires | string {
  const seconds = /^[1-9]\d{0,8}$/;
  if (seconds.test(text)) return { otherwise: Number(text) };
  const pairs = parsePairs(text);
  if (typeof pairs === 'string') return 'must be seconds, or pairs such as in=data.expires_in&otherwise=3600';
  const expires: Expires = {};
  for (const [name, value] of Object.entries(pairs)) {
    if ((name === 'in' || name === 'at') && PATHS.test(value)) expires[name] = value.split(',');
    else if (name === 'jwt' && (value === 'true' || value === 'false')) expires.jwt = value === 'true';
    else if (name === 'otherwise' && seconds.test(value)) expires.otherwise = Number(value);
    else
      return `${name}: takes in and at with a path in the token response, jwt with true or false, otherwise with seconds`;
  }
  return expires;
}

const ERROR_KINDS = ['grant_dead', 'transient', 'misconfigured', 'cancelled'] as const;

/** Pairs of a kind and its codes, in the form of the catalogue: `grant_dead=token_gone,expired&transient=busy`. */
function parseErrors(text: string): Errors | string {
  const pairs = parsePairs(text);
  if (typeof pairs === 'string') return `${pairs}: grant_dead=code,code&transient=code`;
  const found: Errors = { grant_dead: [], transient: [], misconfigured: [], cancelled: [] };
  for (const [kind, codes] of Object.entries(pairs)) {
    const known = ERROR_KINDS.find((one) => one === kind);
    if (!known) return `${kind}: ${oneOf(ERROR_KINDS)}`;
    found[known] = codes.split(',').map((code) => code.toLowerCase().replace(/[^a-z0-9_]+/g, '_'));
    if (found[known].some((code) => !/[a-z0-9]/.test(code))) return `${kind}: has an empty code`;
  }
  const all = Object.values(found).flat();
  const twice = all.find((code, i) => all.indexOf(code) !== i);
  return twice === undefined ? found : `${twice} is listed twice`;
}
