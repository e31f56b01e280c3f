// Connections: searched and filtered; the address is the search.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { ConnectionResource } from '../../../../broker/connections/index.ts';
import type { IntegrationAdmin } from '../../../../broker/integrations/index.ts';
import type { Connection } from '../../../../domain/connection.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Integration } from '../../../../domain/integration.ts';
import type { Clock, ConnectionCount, Page } from '../../../../ports/index.ts';
import type { Cursors } from '../../../cursors.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { type Place, refusedPage } from '../../answers.ts';
import { type ConsoleEnv, may } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { CONNECTION_TONES, CONNECTION_WORDS, status } from '../../parts/status.ts';
import { nextPage, table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { DUE, filterOf, type ListQuery, listQuery, toQuery } from './list-query.ts';
import { REASONS } from './reasons.ts';

export interface ConnectionListParts {
  connections: Pick<ConnectionResource, 'list' | 'counts'>;
  integrations: Pick<IntegrationAdmin, 'list'>;
  cursors: Cursors;
  clock: Pick<Clock, 'now'>;
  site: PlainSite;
}

const PER_PAGE = 50;
const MOST_INTEGRATIONS = 500;
const PATH = '/console/connections';

export function connectionListView({
  connections,
  integrations: listIntegrations,
  cursors,
  clock,
  site,
}: ConnectionListParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'connections' };
  return new Hono<ConsoleEnv>().get(PATH, async (c) => {
    const visit = c.get('visit');
    const query = listQuery(new URL(c.req.url).searchParams);
    const now = clock.now();
    const after = query.cursor === undefined ? undefined : cursors.decrypt(PATH, query.cursor);
    const [found, counted, integrations] = await Promise.all([
      connections.list(visit.call, filterOf(query, now), { limit: PER_PAGE, after }),
      connections.counts(visit.call),
      listIntegrations.list(visit.call, { limit: MOST_INTEGRATIONS, after: undefined }),
    ]);
    if (found instanceof Refusal) return refusedPage(c, place, found);
    const shown = { ...query, cursor: after === undefined ? undefined : query.cursor };
    return c.html(
      consolePage(site, visit, {
        title: 'Connections',
        section: 'connections',
        notice: c.req.query('done'),
        body: html`${counted instanceof Refusal ? '' : counts(site, counted, query)} ${search(site, shown, integrations.data)}
          ${results(site, shown, found, now)}
          ${nextPage(`${site.base}${PATH}`, toQuery(shown), found.next === null ? null : cursors.encrypt(PATH, found.next))}
          ${
            may(visit, 'connections:write')
              ? html`<p>
                  <a class="button button-quiet" href="${site.base}${PATH}/revoke?${toQuery({ integration: query.integration, owner: query.owner })}"
                    >Revoke many at once</a
                  >
                </p>`
              : ''
          }`,
      }),
    );
  });
}

/** Each with its words for one, and for several. */
const COUNTED = [
  ['active', 'good', 'active', 'active'],
  ['failing', 'busy', 'whose refreshes fail', 'whose refreshes fail'],
  ['needs_reauth', 'bad', 'needs its owner', 'need their owner'],
  ['on_hold', 'busy', 'on hold', 'on hold'],
  ['revoked', 'off', 'revoked', 'revoked'],
] as const;

/** Of all, or of the integration that is chosen. */
function counts({ base }: PlainSite, all: readonly ConnectionCount[], query: ListQuery): Html {
  const { integration } = query;
  const counted = all.filter((one) => integration === undefined || one.integration === integration);
  const sum = (name: (typeof COUNTED)[number][0]) =>
    name === 'failing'
      ? counted.reduce((total, { failing }) => total + failing, 0)
      : counted.reduce((total, { status, count }) => (status === name ? total + count : total), 0);
  const link = (value: ListQuery['status']) => `${base}${PATH}?${toQuery({ integration, status: value })}`;
  return html`<ul class="counts" aria-label="${integration === undefined ? 'All connections' : `Connections of ${integration}`}">
    ${COUNTED.map(([name, tone, one, several]) => {
      const count = sum(name);
      return html`<li>
        <a href="${link(name)}" ${name === query.status ? html`aria-current="true"` : ''}
          ><strong>${count.toLocaleString('en')}</strong> ${status(count === 0 ? 'off' : tone, count === 1 ? one : several)}</a
        >
      </li>`;
    })}
  </ul>`;
}

function search({ base }: PlainSite, query: ListQuery, integrations: readonly Pick<Integration, 'id'>[]): Html {
  const ids = integrations.map(({ id }) => [id, id] as const);
  // One that is gone still has connections that are revoked.
  if (query.integration !== undefined && !ids.some(([id]) => id === query.integration))
    ids.push([query.integration, query.integration]);
  return html`<form method="get" action="${base}${PATH}" class="filters" role="search">
      <div class="wide">
        <label for="q">Search</label>
        <input id="q" name="q" type="search" value="${query.text ?? ''}" maxlength="255" autocomplete="off" spellcheck="false" aria-describedby="q-hint">
      </div>
      ${choice('status', 'Status', query.status, [
        ['active', 'active'],
        ['failing', 'active, but refreshes fail'],
        ['needs_reauth', 'needs its owner'],
        ['on_hold', 'on hold'],
        ['revoked', 'revoked'],
      ])}
      ${choice('reason', 'Reason', query.reason, Object.entries(REASONS))} ${choice('integration', 'Integration', query.integration, ids)}
      ${choice('due', 'Due', query.due, Object.entries(DUE))}
      ${
        query.owner === undefined
          ? ''
          : html`<div>
        <label for="owner">Owner, exactly</label>
        <input id="owner" name="owner" value="${query.owner}" maxlength="255" autocomplete="off" spellcheck="false">
      </div>`
      }
      <button class="button">Search</button>
    </form>
    <p class="hint" id="q-hint">
      Finds the id of a connection or of its account, and what the owner, the label or the account's name begins with. Owners,
      labels and ids are told apart by upper and lower case.
    </p>`;
}

const choice = (
  name: string,
  label: string,
  chosen: string | undefined,
  options: readonly (readonly [string, string])[],
): Html =>
  html`<div>
    <label for="${name}">${label}</label>
    <select id="${name}" name="${name}">
      <option value="">any</option>
      ${options.map(([value, text]) => html`<option value="${value}" ${value === chosen ? 'selected' : ''}>${text}</option>`)}
    </select>
  </div>`;

const isFailing = ({ status: is, failures }: Connection): boolean => is === 'active' && failures > 0;

function results({ base }: PlainSite, query: ListQuery, { data, next }: Page<Connection>, now: number): Html {
  const isSearch = toQuery({ ...query, cursor: undefined }).size > 0;
  const link = (c: Connection) => html`<a href="${base}${PATH}/${c.id}">${shownName(c.owner)}</a>`;
  return table<Connection>({
    caption: isSearch ? 'What was found, the oldest first' : 'All connections, the oldest first',
    columns: [
      {
        heading: 'Owner',
        isName: true,
        cell: (c) =>
          html`<span>${link(c)}${c.label ? html` <span class="label">${shownName(c.label)}</span>` : ''}</span>`,
      },
      { heading: 'Integration', cell: (c) => c.integration },
      {
        heading: 'Status',
        cell: (c) =>
          html`<span>${isFailing(c) ? status('busy', 'refreshes fail') : status(CONNECTION_TONES[c.status], CONNECTION_WORDS[c.status])}${
            c.reason
              ? html`<br><span class="quiet">${Object.hasOwn(REASONS, c.reason) ? REASONS[c.reason] : c.reason}</span>`
              : ''
          }</span>`,
      },
      { heading: 'Account', cell: (c) => shownName(c.account?.name ?? c.account?.id ?? '–') },
      { heading: 'Next refresh', cell: (c) => (c.status === 'revoked' ? '–' : when(c.nextRefreshAt, now)) },
      { heading: 'Last changed', cell: (c) => when(c.updatedAt, now) },
    ],
    rows: data,
    empty: emptyText(base, query, isSearch, next),
  });
}

function emptyText(base: string, query: ListQuery, isSearch: boolean, next: string | null): Html {
  if (next !== null) return html`None so far, and not all were looked at: go on with the next page.`;
  if (query.cursor !== undefined) return html`There are no more.`;
  if (isSearch)
    return html`No connection matches. <a href="${base}${PATH}">Show all</a>, or search for less: the first letters are enough.`;
  return html`No account is connected yet. Callers make connect links; <a href="${base}/console/integrations">an integration</a> has to be set up first.`;
}
