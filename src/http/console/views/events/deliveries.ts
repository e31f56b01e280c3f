// Deliveries: which events were sent where, with what answer; and sending one again.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { Deliveries } from '../../../../broker/events/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import { type Delivery, HELD } from '../../../../domain/webhook-endpoint.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { page, paged } from '../../../paging.ts';
import { type Place, refusedPage, seeOther, shown } from '../../answers.ts';
import { type ConsoleEnv, may } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { actionButton } from '../../parts/actions.ts';
import { copied, facts, quoted } from '../../parts/facts.ts';
import { filterForm, idFilter, oneOf, queryOf, selectFilter, textFilter } from '../../parts/filters.ts';
import { nextPage, table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { answerOf, DELIVERY_STATUSES, DELIVERY_WORDS, deliveryStatus, eventTabs } from './words.ts';

export interface DeliveryViewParts {
  deliveries: Deliveries;
  clock: Clock;
  site: PlainSite;
}

const LIMIT = 50;
const PATH = '/console/events/deliveries';
const ONE = `${PATH}/:id{dlv_[0-9a-z]+}`;

export function deliveryViews({ deliveries, clock, site }: DeliveryViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'events' };
  const crumbs = [
    { href: `${site.base}/console/events`, text: 'Events and webhooks' },
    { href: `${site.base}${PATH}`, text: 'Deliveries' },
  ];

  async function list(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const filter = {
      status: oneOf(DELIVERY_STATUSES, c.req.query('status')),
      endpoint: idFilter(c.req.query('endpoint')),
      event: idFilter(c.req.query('event')),
    };
    const cursor = c.req.query('cursor');
    const found = await paged(c, { limit: LIMIT, cursor }, (request) => deliveries.list(visit.call, filter, request));
    return shown(c, place, found, (some) => {
      const { data, next_cursor: next } = page(c, some, (one) => one);
      const isNarrowed = Object.values(filter).some((one) => one !== undefined);
      const body = html`
        ${eventTabs(site, '/deliveries')}
        ${filterForm(
          `${site.base}${PATH}`,
          html`${selectFilter(
            'status',
            'State',
            DELIVERY_STATUSES.map((one) => [one, DELIVERY_WORDS[one]]),
            filter.status,
          )}
          ${textFilter('endpoint', 'Endpoint id', filter.endpoint)} ${textFilter('event', 'Event id', filter.event)}`,
        )}
        <section id="deliveries" data-live="10">
          ${deliveryTable(site, data, clock.now(), emptyText(isNarrowed, next !== null))}
        </section>
        ${nextPage(`${site.base}${PATH}`, queryOf({ ...filter, cursor }), next)}`;
      return c.html(
        consolePage(site, visit, { title: 'Deliveries', section: 'events', notice: c.req.query('done'), body }),
      );
    });
  }

  async function one(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const found = await deliveries.get(visit.call, c.req.param('id') ?? '');
    return shown(c, place, found, ({ delivery, response, event }) => {
      const now = clock.now();
      const endpoint = `${site.base}/console/events/endpoints/${delivery.endpointId}`;
      const body = html`
        <div class="card">
          <p>${deliveryStatus(delivery.status)}</p>
          <p class="lead">${sentence(delivery)}</p>
          ${facts([
            ['Delivery', copied(delivery.id, 'the id of the delivery')],
            ['Event', html`${event?.type ?? 'not shown'}<br>${copied(delivery.eventId, 'the id of the event')}`],
            ['Endpoint', html`<a href="${endpoint}">${delivery.endpointId}</a>`],
            [
              'Connection',
              delivery.connectionId &&
                html`<a href="${site.base}/console/connections/${delivery.connectionId}">${delivery.connectionId}</a>`,
            ],
            ['Attempts', delivery.attempts],
            ['Last attempt', when(delivery.lastAttemptAt, now, 'none yet')],
            ['It came to', answerOf(delivery)],
            [
              'Next attempt',
              delivery.nextAt === HELD ? 'after an earlier one of its connection' : when(delivery.nextAt, now, 'none'),
            ],
            ['Created', when(delivery.createdAt, now)],
            ['Delivered', when(delivery.deliveredAt, now, 'not yet')],
          ])}
          ${
            may(visit, 'events')
              ? html`<div class="row">
                ${actionButton(visit, {
                  action: `${site.base}${PATH}/${delivery.id}/retry`,
                  label: delivery.status === 'delivered' ? 'Send it once more' : 'Send it now',
                })}
              </div>`
              : ''
          }
        </div>
        <div class="card">
          <h2>The event</h2>
          ${
            event === null
              ? html`<p>
                  The event has been deleted,
                  ${may(visit, 'webhooks') ? 'since events are kept for a limited time.' : 'or it has what a third party has sent, which your role does not show.'}
                </p>`
              : quoted(JSON.stringify({ id: delivery.eventId, ...event }, null, 2))
          }
        </div>
        <div class="card">
          <h2>The last answer</h2>
          ${
            response === null
              ? html`<p>There was none${delivery.lastError === null ? '' : `: ${answerOf(delivery)}`}.</p>`
              : html`<p>The endpoint ${answerOf(delivery)}. These are the first 4 kB.</p>
                ${response === '' ? html`<p class="quiet">It has no body.</p>` : quoted(response)}`
          }
        </div>`;
      return c.html(
        consolePage(site, visit, { title: 'A delivery', section: 'events', crumbs, notice: c.req.query('done'), body }),
      );
    });
  }

  return new Hono<ConsoleEnv>()
    .get(PATH, list)
    .get(ONE, one)
    .post(`${ONE}/retry`, async (c) => {
      const retried = await deliveries.retry(c.get('visit').call, c.req.param('id'));
      if (retried instanceof Refusal) return refusedPage(c, place, retried);
      return seeOther(c, site, `/events/deliveries/${retried.id}`, 'delivery_due');
    });
}

function sentence(delivery: Delivery): string {
  const { status, attempts } = delivery;
  const tried = attempts === 1 ? 'one attempt' : `${attempts} attempts`;
  if (status === 'delivered') return `It was delivered, after ${tried}.`;
  if (status === 'dead')
    return `It was given up after ${tried}: ${answerOf(delivery)}. It is sent again only if someone asks for it.`;
  if (status === 'failing') return `It has failed so far: ${answerOf(delivery)}. The broker goes on trying by itself.`;
  return 'It waits to be sent.';
}

const emptyText = (isNarrowed: boolean, hasMore: boolean): string => {
  if (hasMore) return 'None among those that were looked through. The next page goes on.';
  return isNarrowed ? 'No delivery is like that.' : 'Nothing has been sent yet.';
};

export const deliveryTable = (
  { base }: PlainSite,
  rows: readonly Delivery[],
  now: number,
  empty: string,
  { hideEndpoint = false } = {},
): Html =>
  table<Delivery>({
    caption: 'Deliveries, the newest first',
    hideCaption: true,
    columns: [
      {
        heading: 'Created',
        isName: true,
        cell: ({ id, createdAt }) => html`<a href="${base}${PATH}/${id}">${when(createdAt, now)}</a>`,
      },
      { heading: 'State', cell: (one) => deliveryStatus(one.status) },
      { heading: 'It came to', cell: answerOf },
      { heading: 'Attempts', isNumber: true, cell: ({ attempts }) => attempts },
      { heading: 'Next attempt', cell: ({ nextAt }) => (nextAt === HELD ? 'after an earlier one' : when(nextAt, now)) },
      {
        heading: 'Event',
        cell: ({ eventId }) =>
          html`<a href="${base}${PATH}?${queryOf({ event: eventId })}"><code>${eventId}</code></a>`,
      },
      ...(hideEndpoint
        ? []
        : [
            {
              heading: 'Endpoint',
              cell: ({ endpointId }: Delivery) =>
                html`<a href="${base}/console/events/endpoints/${endpointId}"><code>${endpointId}</code></a>`,
            },
          ]),
    ],
    rows,
    empty,
  });
