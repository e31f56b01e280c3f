// The security headers of every browser page.
import type { MiddlewareHandler } from 'hono';
import { secureHeaders } from 'hono/secure-headers';

/**
 * Only our own stylesheet is loaded, no page can frame ours, and no URL (it contains a connect link's secret or a code) is
 * sent as a referrer or cached. HSTS only if the public URL is https: over http, browsers ignore it (RFC 6797 7.2).
 *
 * With `no-referrer`, forms are posted with `Origin: null`: recognize our own posts by `Sec-Fetch-Site` and the cookie.
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
    // The flow may run in a pop-up, and its opener waits until it is back at `return_url`.
    crossOriginOpenerPolicy: false,
  });
  return async (c, next) => {
    await headers(c, next);
    c.header('Cache-Control', 'no-store');
  };
}
