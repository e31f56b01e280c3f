// The layout of every browser page: one document, one heading, no scripts. `html` escapes all values.
import { html } from 'hono/html';

/** For `c.html(…)`. */
export type Html = ReturnType<typeof html>;

/** What every page is made with. */
export interface Site {
  /** The path of the public URL, without a slash at its end: what every path of a page begins with. */
  base: string;
  /** Who asks owners to connect their accounts. */
  appName: string;
}

/** The whole document. `title` is shown in the tab; `body` contains the only `<h1>`. */
export const layout = (
  { base }: Pick<Site, 'base'>,
  { title, body }: { title: string; body: Html },
): Html => html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title>${title}</title>
    <link rel="stylesheet" href="${base}/assets/valetkey.css">
  </head>
  <body>
    <header class="brand">${mark}<span>Valetkey</span></header>
    <main class="ticket">${body}</main>
    <footer class="foot">
      <p>Valetkey looks after the keys to your connected accounts.</p>
    </footer>
  </body>
</html>
`;

/** A key on a valet's tag. */
export const mark = html`<svg class="mark" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false">
  <path class="tag" d="M9 2h14a4 4 0 0 1 4 4v20a4 4 0 0 1-4 4H9a4 4 0 0 1-4-4V6a4 4 0 0 1 4-4Z" />
  <circle class="hole" cx="16" cy="7" r="1.75" />
  <path class="key" d="M16 12.5a4 4 0 1 1 0 8a4 4 0 1 1 0-8Zm0 8v6m0-1h3m-3-2.5h2" />
</svg>`;
