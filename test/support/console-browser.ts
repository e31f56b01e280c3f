// A browser of the console without scripts: it keeps cookies, follows redirects, and posts the forms that it was shown.
import { expect } from 'vitest';
import { type HttpRequest, send } from './http-request.ts';

export interface ConsolePage {
  status: number;
  /** Where it is, after redirects. */
  url: URL;
  html: string;
  headers: Headers;
  /** The visible text, in one line. */
  text: string;
}

export interface ConsoleBrowser {
  cookies: Map<string, string>;
  /** Deletes the cookies of another origin: signs out at the provider. */
  forget(origin: string): void;
  get(path: string, request?: Pick<HttpRequest, 'headers'>): Promise<ConsolePage>;
  /** Posts these fields with the token of the page that was shown last; `headers` as a browser of the same site sends them. */
  post(path: string, fields?: Record<string, string>, headers?: Record<string, string>): Promise<ConsolePage>;
}

/** The mode of a request is that of `fetch` (./http-request.ts), which is no navigation: one that says its site as well would be a script's. */
const SAME_ORIGIN = { 'sec-fetch-site': 'same-origin' };

/** `origin` is that of the console; redirects to other origins are followed as well, with the cookies of each. */
export function consoleBrowser(origin: string): ConsoleBrowser {
  const jars = new Map<string, Map<string, string>>();
  const jarOf = (url: URL) => jars.get(url.origin) ?? jars.set(url.origin, new Map()).get(url.origin)!;
  let token = '';

  async function visit(url: URL, request: HttpRequest): Promise<ConsolePage> {
    const jar = jarOf(url);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await send(url, { ...request, headers: { ...(cookie && { cookie }), ...request.headers } });
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split('; ');
      const [name = '', value = ''] = pair.split('=');
      if (attributes.includes('Max-Age=0')) jar.delete(name);
      else jar.set(name, value);
    }
    const to = response.headers.get('location');
    if (to !== null && response.status >= 300 && response.status < 400) {
      return visit(new URL(to, url), { method: 'GET' });
    }
    const html = response.text;
    token = /name="form_token" value="([^"]+)"/.exec(html)?.[1] ?? token;
    const text = html
      .replace(/<(script|style)[\s\S]*?<\/\1>/g, ' ')
      .replace(/<[^>]+>/g, ' ')
      .replace(/\s+/g, ' ');
    return { status: response.status, url, html, headers: response.headers, text };
  }

  return {
    cookies: jarOf(new URL(origin)),
    forget: (other) => jarOf(new URL(other)).clear(),
    get: (path, request = {}) => visit(new URL(path, origin), { method: 'GET', ...request }),
    post: (path, fields = {}, headers = {}) =>
      visit(new URL(path, origin), {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...SAME_ORIGIN, ...headers },
        body: new URLSearchParams({ form_token: token, ...fields }).toString(),
      }),
  };
}

/** Opens the link that `POST /v1/console-links` has made, and presses its button. */
export async function openLink(browser: ConsoleBrowser, link: unknown): Promise<ConsolePage> {
  const { pathname } = new URL(String(link));
  expect((await browser.get(pathname)).text).toContain('This link signs you in, once.');
  return browser.post(pathname);
}
