// The success page: the last page of a connect flow without a `return_url`.
import { html } from 'hono/html';
import { type Html, layout } from './layout.ts';

export const connectedPage = ({ providerName, label }: { providerName: string; label?: string | undefined }): Html =>
  layout({
    title: `${providerName} is connected`,
    body: html`
      <div class="part">
        ${done}
        <h1>Your ${providerName} account is connected</h1>
        <p class="lead">You can close this window.</p>
      </div>
      ${label ? html`<dl class="stub"><div><dt>Connected as</dt><dd>${label}</dd></div></dl>` : ''}`,
  });

const done = html`<svg class="sign sign-done" viewBox="0 0 40 40" width="40" height="40" aria-hidden="true" focusable="false">
  <circle cx="20" cy="20" r="17" /><path d="m12.5 20.5 5 5 10-11" />
</svg>`;
