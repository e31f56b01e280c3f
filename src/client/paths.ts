// Paths at the broker. Every value is encoded, so that two different requests never share a path.
import { ValetkeyError } from './errors.ts';

/**
 * Selects a connection: by its id, or by integration, owner and, if the owner has several, label. A label that is empty or
 * null is that of the connection without one.
 */
export type ConnectionSelector =
  | { connection: string; integration?: never; owner?: never; label?: never }
  | ({ connection?: never } & { integration: string; owner: string; label?: string | null });

export const tokenPath = (selector: ConnectionSelector): string => selectedPath(selector, 'token');

/** Where it says how its API is called. */
export const apiPath = (selector: ConnectionSelector): string => selectedPath(selector, 'api');

function selectedPath({ connection, integration, owner, label }: ConnectionSelector, what: 'token' | 'api'): string {
  if (connection !== undefined) return `${connectionPath(connection)}/${what}`;
  const query = new URLSearchParams({ integration: filled('integration', integration), owner: filled('owner', owner) });
  if (label !== undefined) query.set('label', text('label', label ?? ''));
  return `/v1/${what}?${query}`;
}

/** Where calls of a connection begin, and the headers that name it where the path does not. */
export function proxyRoute({ connection, integration, owner, label }: ConnectionSelector): ProxyRoute {
  if (connection !== undefined) return { path: `${connectionPath(connection)}/proxy`, headers: {} };
  const headers: Record<string, string> = { 'valetkey-owner': encodeURIComponent(filled('owner', owner)) };
  if (label !== undefined) headers['valetkey-label'] = encodeURIComponent(text('label', label ?? ''));
  return { path: `/v1/proxy/${segment(integration)}`, headers };
}

export interface ProxyRoute {
  path: string;
  headers: Record<string, string>;
}

export const connectionPath = (id: string): string => `/v1/connections/${segment(id)}`;
export const sessionPath = (id: string): string => `/v1/connect-sessions/${segment(id)}`;

export function sessionsPath(filter: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, String(value));
  return `/v1/connect-sessions?${query}`;
}

/** `..` would change the path, even when it is percent-encoded. */
function segment(id: string): string {
  if (typeof id === 'string' && /^[\w-]+$/.test(id)) return id;
  throw misused('An id consists of letters, digits, dashes and underscores');
}

/**
 * What is no text would become one: JavaScript without types would read the token of an owner "undefined" or
 * "[object Object]". Half a surrogate pair would become the same character for all.
 */
function text(name: string, value: unknown): string {
  if (typeof value !== 'string')
    throw misused(`${name} must be a string, and is ${value === null ? 'null' : typeof value}`);
  if (/\p{Surrogate}/u.test(value)) throw misused(`${name} must be well-formed Unicode`);
  return value;
}

function filled(name: string, value: unknown): string {
  if (value === '') throw misused(`${name} must not be empty`);
  return text(name, value);
}

const misused = (detail: string): ValetkeyError => new ValetkeyError({ code: 'invalid_request', status: 0, detail });
