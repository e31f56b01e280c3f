// Follows redirects by hand. No runtime removes a token from another header or the query when a redirect leaves the
// origin, and not every one removes `Authorization`.
import { isStream } from './attach-token.ts';

export interface Hop {
  url: URL;
  init: RequestInit;
  /** Whether the token is attached. Once a redirect has left the origin, it stays false. */
  trusted: boolean;
}

export const MAX_HOPS = 20;

/** The next request, by the rules of the Fetch standard. Undefined: this response is the final one. */
export function nextHop({ url, init, trusted }: Hop, response: Response): Hop | undefined {
  const { status, headers } = response;
  const location = headers.get('location');
  if (![301, 302, 303, 307, 308].includes(status) || location === null || !URL.canParse(location, url.href))
    return undefined;
  const next = new URL(location, url);
  if (!/^https?:$/.test(next.protocol)) return undefined;
  const method = init.method ?? 'GET';
  const becomesGet = status === 303 ? method !== 'HEAD' : status <= 302 && method === 'POST';
  if (!becomesGet && isStream(init.body)) return undefined;
  const forwarded = new Headers(init.headers);
  const same = trusted && next.origin === url.origin;
  if (!same) for (const name of ['authorization', 'cookie', 'host', 'proxy-authorization']) forwarded.delete(name);
  if (!becomesGet) return { url: next, init: { ...init, headers: forwarded }, trusted: same };
  for (const name of ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length']) {
    forwarded.delete(name);
  }
  const { body: _, ...bodiless } = init;
  return { url: next, init: { ...bodiless, method: 'GET', headers: forwarded }, trusted: same };
}
