// The cookie of the page of an owner's connections: one for each browser, and not that of a connect session.
import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { PORTAL_SESSION_TTL_MS } from '../../domain/time-limits.ts';
import { cookieScope, secretIn } from './cookie-scope.ts';

export interface PortalCookie {
  /** A value that we did not set counts as none. */
  read(c: Context): string | undefined;
  set(c: Context, secret: string): void;
}

export function createPortalCookie(publicUrl: string, base: string): PortalCookie {
  const { prefix, options } = cookieScope(publicUrl, base);
  const name = `${prefix}valetkey-portal`;
  const maxAge = PORTAL_SESSION_TTL_MS / 1_000;
  return {
    read: (c) => secretIn(getCookie(c, name)),
    set: (c, secret) => setCookie(c, name, secret, { ...options, maxAge }),
  };
}
