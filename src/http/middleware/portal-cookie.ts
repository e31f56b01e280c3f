// The cookie of the page of an owner's connections: one for each browser, and not that of a connect session.
import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { PORTAL_SESSION_TTL_MS } from '../../domain/time-limits.ts';

export interface PortalCookie {
  /** A value that we did not set counts as none. */
  read(c: Context): string | undefined;
  set(c: Context, secret: string): void;
}

const SECRET = /^[\w-]{43}$/;

/** Named and scoped as in browser-cookies.ts. */
export function createPortalCookie(publicUrl: string, base: string): PortalCookie {
  const secure = publicUrl.startsWith('https:');
  const prefix = secure ? (base === '' ? '__Host-' : '__Secure-') : '';
  const name = `${prefix}valetkey-portal`;
  const maxAge = PORTAL_SESSION_TTL_MS / 1_000;
  return {
    read(c) {
      const secret = getCookie(c, name);
      return secret !== undefined && SECRET.test(secret) ? secret : undefined;
    },
    set: (c, secret) =>
      setCookie(c, name, secret, { path: `${base}/`, httpOnly: true, sameSite: 'Lax', secure, maxAge }),
  };
}
