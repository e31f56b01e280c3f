// Webhook endpoints of callers: the list, and the page of one, with its last deliveries and what can be done about it.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { CallerAdmin } from '../../../../broker/callers/index.ts';
import type { Deliveries, WebhookEndpoints } from '../../../../broker/events/index.ts';
import type { JobAdmin } from '../../../../broker/jobs/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { WebhookEndpoint } from '../../../../domain/webhook-endpoint.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { page, paged } from '../../../paging.ts';
import { type Place, refusedPage, shown } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { actorWords, type CallerNames, callerNames } from '../../parts/actors.ts';
import { copied, facts } from '../../parts/facts.ts';
import { oneOf, queryOf, tabs } from '../../parts/filters.ts';
import { nextPage, table } from '../../parts/table.ts';
import { inWords, when } from '../../parts/when.ts';
import { deliveryTable } from './deliveries.ts';
import { endpointForms } from './endpoint-forms.ts';
import { DELIVERY_STATUSES, DELIVERY_WORDS, endpointStatus, eventTabs } from './words.ts';

export interface EndpointViewParts {
  webhookEndpoints: WebhookEndpoints;
  callers: Pick<CallerAdmin, 'list'>;
  deliveries: Deliveries;
  jobs: JobAdmin;
  clock: Clock;
  site: PlainSite;
}

const LIMIT = 50;
const RECENT = 20;
const PATH = '/console/events';
/** Where the page of one is. */
export const ENDPOINT_PATH = `${PATH}/endpoints/:id{whe_[0-9a-z]+}`;

export function endpointViews(parts: EndpointViewParts): Hono<ConsoleEnv> {
  const { webhookEndpoints, deliveries, callers, clock, site } = parts;
  const place: Place = { site, section: 'events' };
  const crumbs = [{ href: `${site.base}${PATH}`, text: 'Events and webhooks' }];

  async function list(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const cursor = c.req.query('cursor');
    const found = await paged(c, { limit: LIMIT, cursor }, (request) => webhookEndpoints.list(visit.call, request));
    const names = await callerNames(callers, visit);
    return shown(c, place, found, (some) => {
      const { data, next_cursor: next } = page(c, some, (one) => one);
      const body = html`${eventTabs(site, '')}${endpointTable(site, data, names, clock.now())}
      ${nextPage(`${site.base}${PATH}`, queryOf({ cursor }), next)}`;
      return c.html(
        consolePage(site, visit, {
          title: 'Events and webhooks',
          section: 'events',
          notice: c.req.query('done'),
          body,
        }),
      );
    });
  }

  async function one(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const endpoint = await webhookEndpoints.get(visit.call, c.req.param('id') ?? '');
    if (endpoint instanceof Refusal) return refusedPage(c, place, endpoint);
    const status = oneOf(DELIVERY_STATUSES, c.req.query('status'));
    const filter = { endpoint: endpoint.id, status };
    const [recent, names] = await Promise.all([
      deliveries.list(visit.call, filter, { limit: RECENT, after: undefined }),
      callerNames(callers, visit),
    ]);
    return shown(c, place, recent, ({ data, next }) => {
      const now = clock.now();
      const body = html`
        <div class="card">
          <p>${endpointStatus(endpoint)}</p>
          <p class="lead">${sentence(endpoint, now)}</p>
          ${factsOf(site, endpoint, names, now)}
        </div>
        ${endpointForms(site, visit, endpoint, now)}
        <h2>Its last deliveries</h2>
        ${tabs('Deliveries by state', [
          { href: `${site.base}${PATH}/endpoints/${endpoint.id}`, text: 'All', isCurrent: status === undefined },
          ...DELIVERY_STATUSES.map((each) => ({
            href: `${site.base}${PATH}/endpoints/${endpoint.id}?${queryOf({ status: each })}`,
            text: DELIVERY_WORDS[each],
            isCurrent: status === each,
          })),
        ])}
        <section id="recent" data-live="10">
          ${deliveryTable(site, data, now, status === undefined ? 'Nothing has been sent to it yet.' : 'No delivery to it is in this state.', { hideEndpoint: true })}
        </section>
        ${next === null ? '' : html`<p><a href="${site.base}${PATH}/deliveries?${queryOf(filter)}">All of them</a></p>`}`;
      const title = endpoint.description ?? 'A webhook endpoint';
      return c.html(consolePage(site, visit, { title, section: 'events', crumbs, notice: c.req.query('done'), body }));
    });
  }

  return new Hono<ConsoleEnv>().get(PATH, list).get(ENDPOINT_PATH, one);
}

function sentence({ enabled, disabledReason, failingSince }: WebhookEndpoint, now: number): string {
  if (enabled && failingSince === null) return 'What is sent to it arrives, or nothing has been sent yet.';
  if (enabled)
    return `Every attempt has failed, the first one ${inWords(failingSince!, now)}. The broker goes on trying, and disables the endpoint after five days of failures.`;
  const waits = 'Nothing is sent to it. Its events wait, and are sent when it is enabled again.';
  if (disabledReason === 'gone') return `It has answered 410, that it is gone, and was disabled. ${waits}`;
  if (disabledReason === 'failing') return `It has failed for five days, and was disabled. ${waits}`;
  return `It was disabled by its caller or an admin. ${waits}`;
}

const listed = (all: readonly string[] | null, every: string): string => all?.join(', ') ?? every;

const factsOf = (site: PlainSite, endpoint: WebhookEndpoint, names: CallerNames, now: number): Html =>
  facts([
    ['URL', copied(endpoint.url, 'the URL')],
    ['Endpoint', copied(endpoint.id, 'the id of the endpoint')],
    ['Caller', actorWords(site, endpoint.callerId, names)],
    ['Events', listed(endpoint.types, 'all that its caller may hear')],
    ['Integrations', listed(endpoint.integrations, 'all that its caller may hear of')],
    ['Owners', listed(endpoint.owners, 'all that its caller may hear of')],
    ['Order', endpoint.ordered ? 'the events of a connection one after the other' : 'as they come'],
    ['More headers', endpoint.headers === null ? 'none' : 'set, and never shown'],
    [
      'Secret',
      endpoint.previousSecret !== null && (endpoint.previousUntil ?? 0) > now
        ? html`signs; so does the one before, which ends ${when(endpoint.previousUntil, now)}`
        : 'signs',
    ],
    ['Created', when(endpoint.createdAt, now)],
    ['Changed', when(endpoint.updatedAt, now)],
  ]);

const endpointTable = (site: PlainSite, rows: readonly WebhookEndpoint[], names: CallerNames, now: number): Html =>
  table<WebhookEndpoint>({
    caption: 'Webhook endpoints, the newest first',
    hideCaption: true,
    columns: [
      {
        heading: 'Endpoint',
        isName: true,
        cell: ({ id, url, description }) =>
          html`<a href="${site.base}${PATH}/endpoints/${id}">${description ?? url}</a>${description === null ? '' : html`<br><span class="quiet">${url}</span>`}`,
      },
      { heading: 'State', cell: endpointStatus },
      {
        heading: 'Since',
        cell: ({ enabled, failingSince, updatedAt }) => when(enabled ? failingSince : updatedAt, now),
      },
      {
        heading: 'Caller',
        cell: ({ callerId }) => actorWords(site, callerId, names),
      },
      { heading: 'Events', cell: ({ types }) => listed(types, 'all') },
    ],
    rows,
    empty: html`No caller has a webhook endpoint yet. A caller creates one with its own key, by
      <code>POST /v1/webhook-endpoints</code> or <code>valetkey webhook-endpoints create</code>.`,
  });
