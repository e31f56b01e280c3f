// After the settings: what is entered at the provider, a try, and what callers send.
import { html } from 'hono/html';
import type { ConnectSessions } from '../../../../broker/connections/index.ts';
import { redirectUriToRegister } from '../../../../broker/resources/index.ts';
import type { WebhookView } from '../../../../broker/webhooks/index.ts';
import { isCode, modeName, protectedResourceOf } from '../../../../domain/auth-modes.ts';
import type { Refusal } from '../../../../domain/errors.ts';
import type { ConnectSession, Integration } from '../../../../domain/integration.ts';
import type { Provider } from '../../../../domain/provider.ts';
import type { Html } from '../../../pages/layout.ts';
import { presentWebhooks } from '../../../presenters/providers.ts';
import { may, type Visit } from '../../environment.ts';
import { tokenField } from '../../forms.ts';
import { copied, facts } from '../../parts/facts.ts';
import { textField } from '../../parts/fields.ts';
import { status, type Tone } from '../../parts/status.ts';
import { when } from '../../parts/when.ts';
import type { Chosen } from './settings-input.ts';
import { snippets } from './snippets.ts';

/** Whose account a try connects, unless another name is given. */
export const TEST_OWNER = 'console-test';

export interface SetUp extends Chosen {
  integration: Integration;
  webhook: WebhookView | null;
  publicUrl: string;
  /** Where callers reach the broker. */
  callersUrl: string;
}

const elsewhere = (href: string, text: string): Html =>
  html`<a href="${href}" target="_blank" rel="noopener noreferrer">${text}</a>`;

export const setUpPage = (base: string, visit: Visit, setUp: SetUp): Html => html`
  ${atTheProvider(setUp)}
  ${tryIt(base, visit, setUp)}
  <section class="card" aria-labelledby="snippets">
    <h2 id="snippets">In your services</h2>
    <p>A service needs a key of its own: ${may(visit, 'admin') ? html`<a href="${base}/console/callers/new">create a caller</a>` : 'ask an admin for a caller'} that may use
      <code>${setUp.integration.id}</code>, and put its key into <code>VALETKEY_KEY</code>.</p>
    ${snippets({ ...setUp, id: setUp.integration.id, url: setUp.callersUrl, returnOrigin: setUp.integration.returnOrigins[0] })}
  </section>`;

/** Providers ask for it before they give out a client id. */
export function redirectFact(publicUrl: string, of: Pick<Integration, 'id' | 'params'>, provider: Provider) {
  const { uri, isPattern } = redirectUriToRegister(publicUrl, of, provider);
  const what = isPattern
    ? html`<code>${uri}</code><p class="hint">Each issuer has its own: <code>{issuer}</code> stands for the first 16 hexadecimal digits of the SHA-256 of the issuer. With the param <code>issuer</code>, it is shown here.</p>`
    : copied(uri, 'the redirect URI');
  return ['Redirect URI', what] as const;
}

/** In the form of a new integration: which of them it is, may depend on its settings. */
export function newRedirectFact(publicUrl: string, id: string, { provider, auth }: Chosen) {
  const ofOne = copied(`${publicUrl}/oauth2/callback/${id}`, 'the redirect URI');
  const { uri, isPattern } = redirectUriToRegister(publicUrl, { id, params: { mode: modeName(auth) } }, provider);
  const what = isPattern
    ? html`${ofOne}<p class="hint">But where connections name their servers, each issuer has its own: <code>${uri}</code>. The set-up shows it.</p>`
    : ofOne;
  return ['Redirect URI', what] as const;
}

function atTheProvider({ provider, auth, integration, webhook, publicUrl }: SetUp): Html {
  const redirect = redirectFact(publicUrl, integration, provider);
  return html`<section class="card" aria-labelledby="at-provider">
    <h2 id="at-provider">At ${provider.name}</h2>
    <p>${elsewhere(provider.docs_url, `Open what ${provider.name} says about it`)}.</p>
    ${
      protectedResourceOf(auth) !== undefined && integration.clientId === ''
        ? html`<p>Nothing is registered there by hand: the broker finds the authorization server, and is a client there by itself, when the first account is connected. This is the redirect URI, where someone asks:</p>${facts([redirect])}`
        : isCode(auth)
          ? html`<p>Register this redirect URI there, exactly as it is:</p>${facts([redirect])}`
          : html`<p>Nothing is registered there for this mode: owners enter what they have, or you import it.</p>`
    }
    ${Object.entries(provider.webhooks).map(([name, endpoint]) => {
      const { title, path, configure, secret, expiry } = presentWebhooks(name, endpoint);
      const own = path.startsWith('/webhooks/');
      if (own && !webhook) return '';
      const url = own && webhook ? webhook.url : `${publicUrl}${path.replace('{integration}', integration.id)}`;
      const isHidden = own && webhook?.hookSet === true && url.endsWith(`/${integration.id}`);
      return html`<h3>${title}</h3>
        ${facts([
          [
            'URL',
            html`${copied(url, `the URL of ${title}`)}${isHidden ? html`<p class="hint">And its secret part, which was shown once.</p>` : ''}`,
          ],
          ['Where it is entered', configure.url],
          ...(configure.events.length > 0 ? [['Events to subscribe to', configure.events.join(', ')] as const] : []),
          ...(secret ? [['Its secret', `${secret.what}${secret.where ? ` (${secret.where})` : ''}`] as const] : []),
          ...(expiry ? [['Lasts', expiry] as const] : []),
        ])}
        ${configure.notes.length > 0 ? html`<ul>${configure.notes.map((note) => html`<li>${note}</li>`)}</ul>` : ''}`;
    })}
    ${
      provider.notes.length + auth.notes.length === 0
        ? ''
        : html`<details><summary>Good to know</summary><ul>${[...auth.notes, ...provider.notes].map((note) => html`<li>${note}</li>`)}</ul></details>`
    }
  </section>`;
}

function tryIt(base: string, visit: Visit, { integration: { id, requireFinish } }: SetUp): Html | '' {
  if (!may(visit, 'connections:write')) return '';
  const body = requireFinish
    ? html`<p>This integration has only two-phase sessions, which your application finishes: try it from there, with the commands below.</p>`
    : html`<p>Makes a link that connects an account of yours for a test owner. Revoke the connection afterwards.</p>
          <form method="post" action="${base}/console/integrations/${id}/try">
            ${tokenField(visit)}
            ${textField({ name: 'owner', label: 'Owner', value: TEST_OWNER, required: true })}
            <div class="row"><button class="button">Make a link</button></div>
          </form>`;
  return html`<section class="card" aria-labelledby="try"><h2 id="try">Try it</h2>${body}</section>`;
}

/** Shown once: the link is stored nowhere. */
export const tryLinkPage = (
  base: string,
  { url, session }: Exclude<Awaited<ReturnType<ConnectSessions['create']>>, Refusal>,
): Html => html`
  <div class="card verdict busy">
    ${status('busy', 'Waiting')}
    <div>
      <p class="lead">Open this link, and connect an account of yours. It works once, within ten minutes, and is shown only now.</p>
      ${facts([['Link', copied(url, 'the link')]])}
      <div class="row">
        <a class="button" href="${url}" target="_blank" rel="noopener noreferrer">Open the link</a>
        <a class="button button-quiet" href="${base}/console/integrations/${session.integration}/try/${session.id}">See what comes of it</a>
      </div>
    </div>
  </div>`;

const OUTCOMES: Record<ConnectSession['status'], [tone: Tone, word: string, text: string]> = {
  pending: [
    'busy',
    'Waiting',
    'The link was not followed to its end yet. This page looks again by itself; without scripts, reload it.',
  ],
  awaiting_finish: [
    'busy',
    'Waiting for its finish',
    'The owner has consented. The application that made the session has to finish it.',
  ],
  completed: ['good', 'It works', 'The account is connected.'],
  failed: ['bad', 'It failed', 'The account was not connected.'],
  expired: ['off', 'Expired', 'The ten minutes are over. Make another link.'],
  cancelled: ['off', 'Cancelled', 'The session was cancelled.'],
};

export function outcomePage(base: string, session: ConnectSession, now: number): Html {
  const [tone, word, text] = OUTCOMES[session.status];
  const { connectionId, error, integration, owner } = session;
  return html`<section id="outcome" ${tone === 'busy' ? html`data-live="3"` : ''}>
    <div class="card verdict ${tone}">
      ${status(tone, word)}
      <div>
        <p class="lead">${text}</p>
        ${facts([
          ['Owner', owner],
          ['Made', when(session.createdAt, now)],
          ...(error === null ? [] : [['Why', html`<code>${error}</code>`] as const]),
          ...(session.status === 'completed' && connectionId
            ? [['Connection', html`<a href="${base}/console/connections/${connectionId}">${connectionId}</a>`] as const]
            : []),
        ])}
        <p><a href="${base}/console/integrations/${integration}/set-up">Back to the set-up</a></p>
      </div>
    </div>
  </section>`;
}
