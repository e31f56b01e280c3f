// Where developers register their applications at the local OpenID Provider, as at any vendor: a client id and secret for a
// redirect URI, another secret, and what ends all grants.
import { html } from 'hono/html';
import { page } from './provider-pages.ts';

interface App {
  clientId: string;
  redirectUri: string;
}

export interface AppRegistry {
  list(): App[];
  /** The client secret is shown once. */
  register(...redirectUris: string[]): Promise<{ clientId: string; clientSecret: string }>;
  /** Undefined: there is no such application. The secret before it is refused from now on. */
  replaceSecret(clientId: string): Promise<string | undefined>;
  withdrawGrants(): void;
}

/** `GET /` and what its forms post to. Undefined: the path is another one. */
export async function appsPage(
  apps: AppRegistry,
  path: string,
  readForm: () => Promise<URLSearchParams>,
): Promise<unknown> {
  if (path === '/') return shown(apps);
  if (path === '/apps') {
    const redirectUri = (await readForm()).get('redirect_uri')?.trim() ?? '';
    if (!URL.canParse(redirectUri)) return shown(apps, html`<p><strong>This is no redirect URI.</strong></p>`);
    const { clientId, clientSecret } = await apps.register(redirectUri);
    return shown(apps, secretOf(clientId, clientSecret));
  }
  if (path === '/apps/secret') {
    const clientId = (await readForm()).get('client_id') ?? '';
    const secret = await apps.replaceSecret(clientId);
    return shown(apps, secret === undefined ? '' : secretOf(clientId, secret));
  }
  if (path !== '/withdraw') return undefined;
  apps.withdrawGrants();
  return shown(apps, html`<p><strong>All consents are withdrawn: every token is invalid.</strong></p>`);
}

const secretOf = (
  clientId: string,
  secret: string,
) => html`<p><strong>Copy them now: the secret is shown once.</strong></p>
  <p>Client id<br><code id="client-id">${clientId}</code></p>
  <p>Client secret<br><code id="client-secret">${secret}</code></p>`;

const shown = (apps: AppRegistry, answer: unknown = '') =>
  page(
    'Acme for developers',
    html`${answer}
      <h2>Register an application</h2>
      <form method="post" action="/apps">
        <label for="redirect_uri">Redirect URI</label>
        <input id="redirect_uri" name="redirect_uri" required />
        <button type="submit">Register</button>
      </form>
      <h2>Applications</h2>
      ${apps.list().map(
        ({ clientId, redirectUri }) => html`<form method="post" action="/apps/secret">
          <p><code>${clientId}</code><br />${redirectUri}</p>
          <input type="hidden" name="client_id" value="${clientId}" />
          <button type="submit">Replace the secret of ${clientId}</button>
        </form>`,
      )}
      <h2>Owners</h2>
      <form method="post" action="/withdraw"><button type="submit">Withdraw all consents</button></form>`,
  );
