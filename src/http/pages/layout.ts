// The layout of every browser page: one document, one heading, no scripts but that of a pop-up's last page. `html` escapes all values.
import { html } from 'hono/html';
import type { Texts } from './texts/index.ts';

/** For `c.html(…)`. */
export type Html = ReturnType<typeof html>;

/** What every page is made with. */
export interface Site {
  /** The path of the public URL, without a slash at its end: what every path of a page begins with. */
  base: string;
  /** Who asks owners to connect their accounts. */
  appName: string;
  /** In the owner's language. */
  texts: Texts;
  theme?: ShownTheme | undefined;
}

/** What pages are made with that are in English and have no look of their own. */
export type PlainSite = Pick<Site, 'base' | 'appName'>;

/** The customer's own look. */
export interface ShownTheme {
  /** Instead of ours, at the top of the page. */
  name: string | null;
  /** A `data:` URL of an image. */
  logo: string | null;
  /** The path of the stylesheet with its colours, below `base`; null: it has none. */
  stylesheet: string | null;
}

interface Content {
  /** Shown in the tab. */
  title: string;
  /** Contains the only `<h1>`. */
  body: Html;
  /** The only script that a page may have, in its head. */
  script?: Html | undefined;
}

/** The whole document. */
export const layout = ({ base, texts, theme }: Site, { title, body, script }: Content): Html => html`<!doctype html>
<html lang="${texts.lang}" dir="${texts.dir}">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title>${title}</title>
    <link rel="stylesheet" href="${base}/assets/valetkey.css">
    ${theme?.stylesheet ? html`<link rel="stylesheet" href="${base}${theme.stylesheet}">` : ''}
    ${script ?? ''}
  </head>
  <body>
    <header class="brand">${theme?.logo ? html`<img class="logo" src="${theme.logo}" alt="">` : mark}<span>${theme?.name ?? 'Valetkey'}</span></header>
    <main class="ticket">${body}</main>
    <footer class="foot">
      <p>${texts.foot}</p>
    </footer>
  </body>
</html>
`;

/** Words of the catalogue, which is in English, as a part of a page in any language (WCAG 3.1.2). */
export const english = ({ texts }: Site, words: string): Html =>
  texts.lang === 'en' ? html`${words}` : html`<span lang="en">${words}</span>`;

/** A key on a valet's tag. */
export const mark = html`<svg class="mark" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false">
  <path class="tag" d="M9 2h14a4 4 0 0 1 4 4v20a4 4 0 0 1-4 4H9a4 4 0 0 1-4-4V6a4 4 0 0 1 4-4Z" />
  <circle class="hole" cx="16" cy="7" r="1.75" />
  <path class="key" d="M16 12.5a4 4 0 1 1 0 8a4 4 0 1 1 0-8Zm0 8v6m0-1h3m-3-2.5h2" />
</svg>`;
