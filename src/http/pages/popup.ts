// The last page of a session with `display: "popup"`. Without scripts, or where no window has opened it, it leads to the `return_url`.
import { html } from 'hono/html';
import type { PopupStep } from '../../broker/connections/index.ts';
import { done } from './connected.ts';
import { type Html, layout, type Site } from './layout.ts';
import { browserMessage } from './messages.ts';
import { worded } from './texts/index.ts';

export function popupPage(site: Site, { session, provider, status, error, url }: Omit<PopupStep, 'kind'>): Html {
  const { appName: app, base, texts } = site;
  const { connected } = texts;
  const isDone = status === 'completed';
  const { title, message } = isDone
    ? { title: worded(connected.heading, { provider }), message: connected.close }
    : browserMessage(error ?? 'other', texts, provider);
  return layout(site, {
    title,
    script: html`<script src="${base}/assets/popup.js" defer data-origin="${new URL(url).origin}" data-session="${session}" data-status="${status}" data-error="${error ?? ''}" data-url="${url}"></script>`,
    body: html`
      <div class="part">
        ${isDone ? done : ''}
        <h1>${title}</h1>
        <p class="lead">${message}</p>
        <a class="action" href="${url}">${worded(connected.back, { app })}</a>
      </div>`,
  });
}
