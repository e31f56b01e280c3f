// The facts of a connection and its token, which is never shown itself.
import { html } from 'hono/html';
import type { Connection } from '../../../../domain/connection.ts';
import type { Integration } from '../../../../domain/integration.ts';
import { visibleJson } from '../../../../domain/visible-text.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { copied, facts } from '../../parts/facts.ts';
import { when } from '../../parts/when.ts';

/** `integration`: null if it was deleted, or may not be read. */
export const tokenFacts = (c: Connection, integration: Integration | null, now: number): Html => {
  const missing = (integration?.scopes ?? []).filter((scope) => !c.scopes.includes(scope));
  const isLive = c.status !== 'revoked';
  return html`<section class="card" aria-labelledby="token-facts">
    <h2 id="token-facts">The token</h2>
    ${facts([
      ['Access token', isLive ? expiry(c, now) : 'deleted'],
      ['Next refresh', isLive ? when(c.nextRefreshAt, now, 'none is due') : null],
      ['Last refreshed', when(c.lastRefreshedAt, now, 'never')],
      ['Failed refreshes in a row', c.failures.toLocaleString('en')],
      ['Last check', c.lastCheckedAt === null ? 'never' : checkOf(c, now)],
      ['Grant ends', when(c.reauthDueAt, now, 'it has no known end')],
      ['Generation', c.generation.toLocaleString('en')],
      ['Sent as', c.tokenType],
    ])}
    <h3>Scopes</h3>
    ${facts([
      ['Asked for by the integration today', integration ? scopeList(integration.scopes) : null],
      ['Granted', c.scopes.length === 0 ? 'the provider did not say' : scopeList(c.scopes)],
      ['Missing', c.scopes.length === 0 || !integration ? null : missing.length === 0 ? 'none' : scopeList(missing)],
    ])}
    ${
      c.scopes.length > 0 && missing.length > 0 && isLive
        ? html`<p class="hint">The owner is asked for the missing ones when they connect again.</p>`
        : ''
    }
  </section>`;
};

const expiry = ({ expiresAt }: Connection, now: number): Html =>
  expiresAt === null
    ? html`does not expire, as far as is known`
    : html`${expiresAt <= now ? 'expired' : 'expires'} ${when(expiresAt, now)}`;

const checkOf = ({ lastCheckedAt, lastCheckError }: Connection, now: number): Html =>
  html`${lastCheckError === null ? 'it worked' : html`<code>${lastCheckError}</code>`}, ${when(lastCheckedAt, now)}`;

const scopeList = (scopes: readonly string[]): Html =>
  scopes.length === 0
    ? html`none`
    : html`<ul class="scopes">
        ${scopes.map((scope) => html`<li><code>${scope}</code></li>`)}
      </ul>`;

export const connectionFacts = ({ base }: PlainSite, c: Connection, now: number): Html =>
  html`<section class="card" aria-labelledby="connection-facts">
    <h2 id="connection-facts">The connection</h2>
    ${facts([
      ['Id', copied(c.id, 'the id')],
      [
        'Integration',
        html`<a href="${base}/console/integrations/${encodeURIComponent(c.integration)}">${c.integration}</a>`,
      ],
      [
        'Owner',
        html`<a href="${base}/console/connections?${new URLSearchParams({ owner: c.owner })}">${shownName(c.owner)}</a>`,
      ],
      [
        'Agents',
        html`<a href="${base}/console/sessions?${new URLSearchParams({ owner: c.owner })}">sessions for this owner</a>`,
      ],
      ['Label', c.label ? shownName(c.label) : null],
      [
        'Account',
        c.account
          ? html`${shownName(c.account.name ?? c.account.id)} ${c.account.name ? html`<code>${shownName(c.account.id)}</code>` : ''}`
          : 'the provider did not tell',
      ],
      ['Connected', when(c.createdAt, now)],
      ['Last changed', when(c.updatedAt, now)],
      ...(c.upstreamRevocation ? [['Revocation at the provider', UPSTREAM[c.upstreamRevocation]] as const] : []),
    ])}
    ${record('Metadata', c.metadata)} ${record('Params', c.params)} ${record('Captured', c.captured)}
  </section>`;

const UPSTREAM = {
  done: 'done',
  pending: 'under way, and repeated until it is done',
  unsupported: 'the provider has no way to be told',
  failed: 'failed for good',
  kept_for_other_connection: 'not sent: another connection uses the same grant',
} as const;

const record = (name: string, value: Readonly<Record<string, unknown>>): Html | '' =>
  Object.keys(value).length === 0
    ? ''
    : html`<details><summary>${name}</summary><pre tabindex="0">${visibleJson(JSON.stringify(value, null, 2))}</pre></details>`;
