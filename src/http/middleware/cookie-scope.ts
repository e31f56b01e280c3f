// How our cookies are named and scoped, and which values they may have.

/**
 * `__Host-`: only from this host, and only over https (RFC 6265bis 4.1.3). It wants the path `/`, so that a sub-path gets
 * `__Secure-` and its own path, which keeps the cookies from what else the host serves. Plain http allows neither.
 */
export function cookieScope(publicUrl: string, base: string) {
  const secure = publicUrl.startsWith('https:');
  const prefix = secure ? (base === '' ? '__Host-' : '__Secure-') : '';
  return { prefix, options: { path: `${base}/`, httpOnly: true, sameSite: 'Lax', secure } as const };
}

/** A value that we did not set counts as none. */
export const secretIn = (value: string | undefined): string | undefined =>
  value !== undefined && /^[\w-]{43}$/.test(value) ? value : undefined;
