// Which headers a call through the proxy passes on, in both directions. Headers are names and values in turn, as they came.

/** About one connection (RFC 9110 7.6.1); besides these, those that `Connection` names. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** About the caller and the broker, and what servers take for another path than the one that was checked. */
const NOT_FORWARDED = new Set([
  ...HOP_BY_HOP,
  'host',
  'authorization',
  'cookie',
  'cookie2',
  'forwarded',
  'x-real-ip',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url',
  'x-envoy-original-path',
  'x-host',
  'x-original-host',
  'x-http-host-override',
  'expect',
  // Set from what is known of the body.
  'content-length',
]);
const PRIVATE = /^(?:x-forwarded-|proxy-|valetkey-)/;

/** For browsers at the API's own origin, or about the connection to it; for caches and servers in front of it. */
const NOT_RETURNED = new Set([
  ...HOP_BY_HOP,
  'set-cookie',
  'set-cookie2',
  'strict-transport-security',
  'alt-svc',
  'clear-site-data',
  'surrogate-control',
  'akamai-cache-control',
  'edge-control',
  'edge-cache-control',
]);
/** RFC 9213, and what vendors put before it. */
const CDN_CACHE_CONTROL = 'cdn-cache-control';
/**
 * And what servers in front of it take for commands (nginx, LiteSpeed, lighttpd, Apache, Perlbal): a file to send, a URL to ask,
 * how to cache. `X-Accel-Buffering: no` lets a stream through nginx, and does nothing else.
 */
const NOT_RETURNED_PREFIXES =
  /^(?:access-control-|valetkey-|proxy-|x-accel-(?!buffering$)|x-litespeed-|x-lighttpd-|x-sendfile|x-reproxy-)/;

/** What the other methods are called by, for servers that take them for the method. */
export const METHOD_OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
]);

const OVERRIDE_LENGTHS: ReadonlySet<number> = new Set([...METHOD_OVERRIDES].map((name) => name.length));

/** The options that `Connection` lists, in lower case: these headers are about this connection too. */
function namedInConnection(raw: readonly string[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.length !== CONNECTION.length || raw[i]!.toLowerCase() !== CONNECTION) continue;
    for (const option of raw[i + 1]!.split(',')) {
      const name = option.trim().toLowerCase();
      if (name === '' || name === 'keep-alive' || name === 'close') continue;
      named ??= new Set();
      named.add(name);
    }
  }
  return named;
}
const CONNECTION = 'connection';

/** As servers read a name that hand it on as a variable (`HTTP_X_ORIGINAL_URL`): `_` is `-` to them. In lower case. */
const asRead = (name: string): string => (name.includes('_') ? name.replaceAll('_', '-') : name);

export interface ForwardedHeaders {
  /** What the entry says that every request needs. A value of the caller's wins where it names a version. */
  api: Readonly<Record<string, string>>;
  /** Headers that carry the credential, in lower case: those of the caller are left out. */
  credential: readonly string[];
  /** Of the body in bytes; undefined: there is none, or its length is not known. */
  length: number | undefined;
}

/** The headers that the API is sent, but for the credential. */
export function forwardedHeaders(raw: readonly string[], { api, credential, length }: ForwardedHeaders): string[] {
  const named = namedInConnection(raw);
  const ofEntry = new Map<string, readonly [name: string, value: string]>();
  for (const name in api) ofEntry.set(name.toLowerCase(), [name, api[name]!]);
  const forwarded: string[] = [];
  let hasUserAgent = ofEntry.has('user-agent');
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const read = asRead(name);
    if (credential.includes(name) || credential.includes(read)) continue;
    if (NOT_FORWARDED.has(read) || PRIVATE.test(read) || named?.has(name)) continue;
    if (ofEntry.has(read)) {
      if (read !== name || !name.includes('version')) continue;
      ofEntry.delete(name);
    }
    if (name === 'user-agent') hasUserAgent = true;
    forwarded.push(raw[i]!, raw[i + 1]!);
  }
  for (const [name, value] of ofEntry.values())
    if (!credential.includes(name.toLowerCase())) forwarded.push(name, value);
  // Some APIs refuse requests without one.
  if (!hasUserAgent) forwarded.push('User-Agent', 'valetkey');
  if (length !== undefined) forwarded.push('Content-Length', String(length));
  return forwarded;
}

/** Whether the API is sent a header of the caller's, with a value; `name` in lower case. */
export const isForwarded = (raw: readonly string[], name: string): boolean =>
  (headerOf(raw, name)?.trim() ?? '') !== '' && !namedInConnection(raw)?.has(name);

/**
 * The headers of the API's response that the caller gets: no cache that several use keeps it, and none takes it for that of another
 * connection. `status`: one without content has no length.
 */
export function returnedHeaders(raw: readonly string[], status: number): string[] {
  const named = namedInConnection(raw);
  const returned: string[] = [];
  let caching = '';
  let varying = '';
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (NOT_RETURNED.has(name) || NOT_RETURNED_PREFIXES.test(name) || named?.has(name)) continue;
    if (name.endsWith(CDN_CACHE_CONTROL)) continue;
    if (name === 'content-length' && status === 204) continue;
    if (name === 'cache-control') caching += `${raw[i + 1]!},`;
    else if (name === 'vary') varying += `${raw[i + 1]!}, `;
    else returned.push(raw[i]!, raw[i + 1]!);
  }
  returned.push('Cache-Control', privately(caching), 'Vary', varyingByConnection(varying));
  return returned;
}

/** RFC 9111 5.2.2. `private` stands beside `no-store` too, which `must-understand` makes void. */
function privately(caching: string): string {
  if (caching === '') return 'private';
  const directives = caching.match(DIRECTIVE)?.map((one) => one.trim()) ?? [];
  return ['private', ...directives.filter((one) => one !== '' && !OF_SHARED_CACHES.test(one))].join(', ');
}
/** A list in quotes may have commas. */
const DIRECTIVE = /(?:[^,"]|"[^"]*")+/g;
/** `private` may be about some headers alone: without these it is about the response. */
const OF_SHARED_CACHES = /^(?:public|private|s-maxage)(?![\w-])/i;

/** RFC 9110 12.5.5: the headers that say which connection is used. All may be the same URL. */
const varyingByConnection = (varying: string): string =>
  varying.includes('*') ? '*' : `${varying}Authorization, Valetkey-Owner, Valetkey-Label, Valetkey-Host`;

/** The first value of a header; `name` in lower case. */
export function headerOf(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i < raw.length; i += 2)
    if (raw[i]!.length === name.length && raw[i]!.toLowerCase() === name) return raw[i + 1];
  return undefined;
}

/**
 * Headers that name another resource of the API, which is read, moved or written beside that of the path: WebDAV's (RFC 4918 10.3),
 * and where object stores copy from (`x-amz-copy-source`, `x-ms-rename-source`, …).
 */
const NAMES_OTHER = /^(?:destination|x-copy-from|x-[a-z]{1,16}-(?:copy|rename|move)-source)$/;
const SHORTEST = 'destination'.length;

/** Whether the API is told of another resource than that of the path. */
export function namesOtherResource(raw: readonly string[]): boolean {
  for (let i = 0; i < raw.length; i += 2)
    if (raw[i]!.length >= SHORTEST && /^[dx]/i.test(raw[i]!) && NAMES_OTHER.test(asRead(raw[i]!.toLowerCase())))
      return true;
  return false;
}

/**
 * The methods that a request may have for its server: its own, and those that a header or a query parameter puts in its place
 * where the server honours that.
 */
export function methodsOf(method: string, raw: readonly string[], query: string): string[] {
  const methods = [method];
  for (let i = 0; i < raw.length; i += 2)
    if (OVERRIDE_LENGTHS.has(raw[i]!.length) && METHOD_OVERRIDES.has(asRead(raw[i]!.toLowerCase())))
      methods.push(raw[i + 1]!.trim().toUpperCase());
  if (/method|%/i.test(query)) {
    // Some servers part pairs by semicolons.
    for (const [name, value] of new URLSearchParams(query.replaceAll(';', '&'))) {
      const put = value.trim().toUpperCase();
      if (METHOD_PARAMETERS.has(lettersOf(name)) && (METHODS.has(put) || !MEANS_OTHERS.test(name))) methods.push(put);
    }
  }
  return methods;
}

/**
 * Facebook's `method`, Salesforce's `_HttpMethod`, Google's `$httpMethod`, the `_method` of frameworks, and the names of the headers:
 * by their letters, since servers differ in what else they write and drop. PHP cuts a name at a NUL, drops blanks before it, and
 * writes `_` for `.`, `[` and blanks.
 */
const METHOD_PARAMETERS: ReadonlySet<string> = new Set([
  'method',
  'methodoverride',
  'httpmethod',
  'httpmethodoverride',
  'xmethodoverride',
  'xhttpmethod',
  'xhttpmethodoverride',
]);
const lettersOf = (name: string): string =>
  name
    .replace(/\0.*/s, '')
    .replace(/[^a-z]/gi, '')
    .toLowerCase();
/** `method` says something else at most APIs (`method=flickr.photos.search`): only with a method as its value it is one. */
const MEANS_OTHERS = /^ *method/i;
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
