// The error page: what happened, what to do now, and a reference to show to support.
import { html } from 'hono/html';
import { type Html, layout, type Site } from './layout.ts';
import { type RetryForm, retryForm } from './retry.ts';
import { shownName } from './shown-name.ts';
import { filled } from './texts/index.ts';

export interface RefusedView {
  title: string;
  message: string;
  advice: string;
  /** Stable, safe to show: `[a-z_]+`. */
  code: string;
  requestId: string;
  /** The HTTP status that the answer has. */
  status: number;
  /** The name of the account that is connected, where it is another one. */
  wanted?: string | undefined;
  /** Offers another try: a form that posts the token. */
  retry?: RetryForm | undefined;
}

export const refusedPage = (
  site: Site,
  { title, message, advice, code, requestId, status, wanted, retry }: RefusedView,
): Html => {
  const { stub, wanted: wantedText } = site.texts;
  return layout(site, {
    title,
    body: html`
      <div class="part">
        ${code === 'access_denied' ? calm : stop}
        <h1>${title}</h1>
        <p class="lead">${message}${wanted === undefined ? '' : html` ${filled(wantedText, { account: shownName(wanted) })}`}</p>
        <p>${advice}</p>
        ${retry ? retryForm(site.texts, retry) : ''}
      </div>
      <dl class="stub">
        <div><dt>${stub.whatHappened}</dt><dd>${code} (${status})</dd></div>
        <div><dt>${stub.reference}</dt><dd>${requestId}</dd></div>
      </dl>`,
  });
};

const stop = html`<svg class="sign sign-stop" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">
  <circle cx="20" cy="20" r="17" /><path d="M20 11v11.5M20 28.2v.1" />
</svg>`;

const calm = html`<svg class="sign sign-calm" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">
  <circle cx="20" cy="20" r="17" /><path d="M13 20h14" />
</svg>`;
