// A catalogue entry: one third-party system as data.
import { z } from 'zod';
import { ProviderApi, ProviderRateLimits, type Whoami } from './api-dialect.ts';
import { AuthMode, modeName, protectedResourceOf } from './auth-modes.ts';
import {
  Name,
  type ParamField,
  Params,
  Pattern,
  placeholders,
  Template,
  UrlTemplate,
  type Values,
  valuesOf,
} from './fields.ts';
import { urlsAt } from './host-patterns.ts';
import { applySettings } from './param-settings.ts';
import { ProviderWebhooks } from './webhook-dialect.ts';

const Slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and dashes, at most 63');

export const CATEGORIES = [
  'accounting',
  'analytics',
  'calendar',
  'chat',
  'cloud',
  'commerce',
  'crm',
  'data',
  'design',
  'dev',
  'documents',
  'email',
  'files',
  'fitness',
  'forms',
  'generic',
  'hr',
  'identity',
  'maps',
  'media',
  'meetings',
  'payments',
  'productivity',
  'project',
  'push',
  'social',
  'support',
  'telephony',
] as const;

export const Provider = z.strictObject({
  $schema: z.string().optional(),
  id: Slug,
  name: z.string(),
  category: z.enum(CATEGORIES),
  docs_url: z.url(),
  /** `verified` against the live system, `documented` by the vendor, or `unverified`. */
  confidence: z.enum(['verified', 'documented', 'unverified']),
  /** What in this entry is not certain. */
  uncertain: z.array(z.string()).default([]),
  /** The id of an entry that this one extends: records are merged, `auth` by mode and variant. */
  extends: Slug.optional(),
  /** What people who set up an integration should know. */
  notes: z.array(z.string()).default([]),
  /** Parameters of an integration, in every mode. */
  params: Params.default({}),
  /** Parameters of each connection, in every mode. */
  connection_params: Params.default({}),
  /**
   * What a captured value must match as a whole before it says where a token is sent, in the host of `api_base_url` or of
   * another host: what is captured is stored, and not authenticated.
   */
  captured_patterns: z.record(Name, Pattern).default({}),
  /** The modes of authentication. The first is the default; the integration's `params.mode` selects another. */
  auth: z.array(AuthMode).min(1),
  api_base_url: UrlTemplate.optional(),
  /** Headers that every request to the API needs besides the token. */
  api_headers: z.record(z.string(), Template).default({}),
  /** What calls of the API need to know besides. */
  api: ProviderApi.prefault({}),
  /** The API's limits. Without them, only what every HTTP answer may tell (429, `Retry-After`). */
  rate_limits: ProviderRateLimits.optional(),
  /** What the vendor sends, by the name of each endpoint. */
  webhooks: ProviderWebhooks.default({}),
});
export type Provider = z.infer<typeof Provider>;

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
