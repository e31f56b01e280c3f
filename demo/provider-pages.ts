// What the local OpenID Provider shows to a person: one page to sign in and consent, and one for errors. Plain HTML
// forms, so that they work without scripts and for a program too.
import { html } from 'hono/html';

interface Consent {
  action: string;
  client: string;
  scopes: string[];
  /** The signed-in account; undefined: the form asks for a name. */
  account: string | undefined;
}

export const page = (title: string, body: unknown) => html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>${title}</title>
    <style>
      :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
      main { max-width: 26rem; margin: 12vh auto; padding: 0 1rem; }
      label, input { display: block; width: 100%; box-sizing: border-box; }
      code { overflow-wrap: anywhere; }
      input { font: inherit; padding: 0.5rem; margin: 0.25rem 0 1rem; }
      button { font: inherit; padding: 0.5rem 1.25rem; margin-right: 0.5rem; }
    </style>
  </head>
  <body>
    <main>
      <h1>${title}</h1>
      ${body}
    </main>
  </body>
</html>`;

export const consentPage = ({ action, client, scopes, account }: Consent) =>
  page(
    'Local sign-in',
    html`<p><strong>${client}</strong> asks for access to your account:</p>
      <ul>
        ${scopes.map((scope) => html`<li>${scope}</li>`)}
      </ul>
      <form method="post" action="${action}">
        ${
          account === undefined
            ? html`<label for="login">User name (any will do)</label>
                <input id="login" name="login" autocomplete="username" value="ada" required />`
            : html`<p>You are signed in as <strong>${account}</strong>.</p>`
        }
        <button type="submit" name="decision" value="allow">Allow</button>
        <button type="submit" name="decision" value="cancel" formnovalidate>Cancel</button>
      </form>`,
  );

export const errorPage = (error: string, description: string) =>
  page(
    'That did not work',
    html`<p>${description || 'The request could not be served.'}</p><p><code>${error}</code></p>`,
  );
