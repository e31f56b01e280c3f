// The cookies of the connect flow: one for each session that a browser has begun, named after it, few at a time.
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { BrowserRequest } from '../../broker/connections/index.ts';
import { BROWSER_COOKIE_TTL_MS } from '../../domain/time-limits.ts';
import { cookieScope, secretIn } from './cookie-scope.ts';

type BrowserCookie = BrowserRequest['cookies'][number];

export interface BrowserCookies {
  /** Those that the request has, the oldest first (RFC 6265 5.4). A value that we did not set counts as none. */
  read(c: Context): BrowserCookie[];
  /** Sets one, and deletes the oldest where there would be too many: a page elsewhere can open links in any number. */
  set(c: Context, cookie: BrowserCookie): void;
}

const MOST = 12;
/** The tag of the session, and the beginning of the secret: two tabs that begin at once do not replace each other's. */
const NAME = /^valetkey-([0-9a-f]{10})-[\w-]{6}$/;

export function createBrowserCookies(publicUrl: string, base: string): BrowserCookies {
  const { prefix, options } = cookieScope(publicUrl, base);
  const { path, secure } = options;
  const maxAge = BROWSER_COOKIE_TTL_MS / 1_000;
  const nameOf = ({ tag, secret }: BrowserCookie) => `${prefix}valetkey-${tag}-${secret.slice(0, 6)}`;
  /** Of releases that had one for all sessions; its path was `/`. */
  const earlier = `${secure ? '__Host-' : ''}valetkey`;

  const ours = (c: Context) =>
    Object.entries(getCookie(c)).flatMap(([name, secret]) => {
      if (secretIn(secret) === undefined) return [];
      if (name === earlier) return [{ name, tag: '', secret }];
      const tag = name.startsWith(prefix) ? NAME.exec(name.slice(prefix.length))?.[1] : undefined;
      return tag === undefined ? [] : [{ name, tag, secret }];
    });

  return {
    read: (c) => ours(c).map(({ tag, secret }) => ({ tag, secret })),
    set(c, cookie) {
      const others = ours(c).filter(({ tag }) => tag !== '');
      for (const { name } of others.slice(0, Math.max(0, others.length - MOST + 1)))
        deleteCookie(c, name, { path, secure });
      setCookie(c, nameOf(cookie), cookie.secret, { ...options, maxAge });
    },
  };
}
