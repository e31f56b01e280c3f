// The browser pages as text: escaping, accessibility, security headers. test/system/browser/ opens them in a browser.
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import type { ParamField } from '../../src/domain/fields.ts';
import { assets } from '../../src/http/pages/assets.ts';
import { confirmPage } from '../../src/http/pages/confirm.ts';
import { connectedPage } from '../../src/http/pages/connected.ts';
import type { Html, Site } from '../../src/http/pages/layout.ts';
import { type BrowserCode, browserMessage } from '../../src/http/pages/messages.ts';
import { refusedPage } from '../../src/http/pages/refused.ts';
import { browserSecurity } from '../../src/http/pages/security.ts';
import { en, LANGUAGES, textsFor } from '../../src/http/pages/texts/index.ts';

const hostile = `"><script>alert('x')</script><img src=x onerror=alert(1)> & style="`;

const field = (over: Partial<ParamField> = {}): ParamField => ({
  title: 'Subdomain',
  description: 'The first part of your address.',
  example: 'acme',
  pattern: '[a-z]+',
  optional: false,
  ...over,
});

const site: Site = { base: '', appName: 'Acme', texts: en };

const form = (over: Partial<Parameters<typeof confirmPage>[1]> = {}, at = site) =>
  confirmPage(at, {
    action: '/connect/s3cr3t',
    token: 'f0rm',
    providerName: 'Zendesk',
    displayOwner: null,
    fields: { subdomain: field(), region: field({ title: 'Region', optional: true, default: 'eu' }) },
    values: {},
    issues: [],
    lacksCookie: false,
    ...over,
  });

const wrong = {
  values: { subdomain: 'a b' },
  issues: [{ path: 'params.subdomain', message: 'not a valid Subdomain' }],
};

const hostilePages: Record<string, Html> = {
  refused: refusedPage(site, {
    title: hostile,
    message: hostile,
    advice: hostile,
    code: hostile,
    requestId: hostile,
    status: 400,
    wanted: hostile,
    retry: { action: hostile, token: hostile },
  }),
  connected: connectedPage(site, { providerName: hostile, label: hostile }),
  confirm: form(
    {
      action: hostile,
      token: hostile,
      providerName: hostile,
      displayOwner: hostile,
      fields: { subdomain: field({ title: hostile, description: hostile, example: hostile, default: hostile }) },
      values: { subdomain: hostile },
      issues: [
        { path: 'params.subdomain', message: hostile },
        { path: hostile, message: hostile },
      ],
    },
    { base: '', appName: hostile, texts: en, theme: { name: hostile, logo: hostile, stylesheet: hostile } },
  ),
};

const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

describe.each(Object.keys(hostilePages))('the %s page', (name) => {
  const text = async () => String(await hostilePages[name]);

  it('escapes hostile values', async () => {
    const page = await text();
    expect(page).toContain('&lt;script&gt;');
    expect(page).not.toMatch(/<script|<img src=x|onerror=alert\(1\)>/i);
  });

  it('has no script, no inline style and no event handler', async () => {
    // Values are escaped, so every tag that remains is ours.
    for (const tag of (await text()).match(/<[a-z][^>]*>/gi) ?? []) {
      const written = tag.replace(/"[^"]*"/g, '""');
      expect(written).not.toMatch(/^<(script|style|iframe|object|embed)\b/i);
      expect(written).not.toMatch(/\s(style|on[a-z]+)=/i);
    }
  });

  it('has a language, a viewport, one heading and the landmarks', async () => {
    const page = await text();
    expect(page).toMatch(/^<!doctype html>\s*<html lang="en" dir="ltr">/);
    expect(page).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
    for (const tag of ['h1', 'main', 'header', 'footer', 'title'])
      expect(count(page, new RegExp(`<${tag}[ >]`, 'g')), tag).toBe(1);
  });
});

describe('the form', () => {
  it('labels each field and describes it with its hint', async () => {
    const page = String(await form());
    const inputs = [...page.matchAll(/<input id="([^"]+)" name="([^"]+)"/g)];
    expect(inputs.map((m) => m[2])).toEqual(['subdomain', 'region']);
    for (const [, id] of inputs) {
      expect(count(page, new RegExp(`<label for="${id}">`, 'g'))).toBe(1);
      expect(page).toContain(`id="${id}-hint"`);
    }
    expect(page).toContain('aria-describedby="param-subdomain-hint"');
    expect(page).not.toMatch(/aria-invalid|role="alert"/);
  });

  it('marks required fields, and fills in defaults', async () => {
    const inputs = String(await form()).match(/<input id[^>]*>/g);
    expect(inputs?.[0]).toMatch(/ required/);
    expect(inputs?.[1]).not.toMatch(/ required/);
    expect(inputs?.[1]).toContain('value="eu"');
  });

  it('shows an error beside its field, and in a focused summary', async () => {
    const page = String(await form(wrong));
    const input = page.match(/<input id="param-subdomain"[^>]*>/)?.[0];
    expect(input).toContain('aria-invalid="true"');
    expect(input).toContain('aria-describedby="param-subdomain-hint param-subdomain-error"');
    expect(input).toContain('value="a b"');
    expect(page).toMatch(/id="param-subdomain-error">Error: not a valid Subdomain/);
    expect(page).toMatch(/role="alert" tabindex="-1" autofocus/);
    expect(page).toContain('<a href="#param-subdomain">not a valid Subdomain, for example acme</a>');
    expect(page).toMatch(/<title>Error: /);
  });

  it('shows an error that belongs to no field', async () => {
    const page = String(await form({ issues: [{ path: 'params.shop', message: 'not a parameter' }] }));
    expect(page).toContain('<li>not a parameter</li>');
  });
});

describe('the confirmation page', () => {
  const confirm = { fields: {}, displayOwner: 'Ada of Blue Ltd' };

  it('says which app asks, for whom, at which provider, and what it means', async () => {
    const page = String(await form(confirm));
    expect(page).toContain('<h1>Connect your Zendesk account to Acme</h1>');
    expect(page).toContain('<dt>On behalf of</dt><dd><bdi>Ada of Blue Ltd</bdi></dd>');
    expect(page).toContain('Acme can use the account for <strong><bdi>Ada of Blue Ltd</bdi></strong>');
    expect(page).toContain('If someone sent you this link');
    expect(page.match(/<form/g)).toHaveLength(1);
    expect(page).not.toMatch(/<script|http-equiv/);
  });

  it('says nothing about the owner, if the caller did not', async () => {
    expect(String(await form({ ...confirm, displayOwner: null }))).not.toMatch(/behalf/i);
  });

  it('is below the path of the public URL', async () => {
    const page = String(await form(confirm, { ...site, base: '/keys' }));
    expect(page).toContain('href="/keys/assets/valetkey.css"');
  });
});

describe('the messages', () => {
  const codes: BrowserCode[] = [
    'access_denied',
    'identity_mismatch',
    'account_unknown',
    'provider_unavailable',
    'invalid_form',
    'internal',
  ];

  it.each([...codes, 'what_is_this', 'constructor'])('%s: has a text and an error status', (code) => {
    const words = browserMessage(code, en, 'GitHub');
    expect(words.status).toBeGreaterThanOrEqual(400);
    for (const text of [words.title, words.message, words.advice]) {
      expect(text.length).toBeGreaterThan(5);
      expect(text).not.toMatch(/[{}]/);
    }
  });

  it('access_denied: says that nothing was connected', () => {
    const { title, message } = browserMessage('access_denied');
    expect(title).toBe('You cancelled');
    expect(message).toContain('Nothing was connected');
  });

  it('a provider name with replacement patterns: shown unchanged', () => {
    expect(browserMessage('provider_unavailable', en, '$& & Co').title).toBe('$& & Co does not answer');
  });
});

describe('the headers', () => {
  const answer = async (publicUrl: string) => {
    const app = new Hono()
      .use(browserSecurity(publicUrl))
      .get('/', (c) => c.html(connectedPage(site, { providerName: 'X' })));
    return (await app.request('/')).headers;
  };

  it('allow only our stylesheet, and send no referrer', async () => {
    const headers = await answer('http://127.0.0.1:8080');
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
  });

  it('send HSTS only if the public URL is https', async () => {
    expect((await answer('http://127.0.0.1:8080')).has('strict-transport-security')).toBe(false);
    expect((await answer('https://keys.example')).get('strict-transport-security')).toMatch(/^max-age=\d{7,}$/);
  });
});

describe('the stylesheet', () => {
  it('is cacheable CSS, and answers 304', async () => {
    const first = await assets.request('/assets/valetkey.css');
    expect(first.status).toBe(200);
    expect(first.headers.get('content-type')).toBe('text/css; charset=utf-8');
    expect(first.headers.get('cache-control')).toBe('public, no-cache');
    expect(first.headers.get('x-content-type-options')).toBe('nosniff');
    const etag = first.headers.get('etag');
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    const again = await assets.request('/assets/valetkey.css', { headers: { 'If-None-Match': etag ?? '' } });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe('');
  });

  it('loads no other resource', async () => {
    const css = await (await assets.request('/assets/valetkey.css')).text();
    expect(css).not.toMatch(/@import|url\(/);
  });

  // WCAG 2.2, 1.4.3: text needs 4.5:1, in either scheme.
  const schemes = async () => {
    const css = await (await assets.request('/assets/valetkey.css')).text();
    const [light, dark] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(
      ([, block]) => new Map([...block!.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map((m) => [m[1]!, m[2]!])),
    );
    return { light: light!, dark: dark! };
  };

  it.each(['light', 'dark'] as const)('has enough contrast in %s mode', async (scheme) => {
    const colors = (await schemes())[scheme];
    const luminance = (name: string) => {
      const [r, g, b] = [1, 3, 5].map((at) => {
        const channel = Number.parseInt(colors.get(name)!.slice(at, at + 2), 16) / 255;
        return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
    };
    const contrast = (one: string, other: string) => {
      const [dim, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
      return (bright! + 0.05) / (dim! + 0.05);
    };
    for (const [text, ground] of [
      ['ink', 'card'],
      ['ink', 'paper'],
      ['quiet', 'card'],
      ['quiet', 'paper'],
      ['brand', 'paper'],
      ['on-brand', 'brand'],
      ['warn', 'card'],
      ['warn', 'warn-soft'],
      ['ink', 'warn-soft'],
    ] as const)
      expect(contrast(text, ground), `${text} on ${ground}`).toBeGreaterThanOrEqual(4.5);
    expect(contrast('line', 'card'), 'the border of a field').toBeGreaterThanOrEqual(3);
  });
});

describe('the languages', () => {
  const placeholders = (text: string) => [...text.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => name).sort();
  /** Every text by its path, such as `refusals.not_found.title`. */
  const textsOf = (texts: object, at = ''): [string, string][] =>
    Object.entries(texts).flatMap(([name, value]) =>
      typeof value === 'string' ? [[`${at}${name}`, value] as [string, string]] : textsOf(value, `${at}${name}.`),
    );

  it.each(LANGUAGES.map((texts) => [texts.lang, texts] as const))(
    '%s: no text is missing, nor a name in one',
    (lang, texts) => {
      const english = new Map(textsOf(en));
      const own = textsOf(texts);
      expect(own.map(([path]) => path)).toEqual([...english.keys()]);
      for (const [path, text] of own) {
        expect(text.trim(), path).toBe(text);
        expect([...new Set(placeholders(text))], path).toEqual([...new Set(placeholders(english.get(path)!))]);
      }
      const isSame = own.filter(([path, text]) => text === english.get(path) && text.length > 20);
      expect(isSame, 'not translated').toHaveLength(lang === 'en' ? isSame.length : 0);
    },
  );

  it('French: no line ends before a sign that is set off; German: a provider of several words is no part of a word', () => {
    const textsOfLang = (lang: string) => textsOf(LANGUAGES.find((texts) => texts.lang === lang)!);
    for (const [path, text] of textsOfLang('fr')) expect(text, path).not.toMatch(/ [:;?!»]|« /);
    for (const [path, text] of textsOfLang('de')) expect(text, path).not.toMatch(/\{\w+\}-/);
  });

  it('words of the catalogue are marked as English', async () => {
    const page = String(await form({}, { ...site, texts: LANGUAGES.find(({ lang }) => lang === 'de')! }));
    expect(page).toContain('<label for="param-subdomain"><span lang="en">Subdomain</span></label>');
  });

  it('hostile languages: English, and quickly', () => {
    for (const text of ['', '*', ';;;,,,q=', 'de;q=0', `${'x,'.repeat(10_000)}de`, '../../etc', 'constructor'])
      expect(textsFor(text, text).lang).toBe('en');
  });
});

describe('names of others', () => {
  const turned = 'Ada\u202e\u2066gro.live\u200b';
  it.each<[string, Html]>([
    ['who it is for', form({ displayOwner: turned })],
    ['what is connected', connectedPage(site, { providerName: 'GitHub', label: turned })],
    [
      'whose account is wanted',
      refusedPage(site, {
        ...browserMessage('identity_mismatch', en, 'GitHub'),
        code: 'identity_mismatch',
        requestId: 'r',
        wanted: turned,
      }),
    ],
  ])('%s: isolated, and without what turns the text or is not seen', async (_, page) => {
    const text = String(await page);
    expect(text).toContain('<bdi>Ada gro.live</bdi>');
    expect(text).not.toMatch(/[\p{Bidi_Control}\u200b]/u);
  });
});
