// The last page of a connect flow without a `return_url`, and the one that waits for it.
import { html } from 'hono/html';
import { type Html, layout, type Site } from './layout.ts';
import { type RetryForm, retryForm } from './retry.ts';
import { shownName } from './shown-name.ts';
import { worded } from './texts/index.ts';

export const connectedPage = (
  site: Site,
  { providerName: provider, label }: { providerName: string; label?: string | undefined },
): Html => {
  const { connected, stub } = site.texts;
  return layout(site, {
    title: worded(connected.title, { provider }),
    body: html`
      <div class="part">
        ${done}
        <h1>${worded(connected.heading, { provider })}</h1>
        <p class="lead">${connected.close}</p>
      </div>
      ${label ? html`<dl class="stub"><div><dt>${stub.connectedAs}</dt><dd>${shownName(label)}</dd></div></dl>` : ''}`,
  });
};

/**
 * While the code is being exchanged: shown again by a Refresh header, until there is an outcome. Who has left the provider's
 * page, by the back button, begins again.
 */
export const waitingPage = (site: Site, retry: RetryForm): Html => {
  const { waiting } = site.texts;
  return layout(site, {
    title: waiting.heading,
    body: html`
      <div class="part">
        <h1>${waiting.heading}</h1>
        <p class="lead">${waiting.lead}</p>
        <p>${waiting.stuck}</p>
        ${retryForm(site.texts, retry)}
      </div>`,
  });
};

export const done = html`<svg class="sign sign-done" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">
  <circle cx="20" cy="20" r="17" /><path d="m12.5 20.5 5 5 10-11" />
</svg>`;
