// The cookies of the connect flow: one for each session that a browser has begun, named after it, few at a time.
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { BrowserRequest } from '../../broker/connections/index.ts';
import { BROWSER_COOKIE_TTL_MS } from '../../domain/time-limits.ts';

type BrowserCookie = BrowserRequest['cookies'][number];

export interface BrowserCookies {
  /** Those that the request has, the oldest first (RFC 6265 5.4). A value that we did not set counts as none. */
  read(c: Context): BrowserCookie[];
  /** Sets one, and deletes the oldest where there would be too many: a page elsewhere can open links in any number. */
  set(c: Context, cookie: BrowserCookie): void;
}

const MOST = 12;
const SECRET = /^[\w-]{43}$/;
/** The tag of the session, and the beginning of the secret: two tabs that begin at once do not replace each other's. */
const NAME = /^valetkey-([0-9a-f]{10})-[\w-]{6}$/;

/**
 * `__Host-`: only from this host, and only over https (RFC 6265bis 4.1.3). It wants the path `/`, so that a sub-path gets
 * `__Secure-` and its own path, which keeps the cookies from what else the host serves. Plain http allows neither.
 */
export function createBrowserCookies(publicUrl: string, base: string): BrowserCookies {
  const secure = publicUrl.startsWith('https:');
  const prefix = secure ? (base === '' ? '__Host-' : '__Secure-') : '';
  const path = `${base}/`;
  const options = { path, httpOnly: true, sameSite: 'Lax', secure, maxAge: BROWSER_COOKIE_TTL_MS / 1_000 } as const;
  const nameOf = ({ tag, secret }: BrowserCookie) => `${prefix}valetkey-${tag}-${secret.slice(0, 6)}`;
  /** Of releases that had one for all sessions; its path was `/`. */
  const earlier = `${secure ? '__Host-' : ''}valetkey`;

  const ours = (c: Context) =>
    Object.entries(getCookie(c)).flatMap(([name, secret]) => {
      if (!SECRET.test(secret)) return [];
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
      setCookie(c, nameOf(cookie), cookie.secret, options);
    },
  };
}
