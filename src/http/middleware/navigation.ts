// Whether a request for a page is a person's navigation (Fetch Metadata). Previews, prefetch and embedded requests are not:
// they must neither begin nor finish anything.
import type { MiddlewareHandler } from 'hono';

/** What a browser requests in advance. `Purpose` and `X-moz` are the names of older browsers. */
const IN_ADVANCE = /prefetch|prerender|preview/i;

/** Whether it is known that no person has opened this. Clients without Fetch Metadata, such as old browsers, are not known. */
export function isNoNavigation(header: (name: string) => string | undefined): boolean {
  if (
    [header('sec-purpose'), header('purpose'), header('x-purpose'), header('x-moz')].some((one) =>
      IN_ADVANCE.test(one ?? ''),
    )
  )
    return true;
  const [mode, destination, site] = [header('sec-fetch-mode'), header('sec-fetch-dest'), header('sec-fetch-site')];
  if (destination !== undefined && destination !== 'document' && destination !== 'empty') return true;
  // A browser sends all of them; HTTP libraries send the mode alone, whatever they are used for.
  return mode !== undefined && mode !== 'navigate' && site !== undefined;
}

/** Our own forms are posted from our own pages, or again by the person (a reload). */
export const isFromElsewhere = (header: (name: string) => string | undefined): boolean =>
  !['same-origin', 'none', undefined].includes(header('sec-fetch-site'));

/** A client that only looks at a link, such as a mail scanner, gets nothing that a person would get. */
export const ignoreHead: MiddlewareHandler = async (c, next) => (c.req.method === 'HEAD' ? c.body(null) : next());
