// Where the secrets and tokens of an integration are sent, and what of that a change moves elsewhere.
import type { AuthMode } from './auth-modes.ts';
import { placeholders, type Values, valuesOf } from './fields.ts';
import type { Integration } from './integration.ts';
import { apiOf, authMode, type Provider } from './provider.ts';

type Settings = Pick<Integration, 'provider' | 'clientId' | 'keyId' | 'params' | 'overrides'>;

export interface Redirection {
  /** Such as `provider`, `issuer`, `token_url` or `overrides.revocation_url`. */
  name: string;
  /** An origin, an issuer, a protected resource, or a provider; null: there was none. */
  from: string | null;
  to: string;
}

const ORIGIN = /^https?:\/\/[^/?#]*/i;

/**
 * What goes elsewhere after a change: another provider, issuer or protected resource, or an endpoint at another origin. An endpoint that had no
 * URL before may have one at an origin that the integration uses already.
 */
export function redirections(
  before: { provider: Provider | undefined; settings: Settings },
  after: { provider: Provider; settings: Settings },
): Redirection[] {
  const name = 'provider';
  const [from, to] = [before.settings.provider, after.settings.provider];
  if (from !== to) return [{ name, from, to }];
  // The catalogue does not have it any more, so nothing is known of where it sent them.
  if (!before.provider) return [{ name, from: null, to }];
  // As with most of a declarative file that is applied with each start.
  if (before.provider === after.provider && textOf(before.settings) === textOf(after.settings)) return [];
  const [old, now] = [destinationsOf(before.provider, before.settings), destinationsOf(after.provider, after.settings)];
  const known = new Set([...old.values()].map(originOf));
  const moved = [...now].flatMap(([name, to]) => {
    const from = old.get(name) ?? null;
    return from === to || (from === null && known.has(to)) ? [] : [{ name, from, to }];
  });
  return [...moved, ...uncovered(old, now)];
}

const textOf = ({ clientId, keyId, params, overrides }: Settings): string =>
  JSON.stringify([clientId, keyId, params, overrides]);

/** An override that is gone: what it replaced goes where the entry, its parameters or the issuer's metadata say again. */
function uncovered(old: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): Redirection[] {
  return [...old].flatMap(([path, from]) => {
    const name = /^overrides\.(.+)_url$/.exec(path)?.[1];
    if (name === undefined || now.has(path)) return [];
    const issuer = name === 'api_base' ? undefined : now.get('issuer');
    const to = now.get(`${name}_url`) ?? now.get(`${name}.url`) ?? issuer;
    return to === undefined || originOf(to) === from ? [] : [{ name: path, from, to: originOf(to) }];
  });
}

/** Every URL of the mode, and every override, by its path in the entry: the issuer, a protected resource, and the origins of all others. */
function destinationsOf(provider: Provider, { clientId, keyId, params, overrides }: Settings): Map<string, string> {
  const found = new Map<string, string>();
  const auth = authMode(provider, params);
  if (auth) {
    const fields = { ...provider.params, ...auth.params };
    const values = { ...valuesOf(fields, params), client_id: clientId, ...(keyId !== null && { key_id: keyId }) };
    for (const [path, template] of urlsIn({ ...auth, api_base_url: apiOf(provider, auth).base })) {
      // Without an optional parameter, the integration has no such URL.
      const isAbsent = placeholders(template).some(
        (name) => Object.hasOwn(fields, name) && !Object.hasOwn(values, name),
      );
      // What a connection fills in stays as it is written.
      const url = Object.entries(values).reduce((text, [name, value]) => text.replaceAll(`{${name}}`, value), template);
      if (!isAbsent) found.set(path, isWhole(path) ? url : originOf(url));
    }
  }
  for (const [name, url] of Object.entries(overrides))
    if (url !== undefined) found.set(`overrides.${name}`, originOf(url));
  return found;
}

/**
 * Whether what a connection has goes where it went before, to the API too: by the values of its targets, and what was captured. A value
 * that there was not before is another one.
 */
export function isSamePlace(provider: Provider, auth: AuthMode, before: Values, after: Values): boolean {
  const urls = urlsIn({ ...auth, api_base_url: apiOf(provider, auth).base }).map(([, template]) => template);
  const names = [...urls, ...Object.values(provider.api.other_hosts)].flatMap(placeholders);
  return names.every((name) => before[name] === after[name]);
}

/** Its metadata say where the endpoints are. */
const isIssuer = (path: string): boolean => path === 'issuer' || path === 'protected_resource.issuer';

/** Another path is another one: a host may have the servers of many. */
const isWhole = (path: string): boolean => isIssuer(path) || path === 'protected_resource.url';

function urlsIn(value: unknown, path = ''): [path: string, template: string][] {
  if (typeof value === 'string') return isIssuer(path) || /(^|[._])url$/.test(path) ? [[path, value]] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => urlsIn(member, path === '' ? name : `${path}.${name}`));
}

/** Without user and password; the whole text where a connection says which host it is. */
const originOf = (url: string): string =>
  ORIGIN.exec(url)?.[0]
    .toLowerCase()
    .replace(/\/\/[^@]*@/, '//') ?? url;
