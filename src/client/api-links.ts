// Links in the answers of an API, mapped back to the proxy: only those below its own base URLs. A token is sent to no other
// place, whatever an answer says.
import { InvalidPath } from './api-errors.ts';
import type { ApiDescription } from './types.ts';

/** Where a call goes: a path below the base URL, or below that of another host. */
export interface Place {
  host: string | undefined;
  /** With its query. */
  path: string;
}

type Bases = Pick<ApiDescription, 'base_url' | 'other_hosts'>;

/** The real URL of a call. */
export function urlOf({ base_url, other_hosts }: Bases, { host, path }: Place): URL {
  const base = host === undefined ? base_url : other_hosts[host];
  if (base === undefined) throw invalid(`The API has no host "${host}"`);
  return new URL(base + path);
}

/** Undefined: it is below none of them. The longest base that fits counts. */
export function placeOf(url: URL, { base_url, other_hosts }: Bases): Place | undefined {
  if (url.username !== '' || url.password !== '') return undefined;
  const bases = [[undefined, base_url] as const, ...Object.entries(other_hosts)];
  const fitting = bases.flatMap(([host, text]) => {
    const base = new URL(text);
    const prefix = base.pathname.replace(/\/+$/, '');
    const isBelow = url.pathname === prefix || url.pathname.startsWith(`${prefix}/`);
    return url.origin === base.origin && isBelow ? [{ host, prefix }] : [];
  });
  const best = fitting.sort((a, b) => b.prefix.length - a.prefix.length)[0];
  return best && { host: best.host, path: url.pathname.slice(best.prefix.length) + url.search };
}

/** A target, and its parameters. */
const LINK = /<([^<>]*)>((?:\s*;\s*[\w!#$&+.^`|~*-]+\s*(?:=\s*(?:"[^"]*"|[^\s";,]+))?)*)/g;

/** The target of the `Link` header with this relation (RFC 8288); undefined: there is none. */
export function linkOf(header: string | null, rel: string): string | undefined {
  for (const [, target, params = ''] of (header ?? '').matchAll(LINK)) {
    const [, quoted, token] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s";,]+))/i.exec(params) ?? [];
    const relations = (quoted ?? token ?? '').toLowerCase().split(/\s+/);
    if (relations.includes(rel.toLowerCase())) return target;
  }
  return undefined;
}

/**
 * A path that reaches the API as it is written: with a slash at its beginning, and with nothing that `fetch` would resolve,
 * which could lead to other paths of the broker. Throws `InvalidPath`.
 */
export function requirePath(path: string): void {
  const [raw = ''] = path.split('?', 1);
  if (raw !== '' && !raw.startsWith('/'))
    throw invalid('A path begins with a slash: it is below the base URL of the API');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: `fetch` removes them, and what is left may be another path.
  if (/[\\#\u0000-\u0020\u007f]/.test(raw)) throw invalid('The path has a character that must be percent-encoded');
  for (const segment of raw.slice(1).split('/')) {
    if (/^(?:\.|%2e){1,2}(?:;|%3b|$)/i.test(segment)) throw invalid('The path has a segment "." or ".."');
  }
  if (raw.includes('//')) throw invalid('The path has an empty segment');
  if (path.includes('#')) throw invalid('The query has a "#": one that is meant is sent as %23');
}

export const invalid = (detail: string): InvalidPath => new InvalidPath({ code: 'invalid_path', status: 0, detail });
