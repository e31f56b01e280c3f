// A minimal browser for the demo and the tests: cookies, redirects, forms.

/** Cookies by host, name and path (RFC 6265 5.3, 5.4), as far as loopback flows need them. Ports are ignored. */
export interface CookieJar {
  keep(url: URL, response: Pick<Response, 'headers'>): void;
  header(url: URL): string | undefined;
}

export function createCookieJar(): CookieJar {
  const cookies = new Map<string, { host: string; path: string; name: string; value: string }>();
  return {
    keep(url, response) {
      for (const line of response.headers.getSetCookie()) {
        const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
        const [name, value] = split(pair);
        const known = new Map(attributes.map((attribute) => split(attribute)).map(([k, v]) => [k.toLowerCase(), v]));
        const path = known.get('path') || '/';
        const key = JSON.stringify([url.hostname, path, name]);
        const gone = known.get('max-age') === '0' || Date.parse(known.get('expires') ?? '') <= Date.now();
        if (gone) cookies.delete(key);
        else cookies.set(key, { host: url.hostname, path, name, value });
      }
    },
    header(url) {
      const fitting = [...cookies.values()].filter(
        ({ host, path }) => host === url.hostname && within(url.pathname, path),
      );
      return fitting.length === 0 ? undefined : fitting.map(({ name, value }) => `${name}=${value}`).join('; ');
    },
  };
}

const split = (pair: string): [string, string] => {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
};

const within = (pathname: string, path: string) =>
  pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`);

export interface Walk {
  /** Press "Cancel" if there is such a button. */
  cancel?: boolean;
  /** The user name to sign in with. */
  login?: string;
  /** Values of other fields, by name. */
  fields?: Record<string, string>;
  jar?: CookieJar;
  /** Stop before requesting a URL with this prefix, such as a callback without a server. */
  stopAt?: string;
}

export interface Walked {
  /** The last URL requested, or the one that it stopped at. */
  url: URL;
  /** Undefined if it stopped before a request. */
  response: Response | undefined;
  /** The body of `response`. */
  text: string;
  /** The targets of all redirects, in order. */
  redirects: string[];
  jar: CookieJar;
}

const MAX_STEPS = 30;

/** Opens the URL, follows redirects, fills in and submits the first form of each page, until a page has none. */
export async function walkThrough(start: string | URL, walk: Walk = {}): Promise<Walked> {
  const { jar = createCookieJar(), stopAt } = walk;
  const redirects: string[] = [];
  let url = new URL(start);
  let form: URLSearchParams | undefined;
  for (let step = 0; step < MAX_STEPS; step++) {
    if (stopAt !== undefined && url.href.startsWith(stopAt))
      return { url, response: undefined, text: '', redirects, jar };
    const cookie = jar.header(url);
    const response: Response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: {
        accept: 'text/html',
        ...(cookie === undefined ? {} : { cookie }),
        ...(form ? { origin: url.origin } : {}),
      },
      ...(form ? { body: form } : {}),
    });
    jar.keep(url, response);
    const location = response.headers.get('location');
    const text = await response.text();
    if (location !== null) {
      url = new URL(location, url);
      redirects.push(url.href);
      form = undefined;
      continue;
    }
    const next = response.ok ? firstForm(text, url, walk) : undefined;
    if (next === undefined) return { url, response, text, redirects, jar };
    ({ url, form } = next);
  }
  throw new Error(`not finished after ${MAX_STEPS} steps, at ${url.origin}${url.pathname}`);
}

/** The first form as a person submits it: default or given values, and the matching button. */
function firstForm(
  html: string,
  base: URL,
  { cancel, login, fields }: Walk,
): { url: URL; form: URLSearchParams } | undefined {
  const [, attributes = '', content = ''] = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html) ?? [];
  if (content === '') return undefined;
  const values: Record<string, string | undefined> = { ...fields, ...(login === undefined ? {} : { login }) };
  const form = new URLSearchParams();
  for (const [, input = ''] of content.matchAll(/<input\b([^>]*)>/gi)) {
    const name = attribute(input, 'name');
    if (name !== undefined) form.set(name, values[name] ?? attribute(input, 'value') ?? '');
  }
  const buttons = [...content.matchAll(/<button\b([^>]*)>/gi)].map(([, button = '']) => button);
  const pressed =
    buttons.find((button) => (attribute(button, 'value') === 'cancel') === (cancel === true)) ?? buttons[0] ?? '';
  const name = attribute(pressed, 'name');
  if (name !== undefined) form.set(name, attribute(pressed, 'value') ?? '');
  return { url: new URL(attribute(attributes, 'action') || base.href, base), form };
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(tag)?.[1];
  return value?.replace(/&(amp|lt|gt|quot|#39);/g, (_, entity: string) => ENTITIES[entity] ?? '');
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
