// The last page of a connect flow without a `return_url`, and the one that waits for it.
import { html } from 'hono/html';
import { type Html, layout, type Site } from './layout.ts';
import { type RetryForm, retryForm } from './retry.ts';
import { shownName } from './shown-name.ts';

export const connectedPage = (
  site: Site,
  { providerName, label }: { providerName: string; label?: string | undefined },
): Html =>
  layout(site, {
    title: `${providerName} is connected`,
    body: html`
      <div class="part">
        ${done}
        <h1>Your ${providerName} account is connected</h1>
        <p class="lead">You can close this window.</p>
      </div>
      ${label ? html`<dl class="stub"><div><dt>Connected as</dt><dd>${shownName(label)}</dd></div></dl>` : ''}`,
  });

/**
 * While the code is being exchanged: shown again by a Refresh header, until there is an outcome. Who has left the provider's
 * page, by the back button, begins again.
 */
export const waitingPage = (site: Site, retry: RetryForm): Html =>
  layout(site, {
    title: 'Just a moment',
    body: html`
      <div class="part">
        <h1>Just a moment</h1>
        <p class="lead">Your account is being connected. This page shows the outcome as soon as it is known.</p>
        <p>If you have left the page where you sign in, or nothing happens within a minute, try again.</p>
        ${retryForm(retry)}
      </div>`,
  });

const done = html`<svg class="sign sign-done" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">
  <circle cx="20" cy="20" r="17" /><path d="m12.5 20.5 5 5 10-11" />
</svg>`;
