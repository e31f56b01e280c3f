// A catalogue entry: one third-party system as data, and what follows from it.
import type { Whoami } from './api-dialect.ts';
import { type AuthMode, credentialFieldsOf, isCode, modeName, protectedResourceOf } from './auth-modes.ts';
import { type ParamField, type Params, placeholders, type Values, valuesOf } from './fields.ts';
import { urlsAt } from './host-patterns.ts';
import { applySettings } from './param-settings.ts';
import type { Provider } from './provider-schema.ts';
import type { WebhookEndpointDialect, WebhookLocator } from './webhook-dialect.ts';

export type { Provider } from './provider-schema.ts';

/**
 * The mode that `params.mode` names, by its variant or mode; the first by default; undefined: there is none of that name. What
 * params of the integration set is applied.
 */
export function authMode(provider: Provider, params: Record<string, string>): AuthMode | undefined {
  const { mode: name } = params;
  const { auth: modes } = provider;
  const found =
    name === undefined ? modes[0] : (modes.find((a) => modeName(a) === name) ?? modes.find((a) => a.mode === name));
  if (!found) return undefined;
  const values = valuesOf({ ...provider.params, ...found.params }, params);
  return settleResource(applySettings(found, values), values);
}

/**
 * Which protected resource it is, the integration says, or each connection, on one of the hosts that the integration allows. A
 * parameter that both may give is none of the connection where the integration gives it.
 */
function settleResource(auth: AuthMode, values: Values): AuthMode {
  const resource = protectedResourceOf(auth);
  if (resource === undefined) return auth;
  const names = placeholders(resource.url);
  const hosts = (resource.hosts && values[resource.hosts]) ?? '';
  const fields = Object.entries(auth.connection_params).flatMap(([name, field]): [string, ParamField][] => {
    if (!names.includes(name)) return [[name, field]];
    return Object.hasOwn(values, name) ? [] : [[name, { ...field, pattern: urlsAt(hosts) }]];
  });
  return { ...auth, connection_params: Object.fromEntries(fields) };
}

/** The parameters of an integration in this mode, including `mode` where there are several. */
export function integrationFields(provider: Provider, auth: AuthMode | undefined): Params {
  const own = { ...provider.params, ...auth?.params };
  if (provider.auth.length < 2) return own;
  const names = [...new Set(provider.auth.flatMap((a) => [modeName(a), a.mode]))];
  const options = Object.fromEntries(names.map((name) => [name, name]));
  return { ...own, mode: { title: 'mode', options, default: modeName(provider.auth[0]!), optional: false } };
}

/** The API's base URL in this mode, and the headers that its requests need besides the token. */
export const apiOf = (
  provider: Provider,
  auth: AuthMode,
): { base: string | undefined; headers: Record<string, string> } => ({
  base: auth.api_base_url ?? provider.api_base_url,
  headers: { ...provider.api_headers, ...auth.api_headers },
});

/** The calls that tell whether a token of this mode works, best first. `scopes`: null where they are not known. */
export const whoamisOf = (provider: Provider, auth: AuthMode, scopes: readonly string[] | null): Whoami[] =>
  provider.api.whoami.filter(
    ({ only, any_scope: needed }) =>
      (only === undefined || only.includes(modeName(auth))) &&
      (needed === undefined || scopes === null || needed.some((scope) => scopes.includes(scope))),
  );

/** The parameters of a connection in this mode. */
export const connectionFields = (provider: Provider, auth: AuthMode): Params => ({
  ...provider.connection_params,
  ...auth.connection_params,
});

/**
 * Those that could name another owner's account, since no credential of the connection proves them: all of a mode whose secrets
 * are the integration's own, with which any account opens that the app may use, and what the catalogue marks.
 */
export function unprovenFields(provider: Provider, auth: AuthMode): Params {
  const fields = connectionFields(provider, auth);
  if (!isCode(auth) && Object.keys(credentialFieldsOf(auth)).length === 0) return fields;
  return Object.fromEntries(Object.entries(fields).filter(([, { unproven }]) => unproven));
}

/** All by which the events of an endpoint find connections. */
const allLocators = ({ connection, deauthorization, hold }: WebhookEndpointDialect): WebhookLocator[] =>
  [{ connection }, ...deauthorization, ...hold].flatMap((of) => of.connection ?? []);

const OF_PARAMS = 'params.';

/**
 * Those that say whose account it is, proved by the credentials or not: webhooks find a connection by them, its account is named
 * or its limits are counted by them. An import is not tried, so that it proves none.
 */
export function identifyingFields(provider: Provider, auth: AuthMode): Params {
  const scope = provider.rate_limits?.scope;
  const counted = typeof scope === 'object' ? [scope.captured] : [];
  const found = Object.values(provider.webhooks)
    .flatMap(allLocators)
    .flatMap(({ match }) => (match.startsWith(OF_PARAMS) ? [match.slice(OF_PARAMS.length)] : []));
  const named = isCode(auth) && auth.account ? placeholders([auth.account.issuer, ...auth.account.id].join()) : [];
  const names = new Set([...counted, ...found, ...named]);
  const fields = Object.entries(connectionFields(provider, auth));
  return { ...unprovenFields(provider, auth), ...Object.fromEntries(fields.filter(([name]) => names.has(name))) };
}
