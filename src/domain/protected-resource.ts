// What a protected resource says of itself: whether the identifier that it publishes is one for a URL (RFC 9728 3.3), and the
// challenge that it answers with (RFC 6750 3, RFC 9728 5.1).

/**
 * Whether a published resource identifier is one for this URL: of its origin, and its path the beginning of the URL's path,
 * segment by segment. No user, no fragment; a query only where the URL has the same.
 */
export function isResourceOf(resource: string, url: string): boolean {
  const [published, asked] = [URL.parse(resource), URL.parse(url)];
  if (published === null || asked === null || published.origin === 'null') return false;
  if (published.origin !== asked.origin || published.username !== '' || published.password !== '') return false;
  if (/[#\s\\]/.test(resource)) return false;
  if (published.search !== '' && published.search !== asked.search) return false;
  const [prefix, whole] = [segmentsOf(published), segmentsOf(asked)];
  return prefix.every((segment, i) => segment === whole[i]);
}

/** `/a/` and `/a` are the same resource. */
const segmentsOf = ({ pathname }: URL): string[] => pathname.replace(/\/$/, '').split('/');

/** The well-known URLs of a resource's metadata, in the order in which they are tried (RFC 9728 3.1). */
export function resourceMetadataUrls(url: string): string[] {
  const { origin, pathname, search } = new URL(url);
  const root = `${origin}/.well-known/oauth-protected-resource`;
  const own = `${root}${pathname.replace(/\/$/, '')}${search}`;
  return own === root ? [root] : [own, root];
}

/** The well-known URLs of an issuer's metadata, in the order in which they are tried (RFC 8414 3.1, 5; Discovery 1.0 4). */
export function serverMetadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const [oauth, openid] = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];
  if (path === '') return [`${origin}${oauth}`, `${origin}${openid}`];
  return [`${origin}${oauth}${path}`, `${origin}${openid}${path}`, `${origin}${path}${openid}`];
}

/** The first Bearer challenge of a `WWW-Authenticate` field. Scopes: undefined, it names none. */
export interface BearerChallenge {
  resourceMetadata: string | undefined;
  scopes: string[] | undefined;
}

/** RFC 9110 11.6.1: a scheme, then parameters; what does not follow the grammar is left out. Linear in its length. */
export function parseBearerChallenge(field: string): BearerChallenge | undefined {
  const text = field.slice(0, MOST);
  // A quoted string may hold what looks like a challenge.
  const outside = text.replace(/"(?:[^"\\]|\\.)*"?/g, (quoted) => '"'.repeat(quoted.length));
  const start = /(?:^|,)[ \t]*bearer(?=[ \t,]|$)/i.exec(outside);
  if (start === null) return undefined;
  const found = new Map<string, string>();
  const parameter = /[ \t,]*([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y;
  parameter.lastIndex = start.index + start[0].length;
  for (let match = parameter.exec(text); match !== null; match = parameter.exec(text)) {
    const [, name = '', quoted, token] = match;
    const key = name.toLowerCase();
    if (!found.has(key)) found.set(key, quoted?.replace(/\\(.)/g, '$1') ?? token ?? '');
  }
  const scopes = found.get('scope')?.split(' ').filter(isScopeToken);
  return {
    resourceMetadata: found.get('resource_metadata'),
    scopes: scopes === undefined || scopes.length === 0 ? undefined : [...new Set(scopes)],
  };
}

const MOST = 8_192;

/** Of the scopes of an authorization request, which is a URL. */
const MOST_SCOPE_CHARACTERS = 4_000;

/** Whether an authorization request has room for them. */
export const fitsRequest = (scopes: readonly string[]): boolean => scopes.join(' ').length <= MOST_SCOPE_CHARACTERS;

/** RFC 6749 3.3. */
export const isScopeToken = (scope: string): boolean => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope);
