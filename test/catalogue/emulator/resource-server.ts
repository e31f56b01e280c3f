// How a token travels to an API, in the words of the contract's `token_type`: put there by the driver, looked for here.
import type { Request, Values } from './request.ts';
import type { Row } from './vendor.ts';

/** The token is keys, and does not travel. */
export const SIGNED = 'AWS4-HMAC-SHA256';

/** What the API of a row takes; the first is what the broker must say. */
export function takesOf(row: Row): string[] {
  const basic = row.flow === 'given' && typeof row.credentials === 'object' && 'username' in row.credentials;
  return [row.api.takes ?? (basic ? 'Basic' : 'Bearer')].flat();
}

/** What is sent besides the URL: the token as its type says. */
export function carrying(
  tokenType: string,
  token: string,
): { headers: Values; query: Values; form: Values | undefined } {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(tokenType) ?? [];
  if (place === 'query') return { headers: {}, query: { [name]: token }, form: undefined };
  if (place === 'body') return { headers: {}, query: {}, form: { [name]: token } };
  const headers = place === 'header' ? { [name]: token } : { authorization: `${tokenType} ${token}` };
  return { headers, query: {}, form: undefined };
}

/** In words; empty when it is there as the type says, nowhere else in the header, and opens. */
export function checkToken(takes: string, request: Request, opens: (text: string) => boolean): string[] {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(takes) ?? [];
  const { authorization } = request.headers;
  const said = {
    header: () => request.headers[name.toLowerCase()],
    query: () => request.query[name],
    body: () => request.fields[name],
    scheme: () => (authorization?.startsWith(`${takes} `) ? authorization.slice(takes.length + 1) : undefined),
  }[(place ?? 'scheme') as 'header' | 'query' | 'body' | 'scheme']();
  if (said === undefined) return [`no token as ${takes} (authorization: ${authorization ?? 'none'})`];
  return opens(said) ? [] : [`the token as ${takes} opens nothing`];
}

/** The URL with more in its query. */
export function located(url: string, query: Values): URL {
  const whole = new URL(url);
  for (const [name, value] of Object.entries(query)) whole.searchParams.set(name, value);
  return whole;
}
