// What hosts and parts of URLs mean.

/** Whether a `URL.hostname` names this machine only: `localhost`, `[::1]` or 127.0.0.0/8. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);

/** Origin and path. Undefined: it is no URL. */
export function withoutQuery(text: string): string | undefined {
  const url = URL.parse(text);
  return url ? `${url.origin}${url.pathname}` : undefined;
}

/** The path of a public URL, without a slash at its end: what the paths of the broker are below. Mostly empty. */
export const basePath = (publicUrl: string): string => new URL(publicUrl).pathname.replace(/\/+$/, '');

/** What was percent-encoded; undefined: it is not UTF-8 in that encoding. */
export function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** A name or value of a form or a query (`application/x-www-form-urlencoded`); what is not encoded so stays as it is. */
export const formDecoded = (text: string): string => percentDecoded(text.replaceAll('+', ' ')) ?? text;
