// A recorder: talks to a broker as callers and browsers do, keeps every response, and collects the secrets in them.
import { createCookieJar, type Walk, walkThrough } from '../../demo/browser.ts';
import type { Json } from './broker.ts';
import type { Secrets } from './secrets.ts';

/** The one member of a response that is meant for its recipient, and its kind; anywhere else it is a leak. */
const INTENDED_SECRETS: [request: RegExp, member: string, kind?: string][] = [
  [/^POST \/v1\/callers(\/[^/]+\/keys)?$/, 'key', 'caller key'],
  [/^POST \/v1\/webhook-endpoints(\/[^/]+\/rotate-secret)?$/, 'secret', 'webhook secret'],
  [/^POST \/v1\/sessions$/, 'token', 'session token'],
  [/^POST \/v1\/connect-sessions$/, 'url', 'connect link'],
  [/^GET \/v1\/(connections\/[^/]+\/)?token(\?.*)?$/, 'access_token', 'access token'],
  [/^POST \/v1\/connections\/[^/]+\/(refresh|dpop-proof)$/, 'access_token', 'access token'],
  [/^POST \/oauth2\/token$/, 'access_token', 'access token'],
  // The caller's own token: it may have a nonce.
  [/^POST \/v1\/jwt\/verify$/, 'claims'],
];

/** An error response may only have the connect link for an owner without a connection. */
const intendedSecret = (ok: boolean, request: string, body: Json): (typeof INTENDED_SECRETS)[number] | undefined => {
  if (ok) return INTENDED_SECRETS.find(([pattern]) => pattern.test(request));
  return typeof body.connect_url === 'string' ? [/^/, 'connect_url', 'connect link'] : undefined;
};

/** The last path segment of a connect link is the secret. */
const secretPart = (value: string) => (URL.canParse(value) ? value.slice(value.lastIndexOf('/') + 1) : value);

/** The body without the member that is meant for its recipient, which is added to the secrets. */
export function withoutIntendedSecret(
  request: string,
  ok: boolean,
  text: string,
  secrets: Pick<Secrets, 'add'>,
): string {
  // Only JSON has one.
  if (!text.startsWith('{')) return text;
  const body = JSON.parse(text) as Json;
  const intended = intendedSecret(ok, request, body);
  if (intended === undefined) return text;
  // The same link under a second name.
  if (intended[1] === 'connect_url' && body.interaction_uri === body.connect_url) delete body.interaction_uri;
  const { [intended[1]]: secret, ...rest } = body;
  // A caller that authenticates with tokens of its platform has no key.
  if (intended[2] !== undefined && secret !== null) secrets.add(intended[2], secretPart(String(secret)));
  return JSON.stringify(rest);
}

export interface Request {
  /** The admin's key by default; null sends none. */
  key?: string | null;
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Recorder {
  ask(method: string, path: string, request?: Request): Promise<{ status: number; body: Json }>;
  /** As `walkThrough`, by default with a new cookie jar. */
  browse(url: string, browse?: Walk): ReturnType<typeof walkThrough>;
  /** Creates a connect session; returns its id and its secret link. */
  createConnectSession(session: Json): Promise<{ id: string; url: string }>;
  /** Headers and bodies of error responses, without intended secrets. */
  errorResponses(): Buffer;
  /** The same for all other responses. */
  successResponses(): Buffer;
}

export function createRecorder(broker: { url: string; adminKey: string }, secrets: Secrets): Recorder {
  const recorded: { status: number; text: string }[] = [];
  const all = (of: (status: number) => boolean) =>
    Buffer.from(recorded.flatMap(({ status, text }) => (of(status) ? [text] : [])).join('\n'));
  const record = (status: number, headers: Headers, body: string) =>
    recorded.push({ status, text: `${JSON.stringify([...headers])}\n${body}` });

  const ask: Recorder['ask'] = async (method, path, { key = broker.adminKey, body, headers } = {}) => {
    const response = await fetch(new URL(path, broker.url), {
      method,
      redirect: 'manual',
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '') ? (JSON.parse(text) as Json) : { text };
    record(response.status, response.headers, withoutIntendedSecret(`${method} ${path}`, response.ok, text, secrets));
    return { status: response.status, body: json };
  };

  /** Adds the secrets in cookies and in the URLs of a flow. */
  const collectSecrets = (url: URL, response?: Response) => {
    for (const name of ['state', 'nonce']) secrets.add(name, url.searchParams.get(name));
    secrets.add('authorization code', url.searchParams.get('code'));
    for (const cookie of response?.headers.getSetCookie() ?? []) {
      const value = /^[^=]+=([^;]*)/.exec(cookie)?.[1] ?? '';
      if (value.length > 20) secrets.add('cookie', value);
    }
  };

  return {
    ask,
    async browse(url, walk = {}) {
      const jar = walk.jar ?? createCookieJar();
      const recordingJar = {
        header: jar.header,
        keep(at: URL, response: Response) {
          collectSecrets(at, response);
          jar.keep(at, response);
        },
      };
      const result = await walkThrough(url, { ...walk, jar: recordingJar });
      for (const redirect of result.redirects) collectSecrets(new URL(redirect));
      const { response } = result;
      if (response && result.url.origin === broker.url) record(response.status, response.headers, result.text);
      return { ...result, jar };
    },
    async createConnectSession(session) {
      const { status, body } = await ask('POST', '/v1/connect-sessions', { body: session });
      if (status !== 201) throw new Error(`no connect session: ${JSON.stringify(body)}`);
      return { id: String(body.id), url: String(body.url) };
    },
    errorResponses: () => all((status) => status >= 400),
    successResponses: () => all((status) => status < 400),
  };
}
