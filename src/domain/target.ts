// A provider, an integration and a connection's parameters, laid over each other: where requests really go.

import { type AuthMode, isCode } from './auth-modes.ts';
import type { Connection } from './connection.ts';
import { fill, isValid, type Values, valuesOf } from './fields.ts';
import type { Integration } from './integration.ts';
import { apiOf, authMode, connectionFields, type Provider } from './provider.ts';

export interface Target<Mode extends AuthMode = AuthMode> {
  integration: string;
  /** What was derived from it (discovery, keys) may be kept while this and the integration stay the same. */
  version: number;
  auth: Mode;
  /** Null where the provider has no issuer. */
  issuer: string | null;
  endpoints: Endpoints;
  clientId: string;
  secrets: ClientSecrets;
  /** What templates are filled with: parameters, `client_id` and `key_id`. No secrets. */
  values: Values;
  /** URLs, and origins, whose requests go elsewhere, since an override moved an endpoint away from there. */
  moved: ReadonlyMap<string, string>;
}

export interface Endpoints {
  authorization?: string;
  pushed?: string;
  token?: string;
  refresh?: string;
  /** May still hold `{access_token}` or `{refresh_token}`. */
  revocation?: string;
  userinfo?: string;
}

/** What the client authenticates with; null: it has none of that kind. */
export interface ClientSecrets {
  secret: string | null;
  /** PEM, for `private_key_jwt`, mutual TLS and assertions of the integration's own. */
  privateKey: string | null;
  /** PEM, for mutual TLS (RFC 8705). */
  certificate: string | null;
}

export const NO_SECRETS: ClientSecrets = { secret: null, privateKey: null, certificate: null };

type Settings = Pick<Integration, 'id' | 'version' | 'clientId' | 'keyId' | 'params' | 'overrides'>;

/** A connection's parameters; what was captured under the name of one takes its place, if it is valid there. */
export function connectionParams(
  provider: Provider,
  auth: AuthMode,
  { params, captured }: Pick<Connection, 'params' | 'captured'>,
): Values {
  const taken = Object.entries(connectionFields(provider, auth)).flatMap(([name, field]) => {
    const value = captured[name];
    return typeof value === 'string' && isValid(field, value) ? [[name, value]] : [];
  });
  return taken.length === 0 ? params : { ...params, ...Object.fromEntries(taken) };
}

/** Expects parameters that passed `fieldIssues`. */
export function resolveTarget(
  provider: Provider,
  integration: Settings,
  secrets: ClientSecrets,
  params: Values,
): Target {
  const auth = authMode(provider, integration.params);
  if (!auth) throw new Error(`integration ${integration.id} names a mode that provider ${provider.id} does not have`);
  const values: Values = {
    ...valuesOf({ ...provider.params, ...auth.params }, integration.params),
    ...valuesOf(connectionFields(provider, auth), params),
    client_id: integration.clientId,
    ...(integration.keyId !== null && { key_id: integration.keyId }),
  };
  const named = endpointsOf(auth, values);
  const { base: api } = apiOf(provider, auth);
  const { authorization_url, token_url, revocation_url, userinfo_url, api_base_url } = integration.overrides;
  const overrides: Endpoints = {
    ...(authorization_url !== undefined && { authorization: authorization_url }),
    ...(userinfo_url !== undefined && { userinfo: userinfo_url }),
    ...(revocation_url !== undefined && { revocation: revocation_url }),
    ...(token_url !== undefined && { token: token_url }),
  };
  // Where two of one origin are moved apart, the later one counts: the token endpoint over where browsers go.
  const pairs: [from: string | undefined, to: string | undefined][] = [
    [api && fill(api, values), api_base_url],
    ...Object.entries(overrides).map(([name, url]): [string | undefined, string] => [
      named[name as keyof Endpoints],
      url,
    ]),
  ];
  const moved = new Map(
    pairs.flatMap(([from, to]) => {
      const [old, now] = [originOf(from), originOf(to)];
      if (from === undefined || to === undefined || old === undefined || now === undefined) return [];
      return old === now
        ? [[from, to] as const]
        : ([
            [from, to],
            [old, now],
          ] as const);
    }),
  );
  const rest = Object.entries(named).map(([name, url]) => [name, move(url, moved)]);
  return {
    integration: integration.id,
    version: integration.version,
    auth,
    issuer: 'issuer' in auth && auth.issuer !== undefined ? (fill(auth.issuer, values) ?? null) : null,
    endpoints: { ...Object.fromEntries(rest), ...overrides },
    clientId: integration.clientId,
    secrets,
    values,
    moved,
  };
}

/** Whether token requests carry proofs of a key (RFC 9449). */
export const usesDpop = ({ auth, values }: Pick<Target, 'auth' | 'values'>): boolean =>
  'dpop' in auth && fill(auth.dpop, values) === 'true';

/** A URL of the catalogue, filled; undefined where an optional value that it names was not given. */
export function locate({ values, moved }: Pick<Target, 'values' | 'moved'>, template: string): string | undefined {
  const url = fill(template, values);
  return url === undefined ? undefined : move(url, moved);
}

function endpointsOf(auth: AuthMode, values: Values): Endpoints {
  const templates: { [E in keyof Endpoints]: string | undefined } = {
    ...('token_url' in auth && { token: auth.token_url }),
    ...(isCode(auth) && {
      authorization: auth.authorization_url,
      pushed: auth.pushed_authorization_request_url,
      refresh: auth.refresh.url,
      revocation: auth.revocation.style === 'request' ? auth.revocation.url : auth.revocation_url,
      userinfo: auth.userinfo_url,
    }),
  };
  // Tokens are filled in when the request is made.
  const later = { access_token: '{access_token}', refresh_token: '{refresh_token}' };
  return Object.fromEntries(
    Object.entries(templates).flatMap(([name, template]) => {
      const url = template === undefined ? undefined : fill(template, { ...later, ...values });
      return url === undefined ? [] : [[name, url]];
    }),
  );
}

const originOf = (url: string | undefined): string | undefined =>
  url === undefined ? undefined : URL.parse(url)?.origin;

function move(url: string, moved: ReadonlyMap<string, string>): string {
  const whole = moved.get(url);
  if (whole !== undefined) return whole;
  const origin = moved.size === 0 ? undefined : originOf(url);
  const to = origin === undefined ? undefined : moved.get(origin);
  // Not by the length of the origin, which has its default port and its script made plain.
  return to === undefined ? url : to + url.replace(/^[a-z]+:\/\/[^/?#]*/i, '');
}
