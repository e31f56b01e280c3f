// The security headers of every browser page.
import type { Context, MiddlewareHandler } from 'hono';
import { secureHeaders } from 'hono/secure-headers';

const LEADS_AWAY = 'formLeadsAway';

/**
 * The post of this page's form is answered with a redirect to the provider. Browsers apply `form-action` to every redirect
 * after a post, and the provider may redirect to whatever it signs people in with.
 */
export const allowFormToLeadAway = (c: Context): void => c.set(LEADS_AWAY, true);

const HAS_SCRIPT = 'hasScript';

/** This page has the one script that there is: that of the last page of a pop-up. */
export const allowScript = (c: Context): void => c.set(HAS_SCRIPT, true);

/**
 * Only our own stylesheets and the logo of a theme are loaded, no page can frame ours, and no URL (it contains a connect link's secret or a code) is
 * sent as a referrer or cached. HSTS only if the public URL is https: over http, browsers ignore it (RFC 6797 7.2).
 *
 * With `no-referrer`, forms are posted with `Origin: null`: recognize our own posts by `Sec-Fetch-Site` and the cookie.
 */
export function browserSecurity(publicUrl: string): MiddlewareHandler {
  const headers = secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
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
    const policy = c.res.headers.get('content-security-policy');
    if (c.get(LEADS_AWAY) && policy)
      c.header('Content-Security-Policy', policy.replace("form-action 'self'", "form-action 'self' https: http:"));
    if (c.get(HAS_SCRIPT) && policy)
      c.header('Content-Security-Policy', policy.replace("style-src 'self'", "script-src 'self'; style-src 'self'"));
    c.header('Cache-Control', 'no-store');
  };
}
