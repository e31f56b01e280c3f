// The pages on which owners see, renew and end their own connections.
import { html } from 'hono/html';
import type { PortalConnection, PortalNotice, PortalStep } from '../../broker/portal/index.ts';
import { cookieNotice } from './fields.ts';
import { type Html, layout, type Site } from './layout.ts';
import { browserMessage } from './messages.ts';
import { TOKEN_FIELD } from './retry.ts';
import { shownName } from './shown-name.ts';
import { type Texts, worded } from './texts/index.ts';

type Step<K extends PortalStep['kind']> = Omit<Extract<PortalStep, { kind: K }>, 'kind'>;

/** The page of the link: what it opens, and a button. Opening it binds nothing. */
export function portalWelcomePage(
  site: Site,
  { action, token, displayOwner, lacksCookie }: Omit<Step<'welcome'>, 'cookie'> & { action: string },
): Html {
  const { appName: app, texts } = site;
  const { portal, stub } = texts;
  return layout(site, {
    title: portal.heading,
    body: html`
      <div class="part">
        <h1>${portal.heading}</h1>
        ${lacksCookie ? cookieNotice(site) : ''}<p class="lead">${worded(portal.welcome, { app })}</p>
        <p>${worded(portal.caution, { app })}</p>
        <form method="post" action="${action}">
          ${hidden(token)}
          <button class="action" type="submit">${portal.enter}</button>
        </form>
      </div>
      <dl class="stub">
        <div><dt>${stub.whoAsks}</dt><dd>${app}</dd></div>
        ${displayOwner === null ? '' : html`<div><dt>${stub.onBehalfOf}</dt><dd>${shownName(displayOwner)}</dd></div>`}
      </dl>`,
  });
}

export function portalPage(site: Site, { connections, token, next, returnUrl, notice }: Step<'connections'>): Html {
  const { appName: app, base, texts } = site;
  const { portal } = texts;
  const more = next === null ? undefined : `${base}/connect/portal?after=${encodeURIComponent(next)}`;
  return layout(site, {
    title: notice ? noticeText(texts, notice) : portal.heading,
    body: html`
      <div class="part">
        <h1>${portal.heading}</h1>
        ${notice ? html`<p class="notice" role="status">${noticeText(texts, notice)}</p>` : ''}
        <p class="lead">${worded(connections.length === 0 ? portal.none : portal.lead, { app })}</p>
        <ul class="accounts">
          ${connections.map((connection) => account(site, connection, token))}
        </ul>
        ${more ? html`<p><a class="link" href="${more}">${portal.more}</a></p>` : ''}
        <p><a class="link" href="${returnUrl}">${worded(portal.back, { app })}</a></p>
      </div>`,
  });
}

function account(
  site: Site,
  { id, provider, account, label, status, createdAt }: PortalConnection,
  token: string,
): Html {
  const { base, texts } = site;
  const { portal } = texts;
  const at = `${base}/connect/portal/connections/${encodeURIComponent(id)}`;
  const named = [provider, ...(account === null ? [] : [account])].join(', ');
  return html`
          <li class="account">
            <h2>${provider}</h2>
            <dl>
              ${account === null ? '' : html`<div><dt>${portal.account}</dt><dd>${shownName(account)}</dd></div>`}
              ${label === '' ? '' : html`<div><dt>${portal.label}</dt><dd>${shownName(label)}</dd></div>`}
              <div><dt>${portal.status}</dt><dd>${statusSign(status)} ${statusText(portal, status, provider)}</dd></div>
              <div><dt>${portal.since}</dt><dd><time datetime="${new Date(createdAt).toISOString()}">${dateIn(texts, createdAt)}</time></dd></div>
            </dl>
            <div class="actions">
              <form method="post" action="${at}/reconnect">
                ${hidden(token)}
                <button class="small" type="submit" aria-label="${portal.reconnect}: ${named}">${portal.reconnect}</button>
              </form>
              <a class="small" href="${at}" aria-label="${portal.disconnect}: ${named}">${portal.disconnect}</a>
            </div>
          </li>`;
}

/** Asks before it is done: a click on a page of links is soon made. */
export function disconnectPage(site: Site, { connection, token }: Step<'confirm'>): Html {
  const { appName: app, base, texts } = site;
  const { portal, stub } = texts;
  const { id, provider, account, label } = connection;
  const heading = worded(portal.confirmHeading, { provider });
  return layout(site, {
    title: heading,
    body: html`
      <div class="part">
        <h1>${heading}</h1>
        <p class="lead">${worded(portal.confirmLead, { app })}</p>
        <form method="post" action="${base}/connect/portal/connections/${encodeURIComponent(id)}/disconnect">
          ${hidden(token)}
          <button class="action" type="submit">${portal.disconnect}</button>
        </form>
        <p><a class="link" href="${base}/connect/portal">${portal.keep}</a></p>
      </div>
      <dl class="stub">
        <div><dt>${stub.accountAt}</dt><dd>${provider}</dd></div>
        ${account === null ? '' : html`<div><dt>${portal.account}</dt><dd>${shownName(account)}</dd></div>`}
        ${label === '' ? '' : html`<div><dt>${portal.label}</dt><dd>${shownName(label)}</dd></div>`}
      </dl>`,
  });
}

const hidden = (token: string): Html => html`<input type="hidden" name="${TOKEN_FIELD}" value="${token}">`;

function noticeText(texts: Texts, notice: PortalNotice): string {
  const { portal } = texts;
  switch (notice.kind) {
    case 'not_reconnected':
      return notice.failure
        ? browserMessage(notice.failure.error, texts, notice.failure.provider).message
        : portal.notReconnected;
    case 'reconnected':
    case 'disconnected':
      return worded(portal[notice.kind], { provider: notice.provider });
  }
}

const statusText = (portal: Texts['portal'], status: PortalConnection['status'], provider: string): string =>
  ({
    active: portal.active,
    needs_reauth: portal.needsReauth,
    on_hold: worded(portal.onHold, { provider }),
  })[status];

/** A word has a shape besides its colour. */
const statusSign = (status: PortalConnection['status']): Html =>
  status === 'active'
    ? html`<span class="dot dot-done" aria-hidden="true">✓</span>`
    : html`<span class="dot dot-stop" aria-hidden="true">!</span>`;

/** In UTC: the owner's time zone is not known. */
const dateIn = ({ lang }: Texts, at: number): string =>
  new Intl.DateTimeFormat(lang, { dateStyle: 'long', timeZone: 'UTC' }).format(at);
