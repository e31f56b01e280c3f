// The headers of every answer that a browser shows.
import type { MiddlewareHandler } from 'hono';
import { secureHeaders } from 'hono/secure-headers';

/**
 * Nothing but our own stylesheet is loaded, nobody frames us, and no URL (it holds an invitation or a code) leaves as a
 * referrer or stays in a cache. HSTS only where the public URL is https: over http browsers must ignore it (RFC 6797 7.2).
 *
 * With `no-referrer` a form is posted with `Origin: null`: tell our own posts by `Sec-Fetch-Site` and the cookie.
 */
export function browserSecurity(publicUrl: string): MiddlewareHandler {
  const headers = secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      baseUri: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
    },
    xFrameOptions: 'DENY',
    referrerPolicy: 'no-referrer',
    strictTransportSecurity: new URL(publicUrl).protocol === 'https:' ? 'max-age=31536000' : false,
    // The flow may run in a pop-up, whose opener waits for it to come back to `return_url`.
    crossOriginOpenerPolicy: false,
  });
  return async (c, next) => {
    await headers(c, next);
    c.header('Cache-Control', 'no-store');
  };
}
