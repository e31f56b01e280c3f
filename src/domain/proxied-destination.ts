// Where calls through the proxy go: below the API's base URL, or below another host of the API. What a caller sends says
// neither: it names an alias at most.
import { type AuthMode, capturesOf } from './auth-modes.ts';
import type { Connection } from './connection.ts';
import { fill, isValid, placeholders, type Values } from './fields.ts';
import type { Overrides } from './integration.ts';
import { apiOf, type Provider } from './provider.ts';

export interface Destination {
  /** Scheme, host and port. */
  origin: string;
  /** Of the base URL, without a slash at its end; may be empty. */
  basePath: string;
}

/** Why there is none, for people. `isUnknownHost`: the caller named an alias that the provider does not have. */
export class NoDestination {
  readonly detail: string;
  readonly isUnknownHost: boolean;
  constructor(detail: string, isUnknownHost = false) {
    this.detail = detail;
    this.isUnknownHost = isUnknownHost;
  }
}

interface Source {
  provider: Provider;
  auth: AuthMode;
  overrides: Overrides;
  /** Of the target: parameters, which match their patterns. */
  values: Values;
  captured: Connection['captured'];
}

/** `alias`: of another host; undefined: the API's base URL. */
export function destinationOf(source: Source, alias: string | undefined): Destination | NoDestination {
  const { provider, auth, overrides } = source;
  const hosts = provider.api.other_hosts;
  if (alias !== undefined && !Object.hasOwn(hosts, alias)) {
    const known = Object.keys(hosts).join(', ') || 'none';
    return new NoDestination(`The provider has no host "${alias.slice(0, 64)}". It has: ${known}.`, true);
  }
  const override = alias === undefined ? overrides.api_base_url : overrides[`host.${alias}`];
  if (override !== undefined) return parsed(override);
  const template = alias === undefined ? apiOf(provider, auth).base : hosts[alias];
  if (template === undefined)
    return new NoDestination('the provider has no API that the broker knows: set overrides.api_base_url');
  const url = filled(template, source);
  return url instanceof NoDestination ? url : parsed(url);
}

/** With captured values where parameters do not have one: in the path as one segment, elsewhere only as their patterns say. */
function filled(template: string, { provider, auth, values, captured }: Source): string | NoDestination {
  const names = new Set(capturesOf(auth));
  const pathAt = template.startsWith('{') ? template.indexOf('/') : template.indexOf('/', template.indexOf('://') + 3);
  const inPath = pathAt < 0 ? '' : template.slice(pathAt);
  const usable: Values = { ...values };
  for (const name of placeholders(template)) {
    const value = captured[name];
    if (Object.hasOwn(values, name) || !names.has(name)) continue;
    if (typeof value !== 'string' && typeof value !== 'number')
      return new NoDestination(`the connection has no "${name}", which says where its API is: connect it again`);
    const pattern = provider.captured_patterns[name];
    const isInPathAlone = inPath.includes(`{${name}}`) && !template.slice(0, Math.max(0, pathAt)).includes(`{${name}}`);
    const isSafe =
      pattern === undefined ? isInPathAlone && SEGMENT.test(String(value)) : isValid({ pattern }, String(value));
    if (!isSafe) return new NoDestination(`"${name}" of the connection is no place that a token is sent to`);
    usable[name] = String(value);
  }
  const missing = placeholders(template).filter((name) => !Object.hasOwn(usable, name));
  return fill(template, usable) ?? new NoDestination(`its API is not known: ${missing.join(', ')} is missing`);
}

/** One segment of a path, that is not a dot segment. */
const SEGMENT = /^(?!\.{1,2}$)[\w.~:@-]{1,256}$/;

function parsed(base: string): Destination | NoDestination {
  const url = URL.parse(base);
  if (url === null || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '')
    return new NoDestination('the base URL of its API is not a URL without a query');
  return { origin: url.origin, basePath: url.pathname.replace(/\/+$/, '') };
}
