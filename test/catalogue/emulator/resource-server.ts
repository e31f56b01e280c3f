// How a token is sent to an API by its `token_type`: for the test's requests, and for the emulator's checks.
import type { Request, Values } from './request.ts';
import type { Row } from './vendor.ts';

/** The token is a pair of keys that sign requests, and is not sent. */
export const SIGNED = 'AWS4-HMAC-SHA256';

/** The token types that a row's API accepts; the broker must return the first. */
export function acceptedTokenTypes(row: Row): string[] {
  const basic = row.flow === 'static' && typeof row.credentials === 'object' && 'username' in row.credentials;
  return [row.api.tokenType ?? (basic ? 'Basic' : 'Bearer')].flat();
}

/** Where a request has the token, by its type. */
export function tokenPlacement(
  tokenType: string,
  token: string,
): { headers: Values; query: Values; form: Values | undefined } {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(tokenType) ?? [];
  if (place === 'query') return { headers: {}, query: { [name]: token }, form: undefined };
  if (place === 'body') return { headers: {}, query: {}, form: { [name]: token } };
  const headers = place === 'header' ? { [name]: token } : { authorization: `${tokenType} ${token}` };
  return { headers, query: {}, form: undefined };
}

/** Faults in words; empty when the token is where its type says and is valid. */
export function checkToken(takes: string, request: Request, opens: (text: string) => boolean): string[] {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(takes) ?? [];
  const { authorization } = request.headers;
  const token = {
    header: () => request.headers[name.toLowerCase()],
    query: () => request.query[name],
    body: () => request.fields[name],
    scheme: () => (authorization?.startsWith(`${takes} `) ? authorization.slice(takes.length + 1) : undefined),
  }[(place ?? 'scheme') as 'header' | 'query' | 'body' | 'scheme']();
  if (token === undefined) return [`no token as ${takes} (authorization: ${authorization ?? 'none'})`];
  return opens(token) ? [] : [`the token as ${takes} opens nothing`];
}

/** The URL with additional query parameters. */
export function withQuery(url: string, query: Values): URL {
  const whole = new URL(url);
  for (const [name, value] of Object.entries(query)) whole.searchParams.set(name, value);
  return whole;
}
