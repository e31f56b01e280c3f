// What a caller sets on a webhook endpoint, and what is wrong with it.
import type { InputIssue } from '../../../domain/errors.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';

export interface EndpointSettings
  extends Pick<WebhookEndpoint, 'url' | 'types' | 'integrations' | 'owners' | 'ordered'> {
  /** Sent with each delivery; null: none. They may hold secrets. */
  headers: Record<string, string> | null;
  description: string | null;
}

type Members = EndpointSettings & { enabled: boolean };
/** Undefined members stay. */
export type EndpointChange = { [Member in keyof Members]?: Members[Member] | undefined };

/** Without the members that stay. */
export const givenOf = (change: EndpointChange): Partial<Members> =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));

/** Set by the delivery itself, or by HTTP (RFC 9110, RFC 9112). */
const RESERVED = new Set([
  'host',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'proxy-authorization',
  'proxy-connection',
]);
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i;
const HEADER_VALUE = /^[\x20-\x7e]{0,4096}$/;
const MAX_HEADERS = 20;

/** `checkUrl`: why a URL may not be requested, in words. */
export function settingsIssues(
  { url, headers }: Partial<Pick<EndpointSettings, 'url' | 'headers'>>,
  checkUrl: (url: string) => string | undefined,
): InputIssue[] {
  return [...(url === undefined ? [] : urlIssues(url, checkUrl)), ...headerIssues(headers ?? {})];
}

/**
 * Headers may hold secrets of the receiver, which are never shown: who changes where they are sent must know them. A URL that is
 * not valid has an issue of its own.
 */
export const keepsHeadersElsewhere = (before: WebhookEndpoint, { url, headers }: Partial<Members>): boolean =>
  before.headers !== null &&
  headers === undefined &&
  url !== undefined &&
  URL.parse(url)?.origin !== URL.parse(before.url)?.origin;

function urlIssues(url: string, checkUrl: (url: string) => string | undefined): InputIssue[] {
  const problem = url.includes('#') ? 'must not have a fragment' : checkUrl(url);
  return problem === undefined ? [] : [{ path: 'url', message: problem }];
}

function headerIssues(headers: Record<string, string>): InputIssue[] {
  const names = Object.keys(headers);
  // Each is compared with all others.
  if (names.length > MAX_HEADERS) return [{ path: 'headers', message: `at most ${MAX_HEADERS}` }];
  const problem = (name: string): string | undefined => {
    if (!HEADER_NAME.test(name)) return 'is not the name of a header';
    if (RESERVED.has(name.toLowerCase()) || /^webhook-/i.test(name)) return 'is set by the delivery itself';
    if (names.some((other) => other !== name && other.toLowerCase() === name.toLowerCase())) return 'is there twice';
    return HEADER_VALUE.test(headers[name]!) ? undefined : 'has characters that a header cannot have, or is too long';
  };
  return names.flatMap((name) => {
    const message = problem(name);
    return message === undefined ? [] : [{ path: `headers.${name.slice(0, 128)}`, message }];
  });
}

/** The names of the members that a change gives another value. Of `headers` it is not known. */
export const changedMembers = (before: WebhookEndpoint, change: Partial<Members>) =>
  (Object.entries(change) as [keyof Members, unknown][])
    .filter(([name, value]) => name === 'headers' || JSON.stringify(before[name]) !== JSON.stringify(value))
    .map(([name]) => name);
