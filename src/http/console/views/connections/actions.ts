// What can be done with a connection: its buttons, and what each comes to.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { ConnectSessions, Revoker } from '../../../../broker/connections/index.ts';
import type { ConnectionCheck } from '../../../../broker/proxy/index.ts';
import type { GrantRetry, OnDemandRefresh } from '../../../../broker/tokens/index.ts';
import type { Connection } from '../../../../domain/connection.ts';
import { Refusal } from '../../../../domain/errors.ts';
import { SESSION_TTL_MS } from '../../../../domain/time-limits.ts';
import { visibleText } from '../../../../domain/visible-text.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { type Place, refusedPage, seeOther, unconfirmed } from '../../answers.ts';
import { type ConsoleEnv, may, type Visit } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import type { Notice } from '../../notices.ts';
import { actionButton, dangerousAction } from '../../parts/actions.ts';
import { copied } from '../../parts/facts.ts';
import { onlyFor } from '../../roles.ts';

export interface ConnectionActionParts {
  connectionCheck: ConnectionCheck;
  onDemandRefresh: OnDemandRefresh;
  grantRetry: GrantRetry;
  sessions: Pick<ConnectSessions, 'create'>;
  revoker: Pick<Revoker, 'revoke'>;
  site: PlainSite;
}

/** The buttons; none for those who may only read. */
export function connectionActions({ base }: PlainSite, visit: Visit, { id, status }: Connection): Html | '' {
  if (!may(visit, 'connections:write') || status === 'revoked') return '';
  const action = (name: string) => `${base}/console/connections/${id}/${name}`;
  const isActive = status === 'active';
  const check = actionButton(visit, { action: action('check'), label: 'Check it at its API' });
  const refresh = actionButton(visit, { action: action('refresh'), label: 'Refresh the token', isQuiet: true });
  const retry = actionButton(visit, { action: action('retry'), label: 'Try the grant once more', isQuiet: true });
  const link = actionButton(visit, {
    action: action('reconnect'),
    label: 'Make a reconnect link',
    isQuiet: isActive,
  });
  return html`<div class="row" role="group" aria-label="Actions">
    ${isActive ? html`${check} ${refresh}` : ''} ${link} ${status === 'needs_reauth' ? retry : ''}
    ${may(visit, 'admin') ? html`<a class="button button-quiet" href="${action('captures')}">Captured calls</a>` : ''}
    ${dangerousAction(visit, {
      action: action('revoke'),
      label: 'Revoke',
      id,
      consequence:
        'Its credentials are deleted on every replica at once, and the provider is told. Callers get no token any more. It cannot be undone: the owner would have to connect again.',
    })}
  </div>`;
}

/** What the connection's own page explains, so that the page says it. */
const EXPLAINED = new Set([
  'reauthorization_required',
  'connection_on_hold',
  'connection_revoked',
  'provider_unavailable',
  'integration_misconfigured',
]);

export function connectionActionRoutes(parts: ConnectionActionParts): Hono<ConsoleEnv> {
  const { connectionCheck, onDemandRefresh, grantRetry, sessions, revoker, site } = parts;
  const place: Place = { site, section: 'connections' };
  const pageOf = (id: string) => `/connections/${id}`;
  const back = (c: Context<ConsoleEnv>, id: string, notice: Notice) => seeOther(c, site, pageOf(id), notice);
  const refused = (c: Context<ConsoleEnv>, id: string, refusal: Refusal, notice: Notice) =>
    EXPLAINED.has(refusal.fault.code) ? back(c, id, notice) : refusedPage(c, place, refusal);

  return (
    new Hono<ConsoleEnv>()
      .post('/console/connections/:id/check', async (c) => {
        const id = c.req.param('id');
        const checked = await connectionCheck.check(c.get('visit').call, id);
        if (checked instanceof Refusal) return refused(c, id, checked, 'check_not_made');
        if (checked.ok) return back(c, id, 'check_ok');
        const isUnknown = checked.reason === 'provider_unavailable' || checked.reason === 'rate_limited';
        return back(c, id, isUnknown ? 'check_unknown' : 'check_failed');
      })
      .post('/console/connections/:id/refresh', async (c) => {
        const id = c.req.param('id');
        const refreshed = await onDemandRefresh(c.get('visit').call, id);
        return refreshed instanceof Refusal ? refused(c, id, refreshed, 'refresh_failed') : back(c, id, 'refreshed');
      })
      .post('/console/connections/:id/retry', async (c) => {
        const id = c.req.param('id');
        const retried = await grantRetry.retry(c.get('visit').call, id);
        return retried instanceof Refusal ? refused(c, id, retried, 'retry_failed') : back(c, id, 'retried');
      })
      .post('/console/connections/:id/revoke', onlyFor('connections:write', place), async (c) => {
        const id = c.req.param('id');
        const asked = unconfirmed(c, place, c.get('form'), id, pageOf(id));
        if (asked) return asked;
        const revoked = await revoker.revoke(c.get('visit').call, id);
        return revoked instanceof Refusal ? refusedPage(c, place, revoked) : back(c, id, 'revoked');
      })
      // Answered with a page, not a redirect: its URL is a secret, and shown once.
      .post('/console/connections/:id/reconnect', async (c) => {
        const id = c.req.param('id');
        const visit = c.get('visit');
        const created = await sessions.create(visit.call, { connectionId: id });
        if (created instanceof Refusal) return refused(c, id, created, 'reconnect_failed');
        const { url, session } = created;
        return c.html(
          consolePage(site, visit, {
            title: 'Reconnect link',
            section: 'connections',
            crumbs: [
              { href: `${site.base}/console/connections`, text: 'Connections' },
              {
                href: `${site.base}/console${pageOf(id)}`,
                text: `${visibleText(session.owner)} at ${session.integration}`,
              },
            ],
            body: html`<div class="card">
            <p class="lead">Send this link to the owner, and to no one else. It is shown only now.</p>
            <p>${copied(url, 'the link')}</p>
            <p>
              It works once, for ${SESSION_TTL_MS / 60_000} minutes. The owner signs in at the provider with the account that is
              connected; the connection keeps its id.
            </p>
            <p class="quiet">Its connect session is <code>${session.id}</code>, in which callers see what becomes of it.</p>
            <p><a class="button button-quiet" href="${site.base}/console${pageOf(id)}">Back to the connection</a></p>
          </div>`,
          }),
        );
      })
  );
}
