// Received webhooks and signals: what became of each, what was refused and why, and processing one again.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { Inbox, ShownWebhook } from '../../../../broker/webhooks/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { page, paged } from '../../../paging.ts';
import { type Place, refusedPage, seeOther, shown } from '../../answers.ts';
import { type ConsoleEnv, may, type Visit } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { actionButton } from '../../parts/actions.ts';
import { copied, facts, quoted } from '../../parts/facts.ts';
import { filterForm, idFilter, oneOf, queryOf, selectFilter, textFilter } from '../../parts/filters.ts';
import { nextPage, table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { eventTabs, KIND_WORDS, RECEIVED_STATUSES, RECEIVED_WORDS, receivedStatus } from './words.ts';

export interface ReceivedViewParts {
  inbox: Inbox;
  clock: Clock;
  site: PlainSite;
}

type Received = ShownWebhook['webhook'];

const LIMIT = 50;
/** Of the refused ones, so many of the newest are counted by reason. */
const COUNTED = 200;
const PATH = '/console/events/received';
const ONE = `${PATH}/:id{whr_[0-9a-z]+}`;

export function receivedViews({ inbox, clock, site }: ReceivedViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'events' };
  const crumbs = [
    { href: `${site.base}/console/events`, text: 'Events and webhooks' },
    { href: `${site.base}${PATH}`, text: 'Received' },
  ];

  /** Why webhooks are refused: of the newest. */
  async function reasons(visit: Visit, integration: string | undefined): Promise<Html | ''> {
    const refused = await inbox.list(
      visit.call,
      { status: 'refused', integration },
      { limit: COUNTED, after: undefined },
    );
    if (refused instanceof Refusal || refused.data.length === 0) return '';
    const groups = Map.groupBy(refused.data, (one) => `${one.integration}\n${one.reason ?? ''}`);
    const rows = [...groups.values()].map((all) => ({ newest: all[0]!, count: all.length }));
    return table<(typeof rows)[number]>({
      caption:
        refused.data.length < COUNTED
          ? 'Refused, by reason'
          : `Refused, by reason, of the newest ${COUNTED.toLocaleString('en')}`,
      columns: [
        { heading: 'Reason', isName: true, cell: ({ newest }) => html`<code>${newest.reason ?? 'none given'}</code>` },
        { heading: 'Integration', cell: ({ newest }) => newest.integration },
        { heading: 'How many', isNumber: true, cell: ({ count }) => count },
        { heading: 'The last one', cell: ({ newest }) => when(newest.receivedAt, clock.now()) },
      ],
      rows: rows.sort((one, other) => other.count - one.count).slice(0, 12),
      empty: '',
    });
  }

  async function list(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const filter = {
      status: oneOf(RECEIVED_STATUSES, c.req.query('status')),
      integration: idFilter(c.req.query('integration')),
      connection: idFilter(c.req.query('connection')),
    };
    const { connection: connectionId, ...rest } = filter;
    const cursor = c.req.query('cursor');
    const found = await paged(c, { limit: LIMIT, cursor }, (request) =>
      inbox.list(visit.call, { ...rest, connectionId }, request),
    );
    if (found instanceof Refusal) return refusedPage(c, place, found);
    const why = cursor === undefined && (filter.status ?? 'refused') === 'refused' && connectionId === undefined;
    const { data, next_cursor: next } = page(c, found, (one) => one);
    const isNarrowed = Object.values(filter).some((one) => one !== undefined);
    const body = html`
      ${eventTabs(site, '/received')}
      ${filterForm(
        `${site.base}${PATH}`,
        html`${selectFilter(
          'status',
          'State',
          RECEIVED_STATUSES.map((one) => [one, RECEIVED_WORDS[one]]),
          filter.status,
        )}
        ${textFilter('integration', 'Integration', filter.integration)}
        ${textFilter('connection', 'Connection id', filter.connection)}`,
      )}
      <section id="received" data-live="10">
        ${receivedTable(site, may(visit, 'webhooks'), data, clock.now(), emptyText(isNarrowed, next !== null))}
      </section>
      ${nextPage(`${site.base}${PATH}`, queryOf({ ...filter, cursor }), next)}
      ${why ? await reasons(visit, filter.integration) : ''}`;
    return c.html(
      consolePage(site, visit, { title: 'Received webhooks', section: 'events', notice: c.req.query('done'), body }),
    );
  }

  async function one(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const found = await inbox.get(visit.call, c.req.param('id') ?? '');
    return shown(c, place, found, (received) =>
      c.html(
        consolePage(site, visit, {
          title: `A ${KIND_WORDS[received.webhook.kind]} of ${received.webhook.integration}`,
          section: 'events',
          crumbs,
          notice: c.req.query('done'),
          body: receivedPage(site, visit, received, clock.now()),
        }),
      ),
    );
  }

  return new Hono<ConsoleEnv>()
    .get(PATH, list)
    .get(ONE, one)
    .post(`${ONE}/process`, async (c) => {
      const id = c.req.param('id');
      const processed = await inbox.process(c.get('visit').call, id);
      if (processed instanceof Refusal) return refusedPage(c, place, processed);
      return seeOther(c, site, `/events/received/${id}`, 'webhook_due');
    });
}

const emptyText = (isNarrowed: boolean, hasMore: boolean): string => {
  if (hasMore) return 'None among those that were looked through. The next page goes on.';
  return isNarrowed ? 'Nothing that was received is like that.' : 'Nothing has been received yet.';
};

function sentence({ status, reason, attempts }: Received, connections: number): string {
  if (status === 'located')
    return connections === 1 ? 'It is about one connection.' : `It is about ${connections} connections.`;
  if (status === 'unmatched')
    return 'No connection fits it. If the owner connects later, process it again: it is acted on then.';
  if (status === 'refused')
    return `It was refused: ${reason ?? 'no reason is known'}. Its body is not kept, so it cannot be processed.`;
  if (status === 'dead')
    return `Processing it failed ${attempts} times: ${reason ?? 'no reason is known'}. The log says why; then process it again.`;
  return attempts > 0 ? 'Processing it has failed, and is tried again.' : 'It waits to be processed.';
}

const link = ({ base }: PlainSite, id: string): Html => html`<a href="${base}/console/connections/${id}">${id}</a>`;

function receivedPage(site: PlainSite, visit: Visit, { webhook, connections, body }: ShownWebhook, now: number): Html {
  const types = webhook.items.map(({ providerType, providerEventId, eventId }) => ({
    providerType,
    providerEventId,
    eventId,
  }));
  // Its body is kept.
  const canProcess = may(visit, 'webhooks') && webhook.status !== 'refused';
  return html`
    <div class="card">
      <p>${receivedStatus(webhook.status)}</p>
      <p class="lead">${sentence(webhook, connections.length)}</p>
      ${facts([
        ['Id', copied(webhook.id, 'the id')],
        ['Received', when(webhook.receivedAt, now)],
        ['Processed', when(webhook.processedAt, now, 'not yet')],
        ['Attempts', webhook.attempts],
        ['Next attempt', when(webhook.nextAt, now, 'none')],
        ['Request', html`<code>${webhook.method} ${webhook.path}</code>`],
        ['Media type', webhook.contentType],
        ['Size', `${webhook.size.toLocaleString('en')} bytes`],
        ['SHA-256', html`<code>${webhook.digest}</code>`],
        ['Connections', connections.length === 0 ? 'none' : html`${connections.map((id) => html`${link(site, id)} `)}`],
      ])}
      ${
        canProcess
          ? html`<div class="row">
            ${actionButton(visit, { action: `${site.base}${PATH}/${webhook.id}/process`, label: 'Process it again' })}
          </div>`
          : ''
      }
    </div>
    ${table<(typeof types)[number]>({
      caption: 'What it says',
      columns: [
        { heading: 'Type', isName: true, cell: ({ providerType }) => providerType ?? 'not known' },
        { heading: "The provider's id", cell: ({ providerEventId }) => providerEventId ?? '–' },
        {
          heading: 'Our event',
          cell: ({ eventId }) =>
            html`<a href="${site.base}/console/events/deliveries?${queryOf({ event: eventId })}"><code>${eventId}</code></a>`,
        },
      ],
      rows: types,
      empty: 'It has no events, or all of them had been received before.',
    })}
    <div class="card">
      <h2>As it was received</h2>
      ${facts(Object.entries(webhook.headers).map(([name, value]) => [name, value]))}
      ${bodyOf(webhook, body)}
    </div>`;
}

function bodyOf({ kind }: Received, body: ShownWebhook['body']): Html {
  if (body !== null)
    return html`${body.body_encoding === 'base64' ? html`<p class="quiet">Not text: this is its base64.</p>` : ''}
    ${quoted(body.body)}`;
  return kind === 'webhook'
    ? html`<p>Its body is not kept.</p>`
    : html`<p>Of a signed token, only what was read of it is kept.</p>`;
}

const receivedTable = (
  { base }: PlainSite,
  mayOpen: boolean,
  rows: readonly Received[],
  now: number,
  empty: string,
): Html =>
  table<Received>({
    caption: 'Received, the newest first',
    hideCaption: true,
    columns: [
      {
        heading: 'Received',
        isName: true,
        cell: ({ id, receivedAt }) =>
          mayOpen ? html`<a href="${base}${PATH}/${id}">${when(receivedAt, now)}</a>` : when(receivedAt, now),
      },
      { heading: 'State', cell: (one) => receivedStatus(one.status) },
      { heading: 'Reason', cell: ({ reason }) => (reason === null ? '–' : html`<code>${reason}</code>`) },
      { heading: 'Integration', cell: ({ integration }) => integration },
      { heading: 'Kind', cell: ({ kind }) => KIND_WORDS[kind] },
      {
        heading: 'Says',
        cell: ({ items }) => [...new Set(items.map((one) => one.providerType ?? 'not known'))].join(', ') || '–',
      },
      { heading: 'Attempts', isNumber: true, cell: ({ attempts }) => attempts },
    ],
    rows,
    empty,
  });
