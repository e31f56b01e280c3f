// The HTTP client of the commands. Authenticates with the caller key of the environment; errors say what to do.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { isSecure } from '../client/secure-url.ts';
import { retryAfter } from '../client/time.ts';
import { visibleText } from '../domain/visible-text.ts';
import { secretIn } from '../runtime/secret-file.ts';
import { EXIT, Failure, misused } from './failure.ts';
import type { Io } from './io.ts';

export type Json = Record<string, unknown>;

/** The options of every command. */
export interface Globals {
  url?: string;
  json?: boolean;
  allowHttp?: boolean;
}
export const globalsOf = (command: Command): Globals => command.optsWithGlobals<Globals>();

export interface Broker {
  /** The response body, an object; an empty one for 204. Rejects with `Failure`. */
  ask(method: string, path: string, body?: unknown): Promise<Json>;
  /** One page of a list. Rejects with `Failure`. */
  page(path: string): Promise<Page>;
  /** A call through the proxy: the API's own response, whatever its status. Rejects with `Failure`. */
  call(path: string, init: RequestInit): Promise<Response>;
  /** All rows of a list, page by page, at most `limit`. Rejects with `Failure`. */
  all(path: string, query?: Record<string, string | undefined>, limit?: number): AsyncGenerator<Json, void>;
}

export interface Page {
  data: Json[];
  next_cursor: string | null;
}

const DEFAULT_URL = 'http://127.0.0.1:8080';
/** A token read may wait for a refresh at a slow provider. */
const TIMEOUT_MS = 60_000;
const MAX_PAGE_SIZE = 500;

/** What an HTTP header can have; line breaks at its end are left out. */
const HEADER_VALUE = /^[\t -~\u0080-\u00ff]*[\r\n]*$/;

/** Before a key is sent. */
function requireUsable(text: string, allowHttp: boolean): void {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) throw misused(`the URL of the broker is not valid: ${text}`);
  if (url.username !== '' || url.password !== '')
    throw misused('the URL of the broker must not hold a user name or a password: set VALETKEY_KEY');
  if (allowHttp || isSecure(url, [])) return;
  throw misused(
    `nothing was sent to ${url.origin}: plain http shows the key to the network. Use https, or, inside a network that you trust, --allow-http`,
  );
}

const KEY_VARIABLES = ['VALETKEY_KEY', 'VALETKEY_ADMIN_KEY'];

function keyIn({ env }: Io, variable: string): string | undefined {
  const [key, file] = [env[variable], env[`${variable}_FILE`]];
  if (!file) return key;
  if (key) throw new Failure(`${variable}_FILE: ${variable} is set too`);
  const read = secretIn(file, (path) => readFileSync(path, 'utf8'));
  if ('issue' in read) throw new Failure(`${variable}_FILE: ${read.issue}`);
  return read.text;
}

export function brokerFor(io: Io, command: Command): Broker {
  const { url: given, allowHttp = false } = globalsOf(command);
  const url = given || io.env.VALETKEY_URL || DEFAULT_URL;
  const variable = KEY_VARIABLES.find((name) => io.env[name] || io.env[`${name}_FILE`]) ?? 'VALETKEY_KEY';
  const key = keyIn(io, variable);
  /** A broker did, at this URL: what answers otherwise later, or does not, is in front of one that is being restarted. */
  let hasAnswered = false;

  function send(method: string, path: string, body?: unknown): Promise<Response> {
    return request(path, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  }

  async function request(path: string, init: RequestInit): Promise<Response> {
    if (!key) throw new Failure('set VALETKEY_KEY to a caller key (or VALETKEY_ADMIN_KEY)');
    if (!HEADER_VALUE.test(key))
      throw misused(
        `${variable} is no caller key: it has a line break, or another character that no HTTP header can have`,
      );
    requireUsable(url, allowHttp);
    try {
      const headers = new Headers(init.headers);
      headers.set('authorization', `Bearer ${key}`);
      // A redirect must not carry the key to another host.
      return await io.fetch(`${url.replace(/\/+$/, '')}${path}`, { ...init, headers, redirect: 'manual' });
    } catch (error) {
      throw unanswered(error as Error);
    }
  }

  function unanswered({ name }: Error): Failure {
    if (name === 'AbortError') return new Failure('interrupted', EXIT.interrupted);
    const isTimeout = name === 'TimeoutError';
    const how = isTimeout ? `the broker at ${url} did not answer in time` : `no broker answers at ${url}`;
    const message = `${how}; set VALETKEY_URL, or start one with: valetkey serve`;
    return new Failure(message, EXIT.unreachable, undefined, isTimeout || hasAnswered);
  }

  async function ask(method: string, path: string, body?: unknown): Promise<Json> {
    const response = await send(method, path, body);
    if (response.status === 204 && method !== 'GET') return {};
    const answer = await readJson(response);
    hasAnswered ||= answer !== undefined && (response.ok || typeof answer.code === 'string');
    if (response.ok && answer !== undefined) return answer;
    throw await failureOf(response, answer);
  }

  async function page(path: string): Promise<Page> {
    const answer = await ask('GET', path);
    const { next_cursor } = answer;
    if (next_cursor !== null && typeof next_cursor !== 'string') throw notBroker('answered without next_cursor');
    return { data: listOf(answer, 'data'), next_cursor };
  }

  const readJson = async (response: Response): Promise<Json | undefined> => {
    const answer: unknown = await response.json().catch((error: Error) => {
      // Otherwise it broke off.
      if (!(error instanceof SyntaxError)) throw unanswered(error);
    });
    return isObject(answer) ? answer : undefined;
  };

  async function failureOf(response: Response, answer: Json | undefined): Promise<Failure> {
    const isTransient = [408, 429].includes(response.status) || response.status >= 500;
    if (typeof answer?.code !== 'string')
      return notBroker(`status ${response.status}`, ` at ${url}`, isTransient && hasAnswered, retryAfter(response));
    const wait = response.headers.get('retry-after');
    const later = wait === null ? [] : [`Try again in ${wait} seconds.`];
    const lines = [...explained(answer), ...(await advice(answer)), ...later];
    return new Failure(lines.map(visibleText).join('\n'), EXIT.refused, answer, isTransient, retryAfter(response));
  }

  /** What to do about a problem, if its own text does not say. */
  async function advice({ code, missing, candidates }: Json): Promise<string[]> {
    if (code === 'unauthenticated') return [`The key comes from ${variable}: set it to a key of the broker at ${url}.`];
    if (code === 'ambiguous_connection')
      return (candidates as Json[]).map((c) => `  --connection ${c.connection_id}  label ${c.label ?? '(none)'}`);
    if (code !== 'forbidden' || typeof missing !== 'object') return [];
    const { action, integration, owner, scopes, min_ttl, method, path } = missing as Json;
    if (method !== undefined || path !== undefined)
      return [
        `A grant with "proxy" for ${method ?? 'this method'} ${path ?? ''} is missing; see docs/proxy.md#grants.`,
      ];
    const me = await send('GET', '/v1/whoami')
      .then(async (answer) => (answer.ok ? ((await answer.json()) as Json).id : undefined))
      .catch(() => undefined);
    const wanted = `--action ${action} --integration ${quoted(integration)} --owner ${quoted(owner)}`;
    const bounds = [
      ...(Array.isArray(scopes) ? scopes.map((scope) => ` --scope ${quoted(scope)}`) : []),
      ...(min_ttl === undefined ? [] : [` --max-min-ttl ${min_ttl}`]),
    ].join('');
    return [`An admin can grant this with: valetkey callers update ${me ?? 'ID'} --add ${wanted}${bounds}`];
  }

  return {
    ask,
    page,
    async call(path, init) {
      const response = await request(path, init);
      const { headers } = response;
      if (headers.get('valetkey-error') !== '1' && headers.has('valetkey-request-id')) return response;
      throw await failureOf(response, await readJson(response));
    },
    async *all(path: string, query = {}, limit = Number.POSITIVE_INFINITY) {
      const search = queryOf({ ...query, limit: String(Math.min(limit, MAX_PAGE_SIZE)) });
      for (let left = limit; left > 0; ) {
        const { data, next_cursor: next } = await page(`${path}?${search}`);
        const rows = data.slice(0, left);
        yield* rows;
        left -= rows.length;
        if (next === null) return;
        search.set('cursor', next);
      }
    },
  };
}

function notBroker(why: string, where = '', isTransient = false, after?: number): Failure {
  const message = `the server${where} is not a Valetkey broker (${why}); set VALETKEY_URL`;
  return new Failure(message, EXIT.unreachable, undefined, isTransient, after);
}

/** A member of an answer that is a list of objects. Throws `Failure`: no broker answers without it. */
export function listOf(answer: Json, member: string): Json[] {
  const list = answer[member];
  if (!Array.isArray(list) || !list.every(isObject)) throw notBroker(`answered without ${member}`);
  return list;
}

/** One that is an object. */
export function objectOf(answer: Json, member: string): Json {
  const value = answer[member];
  if (!isObject(value)) throw notBroker(`answered without ${member}`);
  return value;
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Encodes a path segment. */
export const part = (id: string): string => encodeURIComponent(id);

/** A query string without the undefined members. */
export const queryOf = (query: Record<string, string | undefined>): URLSearchParams =>
  new URLSearchParams(Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined));

/** Quoted for a shell, if needed. */
export const quoted = (word: unknown): string =>
  /^[\w.:@/+-]+$/.test(String(word)) ? String(word) : `'${String(word).replaceAll("'", `'\\''`)}'`;

function explained({ title, detail, issues }: Json): string[] {
  const each = (issues as { path: string; message: string }[] | undefined) ?? [];
  return [`${title}: ${detail}`, ...each.map(({ path, message }) => `  ${path}: ${message}`)];
}
