// The cookies of the console: that of the session, and one for each sign-in that is under way.
import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { CONSOLE_SESSION_TTL_MS, SESSION_TTL_MS } from '../../domain/time-limits.ts';
import { cookieScope, secretIn } from '../middleware/cookie-scope.ts';

export interface ConsoleCookies {
  /** The secret of the session. */
  session(c: Context): string | undefined;
  setSession(c: Context, secret: string): void;
  clearSession(c: Context): void;
  /** What the sign-in with this tag has stored; it is deleted with the answer. */
  takeSignIn(c: Context, tag: string): string | undefined;
  /** Deletes the oldest where there would be too many: a page elsewhere can begin sign-ins in any number. */
  setSignIn(c: Context, tag: string, value: string): void;
}

/** Each has about 500 bytes, and servers refuse more than 16 kB of headers. */
const MOST_SIGN_INS = 6;

export function createConsoleCookies(url: string, base: string): ConsoleCookies {
  const { prefix, options } = cookieScope(url, base);
  const { path, secure } = options;
  const name = `${prefix}valetkey-console`;
  const signIn = `${prefix}valetkey-sign-in-`;
  const nameOf = (tag: string) => `${signIn}${tag}`;

  return {
    session: (c) => secretIn(getCookie(c, name)),
    setSession: (c, secret) => setCookie(c, name, secret, { ...options, maxAge: CONSOLE_SESSION_TTL_MS / 1_000 }),
    clearSession: (c) => void deleteCookie(c, name, { path, secure }),
    takeSignIn(c, tag) {
      const value = getCookie(c, nameOf(tag));
      if (value !== undefined) deleteCookie(c, nameOf(tag), { path, secure });
      return value;
    },
    setSignIn(c, tag, value) {
      // The oldest first (RFC 6265 5.4).
      const others = Object.keys(getCookie(c)).filter((one) => one.startsWith(signIn));
      for (const one of others.slice(0, Math.max(0, others.length - MOST_SIGN_INS + 1)))
        deleteCookie(c, one, { path, secure });
      setCookie(c, nameOf(tag), value, { ...options, maxAge: SESSION_TTL_MS / 1_000 });
    },
  };
}
