// The layout of every page of the console: where one is, where one can go, who one is. `html` escapes all values.
import { html, raw } from 'hono/html';
import { visibleMarkup } from '../../domain/visible-text.ts';
import type { Html, PlainSite } from '../pages/layout.ts';
import { mark } from '../pages/layout.ts';
import { shownName } from '../pages/shown-name.ts';
import type { Visit } from './environment.ts';
import { tokenField } from './forms.ts';
import { NOTICES, type Notice } from './notices.ts';

/** The views, in the order of the menu. */
export const SECTIONS = {
  '': 'Home',
  connections: 'Connections',
  integrations: 'Integrations',
  callers: 'Callers',
  sessions: 'Agent sessions',
  events: 'Events and webhooks',
  limits: 'Limits and circuits',
  audit: 'Audit log',
  system: 'Keys and system',
} as const;
export type Section = keyof typeof SECTIONS;

export interface ConsolePage {
  /** Shown in the tab, and as the only `<h1>`. */
  title: string;
  section: Section;
  /** Above the title: where this is within the section. */
  crumbs?: readonly { href: string; text: string }[];
  /** What an action has come to; the name of a notice. */
  notice?: string | undefined;
  body: Html;
}

/** A page of someone who is signed in. */
export const consolePage = (site: PlainSite, visit: Visit, page: ConsolePage): Html =>
  visible(
    document(
      site,
      page.title,
      html`
      <a class="skip" href="#main">Skip to the content</a>
      <header class="bar">
        <a class="brand" href="${site.base}/console">${mark}<span>${site.appName}</span></a>
        <button type="button" class="menu-button" popovertarget="menu">Menu</button>
        <div class="who">
          <span class="who-name">${shownName(visit.session.name ?? visit.session.subject)}</span>
          <span class="role">${visit.session.role}</span>
          <form method="post" action="${site.base}/console/sign-out">
            ${tokenField(visit)}<button class="quiet-button">Sign out</button>
          </form>
        </div>
      </header>
      <div class="frame">
        <nav class="menu" aria-label="Console">${menu(site, page.section)}</nav>
        <nav class="menu menu-popover" id="menu" popover aria-label="Console">${menu(site, page.section)}</nav>
        <main id="main" tabindex="-1">
          ${notice(page.notice)} ${crumbs(page.crumbs)}
          <h1>${page.title}</h1>
          ${page.body}
        </main>
      </div>`,
    ),
  );

/** Once for all views: names of callers, agents, hosts and types of events are written by others as well. */
const visible = (page: Html): Html =>
  page instanceof Promise ? page.then((it) => raw(visibleMarkup(String(it)))) : raw(visibleMarkup(String(page)));

/** A page before the sign-in: one card. */
export const entrancePage = (site: PlainSite, { title, body }: { title: string; body: Html }): Html =>
  document(
    site,
    title,
    html`<main class="entrance" id="main">
      <p class="brand">${mark}<span>${site.appName}</span></p>
      <h1>${title}</h1>
      ${body}
    </main>`,
  );

const menu = ({ base }: PlainSite, current: Section): Html => html`<ul>
  ${Object.entries(SECTIONS).map(
    ([path, name]) =>
      html`<li>
        <a href="${base}/console${path === '' ? '' : `/${path}`}" ${path === current ? html`aria-current="page"` : ''}
          >${name}</a
        >
      </li>`,
  )}
</ul>`;

const crumbs = (all: ConsolePage['crumbs']): Html | '' =>
  all?.length
    ? html`<nav class="crumbs" aria-label="Breadcrumb">
        <ol>
          ${all.map(({ href, text }) => html`<li><a href="${href}">${text}</a></li>`)}
        </ol>
      </nav>`
    : '';

function notice(name: string | undefined): Html | '' {
  if (name === undefined || !Object.hasOwn(NOTICES, name)) return '';
  const { kind, text } = NOTICES[name as Notice];
  return html`<p class="notice notice-${kind}" role="status">${text}</p>`;
}

const document = (site: PlainSite, title: string, body: Html): Html => html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="robots" content="noindex">
    <title>${title} · ${site.appName} console</title>
    <link rel="stylesheet" href="${site.base}/assets/console.css">
    <script type="module" src="${site.base}/assets/console.js"></script>
  </head>
  <body>
    ${body}
  </body>
</html>
`;
