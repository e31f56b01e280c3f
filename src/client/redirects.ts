// Following redirects by hand: no runtime withholds a token in a header of another name or in the query from the place
// that it is sent on to, and not every one that in `Authorization`.
import { isStream } from './send.ts';

export interface Hop {
  url: URL;
  init: RequestInit;
  /** Whether the token goes along. Once it stayed behind, it stays behind. */
  trusted: boolean;
}

export const MAX_HOPS = 20;

/** Where the answer sends the request on to, as fetch would follow it; undefined: the answer is the last. */
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
  const kept = new Headers(init.headers);
  const same = trusted && next.origin === url.origin;
  if (!same) for (const name of ['authorization', 'cookie', 'host', 'proxy-authorization']) kept.delete(name);
  if (!becomesGet) return { url: next, init: { ...init, headers: kept }, trusted: same };
  for (const name of ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length']) {
    kept.delete(name);
  }
  const { body: _, ...bodiless } = init;
  return { url: next, init: { ...bodiless, method: 'GET', headers: kept }, trusted: same };
}
