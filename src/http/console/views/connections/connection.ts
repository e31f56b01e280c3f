// A connection: whether it works, why not and what to do, what has happened to it, and what can be done.

import { Hono } from 'hono';
import { html } from 'hono/html';
import type { AuditLog } from '../../../../broker/audit/index.ts';
import type { CallerAdmin } from '../../../../broker/callers/index.ts';
import type { ConnectionResource } from '../../../../broker/connections/index.ts';
import type { IntegrationAdmin } from '../../../../broker/integrations/index.ts';
import type { Explanations } from '../../../../broker/maintenance/index.ts';
import type { Inbox } from '../../../../broker/webhooks/index.ts';
import type { Connection } from '../../../../domain/connection.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Explanation } from '../../../../domain/explanation.ts';
import { DAY_MS } from '../../../../domain/time-limits.ts';
import { visibleText } from '../../../../domain/visible-text.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Cursors } from '../../../cursors.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { type Place, refusedPage } from '../../answers.ts';
import { type ConsoleEnv, may, type Visit } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { type CallerNames, callerNames } from '../../parts/actors.ts';
import { CONNECTION_TONES, CONNECTION_WORDS, status } from '../../parts/status.ts';
import { nextPage } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { connectionActions } from './actions.ts';
import { timeline } from './timeline.ts';
import { changeItems, merged, readItems, receivedItems, type TimelineItem } from './timeline-items.ts';
import { connectionFacts, tokenFacts } from './token-facts.ts';

export interface ConnectionViewParts {
  connections: Pick<ConnectionResource, 'get'>;
  integrations: Pick<IntegrationAdmin, 'get'>;
  explanations: Pick<Explanations, 'ofConnection'>;
  auditLog: AuditLog;
  callers: Pick<CallerAdmin, 'list'>;
  inbox: Pick<Inbox, 'list'>;
  cursors: Cursors;
  clock: Pick<Clock, 'now'>;
  site: PlainSite;
}

const CHANGES_PER_PAGE = 50;
/** Entries of the last day, of which the reads are counted; and received webhooks. */
const [NEWEST_ENTRIES, NEWEST_WEBHOOKS] = [500, 50];

export function connectionView(parts: ConnectionViewParts): Hono<ConsoleEnv> {
  const { connections, integrations, explanations, clock, site } = parts;
  const place: Place = { site, section: 'connections' };
  return new Hono<ConsoleEnv>().get('/console/connections/:id', async (c) => {
    const visit = c.get('visit');
    const id = c.req.param('id');
    const connection = await connections.get(visit.call, id);
    if (connection instanceof Refusal) return refusedPage(c, place, connection);
    const [because, integration, past, names] = await Promise.all([
      explanations.ofConnection(connection),
      integrations.get(visit.call, connection.integration),
      readPast(parts, visit, id, c.req.query('cursor')),
      callerNames(parts.callers, visit),
    ]);
    const now = clock.now();
    return c.html(
      consolePage(site, visit, {
        title: `${visibleText(connection.owner)} at ${connection.integration}`,
        section: 'connections',
        crumbs: [{ href: `${site.base}/console/connections`, text: 'Connections' }],
        notice: c.req.query('done'),
        body: html`${verdict(site, connection, because, now)} ${connectionActions(site, visit, connection)}
          <div class="split">
            ${pastCard(site, visit, connection, past, names, now)}
            <div>
              ${tokenFacts(connection, integration instanceof Refusal ? null : integration, now)}
              ${connectionFacts(site, connection, now)}
            </div>
          </div>`,
      }),
    );
  });
}

const FIXED_BY: Readonly<Record<Explanation['fixableBy'], string>> = {
  admin: 'an admin of the integration',
  owner: 'the owner of the account',
  vendor: 'the provider',
  operator: 'the operator of this broker',
  no_one: 'no one: it is over',
};

function verdict({ base }: PlainSite, c: Connection, because: Explanation | null, now: number): Html {
  const isFailing = c.status === 'active' && because !== null;
  const tone = isFailing ? 'busy' : CONNECTION_TONES[c.status];
  const error = because === null ? null : c.lastRefreshError;
  return html`<div class="card verdict ${tone}">
    ${status(tone, isFailing ? 'active, with trouble' : CONNECTION_WORDS[c.status])}
    <div>
      ${
        because === null
          ? html`<p class="lead">It works, as far as is known.</p>`
          : html`<p class="lead">${because.summary}</p>
            <p>${because.how}</p>
            <dl class="facts">
              <div><dt>Since</dt><dd>${when(because.since, now, 'not known')}</dd></div>
              <div><dt>Who can fix it</dt><dd>${because.fixableBy === 'admin' ? html`<a href="${base}/console/integrations/${encodeURIComponent(c.integration)}">${FIXED_BY.admin}</a>` : FIXED_BY[because.fixableBy]}</dd></div>
              ${because.until === null ? '' : html`<div><dt>The broker tries again</dt><dd>${when(because.until, now)}</dd></div>`}
              ${c.reason === null ? '' : html`<div><dt>Reason</dt><dd><code>${c.reason}</code></dd></div>`}
            </dl>`
      }
      ${
        error === null
          ? ''
          : html`<p class="quiet">
              The provider's last answer, ${when(error.at, now)}: <code>${error.code}</code>${error.detail ? html` ${shownName(error.detail)}` : ''}
            </p>`
      }
    </div>
  </div>`;
}

interface Past {
  items: TimelineItem[];
  /** Of the next page. */
  cursor: string | null;
  isFirst: boolean;
}

/** Undefined: not theirs to read. */
async function readPast(
  { auditLog, inbox, cursors, clock }: ConnectionViewParts,
  { call }: Visit,
  id: string,
  cursor: string | undefined,
): Promise<Past | undefined> {
  const list = `/console/connections/${id}`;
  const after = cursor === undefined ? undefined : cursors.decrypt(list, cursor);
  const isFirst = after === undefined;
  const [changes, newest, received] = await Promise.all([
    auditLog(call, { connectionId: id, changes: true }, { limit: CHANGES_PER_PAGE, after }),
    isFirst &&
      auditLog(call, { connectionId: id, from: clock.now() - DAY_MS }, { limit: NEWEST_ENTRIES, after: undefined }),
    isFirst && inbox.list(call, { connectionId: id }, { limit: NEWEST_WEBHOOKS, after: undefined }),
  ]);
  if (changes instanceof Refusal) return undefined;
  const oldest = changes.data.at(-1)?.at ?? 0;
  return {
    items: merged(
      [
        changeItems(changes.data),
        newest && !(newest instanceof Refusal) ? readItems(newest.data) : [],
        received && !(received instanceof Refusal) ? receivedItems(received.data) : [],
      ],
      changes.next === null ? 0 : oldest,
    ),
    cursor: changes.next === null ? null : cursors.encrypt(list, changes.next),
    isFirst,
  };
}

function pastCard(
  site: PlainSite,
  visit: Visit,
  { id }: Connection,
  past: Past | undefined,
  names: CallerNames,
  now: number,
): Html | '' {
  if (!past || !may(visit, 'audit:read')) return '';
  const query = new URLSearchParams(past.isFirst ? {} : { cursor: '' });
  return html`<section class="card" aria-labelledby="timeline">
    <h2 id="timeline">What happened</h2>
    <p class="quiet">
      The newest first. Reads are counted by caller and hour, over the last day.
      <a href="${site.base}/console/audit?${new URLSearchParams({ connection_id: id })}">All of it is in the audit log</a>.
    </p>
    ${timeline(site, past.items, names, now)} ${nextPage(`${site.base}/console/connections/${id}`, query, past.cursor)}
  </section>`;
}
