// A target: a catalogue entry with an integration's settings and a connection's parameters applied. Requests go there.

import { type AuthMode, isCode, protectedResourceOf } from './auth-modes.ts';
import type { Connection } from './connection.ts';
import type { Lookup } from './dialect.ts';
import { fill, isValid, type Values, valuesOf } from './fields.ts';
import type { GrantSource } from './grant-source.ts';
import type { Integration } from './integration.ts';
import { apiOf, authMode, connectionFields, type Provider } from './provider.ts';

export interface Target<Mode extends AuthMode = AuthMode> {
  integration: string;
  /** Of the integration: what is derived from a target (discovery, keys) may be cached until it changes. */
  version: number;
  auth: Mode;
  /** Null where the provider has no issuer. */
  issuer: string | null;
  /** The URL of the protected resource that names its authorization server; null: it does not matter. */
  resource: string | null;
  /** What it named when the owner connected: issuer, endpoints and client are from there. */
  source?: GrantSource;
  endpoints: Endpoints;
  /** The API's base URL, which may still have captured names in it; undefined: the provider has no API that is known. */
  apiBase: string | undefined;
  clientId: string;
  secrets: ClientSecrets;
  /** Values for templates: parameters, `client_id` and `key_id`. No secrets. */
  values: Values;
  /** Catalogue URL or origin → the override that replaces it. */
  overridden: ReadonlyMap<string, string>;
}

export interface Endpoints {
  authorization?: string;
  pushed?: string;
  token?: string;
  refresh?: string;
  /** May still have `{access_token}` or `{refresh_token}` in it. */
  revocation?: string;
  userinfo?: string;
}

/** What the client authenticates with; null: the integration has none of that kind. */
export interface ClientSecrets {
  secret: string | null;
  /** PEM, for `private_key_jwt`, mutual TLS and the integration's own assertions. */
  privateKey: string | null;
  /** PEM, for mutual TLS (RFC 8705). */
  certificate: string | null;
}

export const NO_SECRETS: ClientSecrets = { secret: null, privateKey: null, certificate: null };

type Settings = Pick<Integration, 'id' | 'version' | 'clientId' | 'keyId' | 'params' | 'overrides'>;

/**
 * A connection's parameters. A captured value of the same name replaces a parameter. What does not match its pattern counts as
 * missing: who can write the row, or a request, must not say where secrets are sent.
 */
export function connectionParams(
  provider: Provider,
  auth: AuthMode,
  { params, captured }: Pick<Connection, 'params' | 'captured'>,
): Values {
  const valid: Values = {};
  for (const [name, field] of Object.entries(connectionFields(provider, auth)))
    for (const values of [params, captured]) {
      const value = Object.hasOwn(values, name) ? values[name] : undefined;
      if (typeof value === 'string' && isValid(field, value)) valid[name] = value;
    }
  return valid;
}

/** Expects parameters that passed `fieldIssues`. Throws when the integration names a mode that the provider does not have. */
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
  const fromCatalogue = endpointsOf(auth, values);
  const { base: api } = apiOf(provider, auth);
  const { authorization_url, token_url, revocation_url, userinfo_url, api_base_url } = integration.overrides;
  const overrides: Endpoints = {
    ...(authorization_url !== undefined && { authorization: authorization_url }),
    ...(userinfo_url !== undefined && { userinfo: userinfo_url }),
    ...(revocation_url !== undefined && { revocation: revocation_url }),
    ...(token_url !== undefined && { token: token_url }),
  };
  // When endpoints of one origin move to several, the last wins: the token endpoint over the authorization endpoint.
  const pairs: [from: string | undefined, to: string | undefined][] = [
    [api && fill(api, values), api_base_url],
    ...Object.entries(overrides).map(([name, url]): [string | undefined, string] => [
      fromCatalogue[name as keyof Endpoints],
      url,
    ]),
  ];
  const overridden = new Map(
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
  const resource = protectedResourceOf(auth);
  const others = Object.entries(fromCatalogue).map(([name, url]) => [name, applyOverrides(url, overridden)]);
  return {
    integration: integration.id,
    version: integration.version,
    auth,
    issuer: 'issuer' in auth && auth.issuer !== undefined ? (fill(auth.issuer, values) ?? null) : null,
    resource: resource === undefined ? null : (fill(resource.url, values) ?? null),
    endpoints: { ...Object.fromEntries(others), ...overrides },
    apiBase: api_base_url ?? api,
    clientId: integration.clientId,
    secrets,
    values,
    overridden,
  };
}

/** The target of a grant from there: its server's endpoints, as its client. Where the integration overrides an endpoint, that wins. */
export function targetAt<Mode extends AuthMode>(target: Target<Mode>, source: GrantSource | undefined): Target<Mode> {
  if (source === undefined) return target;
  const { server, client, resource } = source;
  const isOwn = client.kind === 'integration';
  const clientId = isOwn ? target.clientId : client.id;
  const secret = client.kind === 'registered' && client.method !== 'none' ? client.secret : null;
  return {
    ...target,
    source,
    issuer: server.issuer,
    endpoints: {
      authorization: server.authorization_endpoint,
      token: server.token_endpoint,
      ...(server.revocation_endpoint !== undefined && { revocation: server.revocation_endpoint }),
      ...target.endpoints,
    },
    clientId,
    secrets: isOwn ? target.secrets : { ...NO_SECRETS, secret },
    values: { ...target.values, client_id: clientId, resource },
  };
}

/** Whose JWTs an integration makes trusted; null: none. A plain authorization server issues no ID tokens. */
export const trustedIssuerOf = ({ auth, issuer }: Pick<Target, 'auth' | 'issuer'>): string | null =>
  auth.mode === 'oauth2_code' ? null : issuer;

/** Whether token requests carry DPoP proofs (RFC 9449). */
export const usesDpop = ({ auth, values }: Pick<Target, 'auth' | 'values'>): boolean =>
  'dpop' in auth && fill(auth.dpop, values) === 'true';

/** The look-ups that are still to be made: there is something to ask, and not all that they capture is known. */
export function pendingLookups(
  { auth, values, endpoints }: Pick<Target, 'auth' | 'values' | 'endpoints'>,
  known: Readonly<Record<string, unknown>>,
): Lookup[] {
  if (!isCode(auth)) return [];
  const pending = auth.lookups.filter(
    ({ url, capture }) =>
      (url !== undefined || endpoints.userinfo !== undefined) && Object.keys(capture).some((name) => !(name in known)),
  );
  // They present the access token as a bearer token.
  return pending.length > 0 && usesDpop({ auth, values }) ? [] : pending;
}

/** What ends when a token is revoked; undefined: it is not known. */
export function revocationEnds({ auth, values }: Pick<Target, 'auth' | 'values'>): 'token' | 'grant' | undefined {
  if (!isCode(auth) || auth.revocation_ends === undefined) return undefined;
  const ends = fill(auth.revocation_ends, values);
  return ends === 'grant' || ends === 'token' ? ends : undefined;
}

/**
 * How long the provider is known to accept a spent refresh token, in ms; 0: not known to. Infinity: it never replaces one,
 * so none is ever spent.
 */
export function reuseWindowMs({ auth, values }: Pick<Target, 'auth' | 'values'>): number {
  if (!isCode(auth)) return 0;
  if (auth.refresh.rotates === 'never') return Number.POSITIVE_INFINITY;
  const { reuse_grace: grace = 0 } = auth.refresh;
  return Number(typeof grace === 'string' ? (fill(grace, values) ?? 0) : grace) * 1_000;
}

/** A URL of the catalogue, filled and with overrides applied; undefined when a value that it names is missing. */
export function resolveUrl(
  { values, overridden }: Pick<Target, 'values' | 'overridden'>,
  template: string,
): string | undefined {
  const url = fill(template, values);
  return url === undefined ? undefined : applyOverrides(url, overridden);
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
  // Token placeholders stay: they are filled when the request is made.
  const tokenPlaceholders = { access_token: '{access_token}', refresh_token: '{refresh_token}' };
  return Object.fromEntries(
    Object.entries(templates).flatMap(([name, template]) => {
      const url = template === undefined ? undefined : fill(template, { ...tokenPlaceholders, ...values });
      return url === undefined ? [] : [[name, url]];
    }),
  );
}

const originOf = (url: string | undefined): string | undefined =>
  url === undefined ? undefined : URL.parse(url)?.origin;

function applyOverrides(url: string, overridden: ReadonlyMap<string, string>): string {
  const whole = overridden.get(url);
  if (whole !== undefined) return whole;
  const origin = overridden.size === 0 ? undefined : originOf(url);
  const to = origin === undefined ? undefined : overridden.get(origin);
  // Not by the origin's length: an origin is normalized (no default port, punycode).
  return to === undefined ? url : to + url.replace(/^[a-z]+:\/\/[^/?#]*/i, '');
}
