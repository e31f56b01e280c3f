// The broker over HTTP: asked with the caller key of the environment; what it refuses is told with what to do about it.
import type { Command } from 'commander';
import { EXIT, Failure, misused } from './failure.ts';
import type { Io } from './io.ts';

export type Json = Record<string, unknown>;

/** What `--url` and `--json` say, for every command. */
export interface Globals {
  url?: string;
  json?: boolean;
}
export const globalsOf = (command: Command): Globals => command.optsWithGlobals<Globals>();

export type Broker = ReturnType<typeof brokerFor>;

const DEFAULT_URL = 'http://127.0.0.1:8080';
/** Milliseconds: a read may wait for a refresh, and that for a slow provider. */
const PATIENCE_MS = 60_000;
const MOST_ON_A_PAGE = 500;

export function brokerFor(io: Io, command: Command) {
  const url = globalsOf(command).url || io.env.VALETKEY_URL || DEFAULT_URL;
  const variable = io.env.VALETKEY_KEY ? 'VALETKEY_KEY' : 'VALETKEY_ADMIN_KEY';
  const key = io.env[variable];

  async function send(method: string, path: string, body?: unknown): Promise<Response> {
    if (!key) throw new Failure('set VALETKEY_KEY to a caller key (or VALETKEY_ADMIN_KEY)');
    if (!/^https?:/.test(url) || !URL.canParse(url)) throw misused(`the URL of the broker is not one: ${url}`);
    try {
      return await io.fetch(`${url.replace(/\/+$/, '')}${path}`, {
        method,
        headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        // The key is for this broker, not for where it may send us.
        redirect: 'manual',
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch (error) {
      const late = (error as Error).name === 'TimeoutError';
      const how = late ? `the broker at ${url} takes too long` : `no broker answers at ${url}`;
      throw new Failure(`${how}; set VALETKEY_URL, or start one with: valetkey serve`, EXIT.unreachable);
    }
  }

  /** The answer; rejects with `Failure`. */
  async function ask(method: string, path: string, body?: unknown): Promise<Json> {
    const response = await send(method, path, body);
    if (response.status === 204) return {};
    const answer = (await response.json().catch(() => undefined)) as Json | undefined;
    if (answer === undefined || (!response.ok && typeof answer.code !== 'string'))
      throw new Failure(
        `what answers at ${url} is no broker (status ${response.status}); set VALETKEY_URL`,
        EXIT.unreachable,
      );
    if (response.ok) return answer;
    const wait = response.headers.get('retry-after');
    const later = wait === null ? [] : [`Try again in ${wait} seconds.`];
    throw new Failure([...told(answer), ...(await advice(answer)), ...later].join('\n'), EXIT.refused, answer);
  }

  /** What to do about a refusal, where the broker's own words do not say. */
  async function advice({ code, missing, candidates }: Json): Promise<string[]> {
    if (code === 'unauthenticated') return [`The key is that of ${variable}: set it to one that is known at ${url}.`];
    if (code === 'ambiguous_connection')
      return (candidates as Json[]).map((c) => `  --connection ${c.connection_id}  label ${c.label ?? '(none)'}`);
    if (code !== 'forbidden' || typeof missing !== 'object') return [];
    const { action, integration, owner, scopes, min_ttl } = missing as Json;
    const me = await send('GET', '/v1/whoami')
      .then(async (answer) => (answer.ok ? ((await answer.json()) as Json).id : undefined))
      .catch(() => undefined);
    const wanted = `--action ${action} --integration ${quoted(integration)} --owner ${quoted(owner)}`;
    const bounds = [
      ...(Array.isArray(scopes) ? scopes.map((scope) => ` --scope ${quoted(scope)}`) : []),
      ...(min_ttl === undefined ? [] : [` --max-min-ttl ${min_ttl}`]),
    ].join('');
    return [`An admin grants it with: valetkey callers update ${me ?? 'ID'} --add ${wanted}${bounds}`];
  }

  return {
    ask,
    /** Every row of a list, page by page; `most` ends it early. */
    async *all(path: string, query: Record<string, string | undefined> = {}, most = Number.POSITIVE_INFINITY) {
      const search = queryOf({ ...query, limit: String(Math.min(most, MOST_ON_A_PAGE)) });
      for (let left = most; left > 0; ) {
        const { data, next_cursor: next } = await ask('GET', `${path}?${search}`);
        const rows = (data as Json[]).slice(0, left);
        yield* rows;
        left -= rows.length;
        if (next === null) return;
        search.set('cursor', String(next));
      }
    },
  };
}

/** A part of a path. */
export const part = (id: string): string => encodeURIComponent(id);

/** Without what is undefined. */
export const queryOf = (query: Record<string, string | undefined>): URLSearchParams =>
  new URLSearchParams(Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined));

/** As a shell takes it for one word. */
export const quoted = (word: unknown): string =>
  /^[\w.:@/+-]+$/.test(String(word)) ? String(word) : `'${String(word).replaceAll("'", `'\\''`)}'`;

function told({ title, detail, issues }: Json): string[] {
  const each = (issues as { path: string; message: string }[] | undefined) ?? [];
  return [`${title}: ${detail}`, ...each.map(({ path, message }) => `  ${path}: ${message}`)];
}
