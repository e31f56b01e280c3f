// Talks to a broker as callers and browsers do, keeps every answer, and gathers the secrets that pass on the way.
import { createCookieJar, type Walk, walkThrough } from '../../demo/browser.ts';
import type { Json } from './broker.ts';
import type { Secrets } from './secrets.ts';

/** The one member of an answer that is meant for whoever asked, with what it is; everywhere else it is a leak. */
const RIGHTFUL: [request: RegExp, member: string, kind?: string][] = [
  [/^POST \/v1\/callers(\/[^/]+\/keys)?$/, 'key', 'caller key'],
  [/^POST \/v1\/connect-sessions$/, 'url', 'connect link'],
  [/^GET \/v1\/(connections\/[^/]+\/)?token(\?.*)?$/, 'access_token', 'access token'],
  [/^POST \/v1\/connections\/[^/]+\/(refresh|dpop-proof)$/, 'access_token', 'access token'],
  [/^POST \/oauth2\/token$/, 'access_token', 'access token'],
  // What the caller brought: a nonce may be among them.
  [/^POST \/v1\/jwt\/verify$/, 'claims'],
];

/** Of what was refused, only the invitation of somebody who is not connected yet. */
const rightfulIn = (ok: boolean, request: string, body: Json): (typeof RIGHTFUL)[number] | undefined => {
  if (ok) return RIGHTFUL.find(([pattern]) => pattern.test(request));
  return typeof body.connect_url === 'string' ? [/^/, 'connect_url', 'connect link'] : undefined;
};

/** Of a connect link the last part is the secret. */
const secretOf = (value: string) => (URL.canParse(value) ? value.slice(value.lastIndexOf('/') + 1) : value);

/** What of a body is not meant for whoever asked; the secret that is goes among those that are looked for. */
export function lessRightful(request: string, ok: boolean, text: string, secrets: Pick<Secrets, 'add'>): string {
  // Only JSON holds any.
  if (!text.startsWith('{')) return text;
  const body = JSON.parse(text) as Json;
  const rightful = rightfulIn(ok, request, body);
  if (rightful === undefined) return text;
  const { [rightful[1]]: secret, ...rest } = body;
  // A caller that comes with the tokens of its platform has no key.
  if (rightful[2] !== undefined && secret !== null) secrets.add(rightful[2], secretOf(String(secret)));
  return JSON.stringify(rest);
}

export interface Request {
  /** The admin's by default; null sends none. */
  key?: string | null;
  /** Sent as JSON; a string as it is. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Recorder {
  ask(method: string, path: string, request?: Request): Promise<{ status: number; body: Json }>;
  /** As `walkThrough`, from a browser of its own unless a jar is given. */
  walk(url: string, walk?: Walk): ReturnType<typeof walkThrough>;
  /** A session, and the secret link that it was answered with. */
  invite(session: Json): Promise<{ id: string; url: string }>;
  /** Heads and bodies of what the broker refused, and of all else that it answered, less what was rightful. */
  refusals(): Buffer;
  answers(): Buffer;
}

export function createRecorder(broker: { url: string; adminKey: string }, secrets: Secrets): Recorder {
  const said: { status: number; text: string }[] = [];
  const all = (of: (status: number) => boolean) =>
    Buffer.from(said.flatMap(({ status, text }) => (of(status) ? [text] : [])).join('\n'));
  const note = (status: number, headers: Headers, body: string) =>
    said.push({ status, text: `${JSON.stringify([...headers])}\n${body}` });

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
    note(response.status, response.headers, lessRightful(`${method} ${path}`, response.ok, text, secrets));
    return { status: response.status, body: json };
  };

  /** Cookies, and what the URLs of a flow hold. */
  const watch = (url: URL, response?: Response) => {
    for (const name of ['state', 'nonce']) secrets.add(name, url.searchParams.get(name));
    secrets.add('authorization code', url.searchParams.get('code'));
    for (const cookie of response?.headers.getSetCookie() ?? []) {
      const value = /^[^=]+=([^;]*)/.exec(cookie)?.[1] ?? '';
      if (value.length > 20) secrets.add('cookie', value);
    }
  };

  return {
    ask,
    async walk(url, walk = {}) {
      const jar = walk.jar ?? createCookieJar();
      const watched = {
        header: jar.header,
        keep(at: URL, response: Response) {
          watch(at, response);
          jar.keep(at, response);
        },
      };
      const walked = await walkThrough(url, { ...walk, jar: watched });
      for (const redirect of walked.redirects) watch(new URL(redirect));
      const { response } = walked;
      if (response && walked.url.origin === broker.url) note(response.status, response.headers, walked.text);
      return { ...walked, jar };
    },
    async invite(session) {
      const { status, body } = await ask('POST', '/v1/connect-sessions', { body: session });
      if (status !== 201) throw new Error(`no invitation: ${JSON.stringify(body)}`);
      return { id: String(body.id), url: String(body.url) };
    },
    refusals: () => all((status) => status >= 400),
    answers: () => all((status) => status < 400),
  };
}
