// A provider, an integration and a connection's parameters, laid over each other: where requests really go.
import type { InputIssue } from './errors.ts';
import type { Integration } from './integration.ts';
import type { AuthMode, ParamField, Provider } from './provider.ts';

export interface Target {
  integration: string;
  /** What was derived from it (discovery, keys) may be kept while this and the integration stay the same. */
  version: number;
  auth: AuthMode;
  /** Null where the provider has no issuer. */
  issuer: string | null;
  endpoints: { authorization?: string; token?: string; revocation?: string; userinfo?: string };
  clientId: string;
  clientSecret: string | null;
}

type Settings = Pick<Integration, 'id' | 'version' | 'clientId' | 'params' | 'overrides'>;

export const authMode = (provider: Provider, params: Record<string, string>): AuthMode | undefined =>
  params.mode === undefined ? provider.auth[0] : provider.auth.find((a) => a.mode === params.mode);

/** What is wrong with the parameters given, field by field; `missing` says whether absent ones count. */
export function paramIssues(
  fields: Record<string, ParamField>,
  given: Record<string, string>,
  missing: 'refused' | 'allowed' = 'refused',
): InputIssue[] {
  const unknown = Object.keys(given)
    .filter((name) => !Object.hasOwn(fields, name))
    .map((name) => ({
      path: `params.${name}`,
      message: `not a parameter of this provider; it takes: ${Object.keys(fields).join(', ') || 'none'}`,
    }));
  const wrong = Object.entries(fields).flatMap(([name, field]) => {
    const value = given[name] ?? field.default;
    const hint = field.example ? `, for example ${field.example}` : '';
    if (value === undefined)
      return missing === 'refused' && !field.optional
        ? [{ path: `params.${name}`, message: `${field.title} is required${hint}` }]
        : [];
    return new RegExp(`^(?:${field.pattern})$`, 'u').test(value)
      ? []
      : [{ path: `params.${name}`, message: `not a valid ${field.title}${hint}` }];
  });
  return [...unknown, ...wrong];
}

/** The fields of an integration's `params`: the provider's, and `mode` where it has several. */
export function integrationFields(provider: Provider): Record<string, ParamField> {
  if (provider.auth.length < 2) return provider.params;
  const modes = provider.auth.map((a) => a.mode);
  return {
    ...provider.params,
    mode: { title: 'mode', pattern: modes.join('|'), example: modes.join(' or '), default: modes[0]!, optional: false },
  };
}

/** Expects parameters that passed `paramIssues`. */
export function resolveTarget(
  provider: Provider,
  integration: Settings,
  clientSecret: string | null,
  connectionParams: Record<string, string>,
): Target {
  const auth = authMode(provider, integration.params);
  if (!auth) throw new Error(`integration ${integration.id} names a mode that provider ${provider.id} does not have`);
  const defaults = (fields: Record<string, ParamField>) =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([name, f]) => (f.default === undefined ? [] : [[name, f.default]])),
    );
  const values: Record<string, string> = {
    ...defaults(provider.params),
    ...defaults(provider.connection_params),
    ...integration.params,
    ...connectionParams,
    client_id: integration.clientId,
  };
  const url = (override: string | undefined, template: string | undefined) =>
    override ?? (template === undefined ? undefined : fill(template, values));
  const endpoints = {
    authorization: url(integration.overrides.authorization_url, auth.authorization_url),
    token: url(integration.overrides.token_url, auth.token_url),
    revocation: url(
      integration.overrides.revocation_url,
      auth.revocation.style === 'request' ? auth.revocation.url : auth.revocation_url,
    ),
    userinfo: url(integration.overrides.userinfo_url, auth.userinfo_url),
  };
  return {
    integration: integration.id,
    version: integration.version,
    auth,
    issuer: auth.mode === 'oidc' ? (fill(auth.issuer, values) ?? null) : null,
    endpoints: Object.fromEntries(Object.entries(endpoints).filter(([, v]) => v !== undefined)),
    clientId: integration.clientId,
    clientSecret,
  };
}

/** Fills `{name}` in; undefined when an optional parameter that it names was not given. */
function fill(template: string, values: Record<string, string>): string | undefined {
  let complete = true;
  const filled = template.replace(/\{([a-z][a-z0-9_]*)\}/g, (hole, name: string) => {
    const value = values[name];
    if (value === undefined && name !== 'access_token' && name !== 'refresh_token') complete = false;
    return value ?? hole;
  });
  return complete ? filled : undefined;
}
