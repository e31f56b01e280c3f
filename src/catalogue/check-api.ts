// Checks of what an entry says of its API and the API's limits, beyond their schema.

import type { LimitScope, ProviderRateLimits, Whoami } from '../domain/api-dialect.ts';
import { type AuthMode, capturesOf, isCode, modeName } from '../domain/auth-modes.ts';
import { placeholders } from '../domain/fields.ts';
import { apiOf, type Provider } from '../domain/provider.ts';

/** Issues in words, each with its field. */
export function apiIssues(provider: Provider): string[] {
  const { api, rate_limits: limits } = provider;
  const all = provider.auth.flatMap((auth) => namesIn(provider, auth));
  return [
    ...Object.entries(api.other_hosts).flatMap(([alias, url]) => unknown(`api.other_hosts.${alias}`, url, all)),
    ...api.whoami.flatMap((whoami, i) => whoamiIssues(provider, whoami, `api.whoami[${i}]`)),
    ...(limits ? limitIssues(limits, new Set(all)) : []),
  ];
}

/** What templates of an API's calls may name in a mode. */
const namesIn = (provider: Provider, auth: AuthMode): string[] => [
  ...[provider, auth].flatMap((one) => [...Object.keys(one.params), ...Object.keys(one.connection_params)]),
  ...capturesOf(auth),
  'client_id',
];

const unknown = (at: string, template: string, known: readonly string[]): string[] =>
  placeholders(template)
    .filter((name) => !known.includes(name))
    .map((name) => `${at}: {${name}} is neither a param nor captured`);

/** A template must be one that can be filled in one of the modes that the call is for. */
function whoamiIssues(provider: Provider, whoami: Whoami, at: string): string[] {
  const { only, host, endpoint, path, headers, form = {}, identity, subject } = whoami;
  const modes = provider.auth.filter((auth) => only === undefined || only.includes(modeName(auth)));
  const names = modes.flatMap((auth) => namesIn(provider, auth));
  const uses = Object.entries({ ...prefixed('headers', headers), ...prefixed('form', form), path });
  return [
    ...(only ?? [])
      .filter((name) => !provider.auth.some((auth) => modeName(auth) === name))
      .map((name) => `${at}.only: there is no mode "${name}"`),
    ...(host === undefined || Object.hasOwn(provider.api.other_hosts, host)
      ? []
      : [`${at}.host: "${host}" is not among other_hosts`]),
    ...(host === undefined && endpoint === undefined && !modes.every((auth) => apiOf(provider, auth).base !== undefined)
      ? [`${at}: a mode that it is for has no api_base_url`]
      : []),
    ...((endpoint ?? subject) === undefined || modes.every(isCode)
      ? []
      : [`${at}: endpoint and subject are for modes with a browser`]),
    ...uses.flatMap(([field, template]) =>
      unknown(`${at}.${field}`, template, field.startsWith('headers.') ? [...names, 'access_token'] : names),
    ),
    ...Object.keys(identity)
      .filter((name) => !names.includes(name))
      .map((name) => `${at}.identity.${name}: is neither a param nor captured`),
  ];
}

const prefixed = (prefix: string, templates: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(templates).map(([name, template]) => [`${prefix}.${name}`, template]));

function limitIssues({ scope, reason }: ProviderRateLimits, known: ReadonlySet<string>): string[] {
  const scopes: [at: string, scope: LimitScope][] = [
    ['scope', scope],
    ...Object.entries(reason?.scopes ?? {}).map(([name, one]): [string, LimitScope] => [`reason.scopes.${name}`, one]),
  ];
  return scopes.flatMap(([at, one]) =>
    typeof one === 'object' && !known.has(one.captured)
      ? [`rate_limits.${at}: "${one.captured}" is neither a param nor captured`]
      : [],
  );
}
