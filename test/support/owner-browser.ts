// An owner's browser: one step of the connect flow at a time, so that a test can act between any two.
import { readFile } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { type CookieJar, createCookieJar, walkThrough } from '../../demo/browser.ts';
import type { LocalProvider } from '../../demo/provider.ts';
import type { Answer, Json, TestBroker } from './broker.ts';
import { send } from './http-request.ts';

export interface Page {
  status: number;
  headers: Headers;
  text: string;
  /** The target of a redirect. */
  location: string | null;
}

/**
 * Sends one request as a browser with these cookies; posts `form`. Follows no redirect but the one from the callback to the
 * broker's own page of the session.
 */
export async function visit(
  url: string | URL,
  jar: CookieJar = createCookieJar(),
  options: { method?: string; form?: Record<string, string>; headers?: Record<string, string>; body?: string } = {},
): Promise<Page> {
  const { form, headers, method, body = form && new URLSearchParams(form) } = options;
  const cookie = jar.header(new URL(url));
  const response = await send(url, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(cookie === undefined ? {} : { cookie }), ...headers },
    body,
  });
  jar.keep(new URL(url), response);
  const location = response.headers.get('location');
  if (response.status === 303 && location?.includes('/connect/sessions/')) return visit(new URL(location, url), jar);
  return { status: response.status, headers: response.headers, text: response.text, location };
}

/** The fields of the page's form, as it was shown. */
export function formOf({ text }: Pick<Page, 'text'>): Record<string, string> {
  const inputs = [...text.matchAll(/<input\b[^>]*>/g)].map(([tag]) => tag);
  const attribute = (tag: string, name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
  return Object.fromEntries(
    inputs.flatMap((tag) => {
      const name = attribute(tag, 'name');
      return name === undefined ? [] : [[name, attribute(tag, 'value') ?? '']];
    }),
  );
}

/** Opens a connect link, and confirms what its page says, if it has one; `filled` are parameters that it asks for. */
export async function openLink(
  url: string | URL,
  jar: CookieJar = createCookieJar(),
  filled: Record<string, string> = {},
): Promise<Page> {
  const page = await visit(url, jar);
  if (page.status !== 200) return page;
  return visit(url, jar, { form: { ...formOf(page), ...filled } });
}

export interface ConnectLink {
  id: string;
  url: string;
}

/** Creates a connect session, by default at `acme` for a new owner. */
export async function createConnectSession(broker: TestBroker, wanted: Json = {}): Promise<ConnectLink> {
  const body = { integration: 'acme', owner: newOwner(), ...wanted };
  const answer = await broker.ask('POST', '/v1/connect-sessions', body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return { id: String(answer.body.id), url: String(answer.body.url) };
}

let owners = 0;
/** Unique in this process. */
export const newOwner = (): string => `owner-${++owners}`;

/** Goes from the connect link through the provider to the callback's URL, which is not requested. */
export async function browseToCallback(
  broker: TestBroker,
  link: string,
  jar: CookieJar,
  walk: { login?: string; cancel?: boolean } = {},
): Promise<URL> {
  const stopAt = `${broker.url}/oauth2/callback/`;
  const { url, response, text } = await walkThrough(link, { login: 'ada', ...walk, jar, stopAt });
  expect(url.href, `${response?.status} ${text}`).toMatch(stopAt);
  return url;
}

/** Runs the whole flow, by default in a new browser. Returns the last page. */
export async function connect(
  broker: TestBroker,
  link: string,
  options: { jar?: CookieJar; login?: string; cancel?: boolean } = {},
): Promise<Page> {
  const { jar = createCookieJar(), ...walk } = options;
  return visit(await browseToCallback(broker, link, jar, walk), jar);
}

/** Runs the flow for a new owner up to the callback, which is not requested yet. */
export async function connectUntilCallback(
  broker: TestBroker,
  wanted: { integration?: string; return_url?: string } = {},
): Promise<{ owner: string; jar: CookieJar; invited: ConnectLink; callback: URL }> {
  const owner = newOwner();
  const jar = createCookieJar();
  const invited = await createConnectSession(broker, { owner, ...wanted });
  return { owner, jar, invited, callback: await browseToCallback(broker, invited.url, jar) };
}

/** The callback URL of a consent, for an authorization URL of a provider that has no pages. */
export function callbackWithConsent(authorizationUrl: string | null): string {
  const { searchParams } = new URL(authorizationUrl ?? '');
  return `${searchParams.get('redirect_uri')}?code=c0de&state=${searchParams.get('state')}`;
}

/** The same URL with its query changed; null removes a parameter. */
export function withQuery(url: URL, change: Record<string, string | null>): URL {
  const copy = new URL(url);
  for (const [name, value] of Object.entries(change))
    if (value === null) copy.searchParams.delete(name);
    else copy.searchParams.set(name, value);
  return copy;
}

export const sessionOf = async (broker: TestBroker, { id }: ConnectLink): Promise<Json> =>
  (await broker.ask('GET', `/v1/connect-sessions/${id}`)).body;

/** The connection that the session made or renewed. */
export async function connectionOf(broker: TestBroker, invited: ConnectLink): Promise<Json> {
  const session = await sessionOf(broker, invited);
  expect(session).toMatchObject({ status: 'completed' });
  return (await broker.ask('GET', `/v1/connections/${session.connection_id}`)).body;
}

export async function connectionsOf(broker: TestBroker, owner: string): Promise<Json[]> {
  const { body } = await broker.ask('GET', `/v1/connections?owner=${encodeURIComponent(owner)}`);
  return body.data as Json[];
}

/** Expects these members of the session, and that the owner has no connection. */
export async function expectNoConnection(
  broker: TestBroker,
  owner: string,
  invited: ConnectLink,
  session: Json,
): Promise<void> {
  expect(await sessionOf(broker, invited)).toMatchObject(session);
  expect(await connectionsOf(broker, owner)).toEqual([]);
}

export const putIntegration = (broker: TestBroker, id: string, setup: Json): Promise<Answer> =>
  broker.ask('PUT', `/v1/integrations/${id}`, setup);

/** Registers a client at the local provider, and sets the integration up; `more` overrides members of the request. */
export async function putIntegrationAt(
  broker: TestBroker,
  id: string,
  at: LocalProvider,
  more: Json = {},
): Promise<{ clientId: string; clientSecret: string }> {
  const client = await at.addClient([`${broker.url}/oauth2/callback/${id}`]);
  const { status, body } = await putIntegration(broker, id, {
    provider: 'generic-oidc',
    client_id: client.clientId,
    client_secret: client.clientSecret,
    params: { issuer: at.issuer },
    ...more,
  });
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return client;
}

/** Runs one statement on the broker's database file. */
export function queryDatabase<Row>(broker: TestBroker, statement: string, ...values: unknown[]): Row[] {
  const database = new Database(broker.database);
  try {
    const prepared = database.prepare<unknown[], Row>(statement);
    if (prepared.reader) return prepared.all(...values);
    expect(prepared.run(...values).changes).toBeGreaterThan(0);
    return [];
  } finally {
    database.close();
  }
}

/** The bytes of the database file and its write-ahead log. */
export async function readDatabaseFiles(broker: TestBroker): Promise<string> {
  const files = ['', '-wal'].map((end) => readFile(`${broker.database}${end}`, 'latin1').catch(() => ''));
  return (await Promise.all(files)).join('');
}

/** Expects an error page, which repeats nothing of the URL that could be a secret. */
export function expectErrorPage(page: Page, status: number, code: string, url: string | URL): void {
  expect(page.status, page.text).toBe(status);
  expect(page.text).toContain(`${code} (${status})`);
  expect(page.location).toBeNull();
  expect(page.headers.get('content-type')).toMatch(/^text\/html; charset=utf-8$/i);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page.headers.get('content-security-policy')).not.toContain('unsafe');
  expect(page.headers.get('cache-control')).toBe('no-store');
  expect(page.headers.get('referrer-policy')).toBe('no-referrer');
  expect(page.headers.get('set-cookie')).toBeNull();
  const { pathname, searchParams } = new URL(url);
  const secrets = [
    pathname.match(/^\/connect\/(.+)/)?.[1],
    ...['state', 'code'].flatMap((n) => searchParams.getAll(n)),
  ];
  for (const secret of secrets) if (secret) expect(page.text).not.toContain(secret);
}
