// Host patterns: which servers a URL may name. `api.example.com`, `*.example.com` (every name below it, not itself), `*` (every
// host), each with a port where it is not the default one of the scheme.

const LABEL = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';

/** RFC 3986 3.3 and 3.4. No fragment, and nothing that parsers of URLs read differently. */
const PATH_AND_QUERY = "(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?";

/** A regular expression for URLs at these hosts, without user and fragment; nothing matches an empty list. */
export function urlsAt(patterns: string): string {
  const hosts = patterns
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .map(toExpression);
  return hosts.length === 0 ? '(?!)' : `(?:${hosts.join('|')})${PATH_AND_QUERY}`;
}

function toExpression(pattern: string): string {
  const [, host = '', port] = /^(.*?)(?::([0-9]{1,5}))?$/.exec(pattern)!;
  const name =
    host === '*'
      ? `(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-f:.]+\\])`
      : host.startsWith('*.')
        ? `(?:${LABEL}\\.)+${literally(host.slice(2))}`
        : literally(host);
  return port === undefined ? `(?:https://${name}(?::443)?|http://${name}(?::80)?)` : `https?://${name}:${port}`;
}

const literally = (text: string): string => text.replace(/[.[\]]/g, '\\$&');
