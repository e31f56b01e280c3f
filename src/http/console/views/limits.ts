// Limits and circuits: what is slowed down or not called at all, why, since when, and what happens next.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { LimitsState, ReadLimits } from '../../../broker/maintenance/index.ts';
import type { CircuitCause } from '../../../domain/explanation.ts';
import type { CircuitView, LimitsMet, LimitView, RefreshQueueView } from '../../../domain/limits-state.ts';
import type { Clock } from '../../../ports/index.ts';
import type { Html, PlainSite } from '../../pages/layout.ts';
import { type Place, shown } from '../answers.ts';
import type { ConsoleEnv } from '../environment.ts';
import { consolePage } from '../layout.ts';
import { filterForm, idFilter, textFilter } from '../parts/filters.ts';
import { status, type Tone } from '../parts/status.ts';
import { type Column, type Table, table } from '../parts/table.ts';
import { inWords, when } from '../parts/when.ts';

export interface LimitsViewParts {
  readLimits: ReadLimits;
  clock: Clock;
  site: PlainSite;
}

const PATH = '/console/limits';

export function limitsView({ readLimits, clock, site }: LimitsViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'limits' };
  return new Hono<ConsoleEnv>().get(PATH, (c) => {
    const visit = c.get('visit');
    const integration = idFilter(c.req.query('integration'));
    return shown(c, place, readLimits(visit.call), (all) => {
      const state = integration === undefined ? all : narrowed(all, integration);
      const now = clock.now();
      const body = html`
        ${filterForm(`${site.base}${PATH}`, textFilter('integration', 'Integration', integration))}
        <section id="limits" data-live="5">
          ${verdict(state)} ${refreshes(site, state, now)} ${apis(site, state, now)}
          ${integration === undefined ? deliveries(site, state, now) : ''}
        </section>
        <p class="quiet">
          This is what the replica that answers knows. Each replica finds out by itself that a provider fails; that an API has
          told one of them to wait, all of them know within a second.
        </p>`;
      return c.html(consolePage(site, visit, { title: 'Limits and circuits', section: 'limits', body }));
    });
  });
}

function narrowed({ refreshes: r, apis: a }: LimitsState, integration: string): LimitsState {
  const isOfIt = (one: { integration: string }) => one.integration === integration;
  const hasId = ({ id }: CircuitView) => id === integration;
  return {
    refreshes: { circuits: r.circuits.filter(hasId), queues: r.queues.filter(isOfIt) },
    apis: { limits: a.limits.filter(isOfIt), met: a.met.filter(isOfIt), circuits: a.circuits.filter(hasId) },
    deliveries: [],
  };
}

function verdict({ refreshes: { circuits }, apis: a, deliveries: d }: LimitsState): Html {
  const names = (all: readonly CircuitView[]) => [...new Set(all.map(({ id }) => id))];
  const hosts = [...new Set(a.circuits.map(({ endpoint }) => endpoint))];
  const blocked = new Set(a.limits.filter(({ blockedForMs }) => blockedForMs > 0).map((one) => one.integration));
  const sentences = [
    ...(circuits.length > 0 ? [`Refreshes at ${listed(names(circuits))} are paused.`] : []),
    ...(hosts.length > 0 ? [`Calls to ${listed(hosts)} are refused or slowed down.`] : []),
    ...(blocked.size > 0 ? [`Calls to the APIs of ${listed([...blocked])} wait for a limit.`] : []),
    ...(d.length > 0
      ? [`${d.length === 1 ? 'One webhook endpoint fails' : `${d.length} webhook endpoints fail`}.`]
      : []),
  ];
  const isPaused = circuits.length + hosts.length > 0;
  const tone: Tone = isPaused ? 'bad' : sentences.length > 0 ? 'busy' : 'good';
  return html`<div class="card verdict ${tone}">
    ${status(tone, isPaused ? 'Paused' : sentences.length > 0 ? 'Slowed down' : 'Nothing is held up')}
    <p class="lead">${sentences.join(' ') || 'No circuit is open, and no limit holds a call back.'}</p>
  </div>`;
}

const listed = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

/** A calm page is a short one: what there is nothing of is a line. */
const calm = <T>(what: Table<T>): Html =>
  what.rows.length > 0 ? table(what) : html`<p class="quiet">${what.empty}</p>`;

const WHY: Record<CircuitCause, string> = {
  outage: 'It is down, or cannot be reached.',
  throttled: 'It asks to wait.',
  client_fault: 'It refuses the client: its id, secret or key may be wrong, or the app was disabled.',
  dead_grants: 'It refuses unlikely many refresh tokens, as if all of them had ended.',
};
const STATES = {
  open: ['bad', 'open'],
  half_open: ['busy', 'trying'],
  recovering: ['busy', 'recovering'],
} as const satisfies Record<CircuitView['state'], readonly [Tone, string]>;

const NEXT: Record<CircuitView['state'], string> = {
  open: 'any moment',
  half_open: 'under way',
  recovering: 'none: it works again, and few calls go at first',
};

const circuitTable = (
  what: { caption: string; empty: string; endpoint: string },
  name: Column<CircuitView>,
  rows: readonly CircuitView[],
  now: number,
): Html =>
  calm<CircuitView>({
    caption: what.caption,
    columns: [
      name,
      {
        heading: what.endpoint,
        cell: ({ endpoint, scope }) =>
          html`${endpoint}${scope === 'caller' ? html`<br><span class="quiet">for one caller only</span>` : ''}`,
      },
      { heading: 'Circuit', cell: ({ state }) => status(STATES[state][0], STATES[state][1]) },
      { heading: 'Why', cell: ({ why }) => (why ? html`${WHY[why.cause]}<br><code>${why.code}</code>` : '–') },
      { heading: 'Since', cell: ({ openForMs }) => when(openForMs === null ? null : now - openForMs, now) },
      {
        heading: 'Next try',
        cell: ({ state, probeInMs }) => (probeInMs ? inWords(now + probeInMs, now) : NEXT[state]),
      },
    ],
    rows,
    empty: what.empty,
  });

const integrationLink = ({ base }: PlainSite, id: string): Html =>
  html`<a href="${base}/console/integrations/${id}">${id}</a>`;

const refreshes = (site: PlainSite, { refreshes: { circuits, queues } }: LimitsState, now: number): Html => html`
  <h2>Refreshes</h2>
  ${circuitTable(
    {
      caption: 'Token endpoints that are not asked for now',
      empty: 'Every token endpoint is asked: no circuit is open.',
      endpoint: 'Token endpoint',
    },
    { heading: 'Integration', isName: true, cell: ({ id }) => integrationLink(site, id) },
    circuits,
    now,
  )}
  ${calm<RefreshQueueView>({
    caption: 'Refreshes that are under way or wait',
    columns: [
      { heading: 'Integration', isName: true, cell: ({ integration }) => integrationLink(site, integration) },
      {
        heading: 'Under way',
        cell: ({ inFlight, places }) => level(inFlight, places, `${inFlight} of ${places} at once`),
      },
      { heading: 'Slow', isNumber: true, cell: ({ slow }) => slow },
      { heading: 'Reads that wait', isNumber: true, cell: ({ waitingReads }) => waitingReads },
      { heading: 'Ahead of expiry', isNumber: true, cell: ({ waitingBackground }) => waitingBackground },
    ],
    rows: queues,
    empty: 'No refresh is under way.',
  })}`;

/** How full, as a bar and in words. */
const level = (value: number, most: number, words: string): Html =>
  html`<meter min="0" max="${Math.max(1, most)}" value="${Math.max(0, Math.min(value, most))}" aria-label="${words}"></meter
    ><br>${words}`;

const COUNTS: Record<LimitView['scope'], string> = {
  integration: 'all calls',
  connection: 'one connection',
  caller: 'one caller',
  captured: 'one tenant',
};

function counted({ base }: PlainSite, { scope, of }: LimitView): Html {
  if (of === null) return html`${COUNTS[scope]}`;
  const section = scope === 'caller' ? 'callers' : 'connections';
  return html`${COUNTS[scope]}<br><a href="${base}/console/${section}/${of}"><code>${of}</code></a>`;
}

function levelOf({ window, rate, places, inFlight, isResuming }: LimitView, now: number): Html {
  const parts: Html[] = [];
  if (window) {
    const { left, limit, resetMs } = window;
    const until = inWords(now + resetMs, now);
    const words = limit === null ? `${left} left` : `${left} of ${limit} left`;
    parts.push(
      limit === null ? html`${words}, renewed ${until}` : html`${level(left, limit, words)}, renewed ${until}`,
    );
  }
  if (rate)
    parts.push(html`${rate.requests.toLocaleString('en')} in ${rate.windowS.toLocaleString('en')} s, counted here`);
  if (places !== null) parts.push(level(inFlight, places, `${inFlight} of ${places} at once`));
  if (isResuming) parts.push(html`few at once, after a refusal`);
  return html`${parts.map((one, i) => (i === 0 ? one : html`<br>${one}`))}`;
}

const apis = (site: PlainSite, { apis: { limits, met, circuits } }: LimitsState, now: number): Html => html`
  <h2>Calls to APIs</h2>
  ${circuitTable(
    {
      caption: 'Hosts that are not called for now',
      empty: 'Every host is called: no circuit is open.',
      endpoint: 'Host',
    },
    { heading: 'Integration', isName: true, cell: ({ id }) => integrationLink(site, id) },
    circuits,
    now,
  )}
  ${calm<LimitView>({
    caption: 'Limits, the tightest first',
    columns: [
      { heading: 'Integration', isName: true, cell: ({ integration }) => integrationLink(site, integration) },
      { heading: 'It counts', cell: (one) => counted(site, one) },
      {
        heading: 'State',
        cell: ({ blockedForMs }) =>
          blockedForMs > 0 ? status('bad', `met; free ${inWords(now + blockedForMs, now)}`) : status('good', 'not met'),
      },
      { heading: 'Level', cell: (one) => levelOf(one, now) },
      { heading: 'Calls that wait', isNumber: true, cell: ({ waiting }) => waiting },
      { heading: 'Under way', isNumber: true, cell: ({ inFlight }) => inFlight },
    ],
    rows: limits,
    empty: 'No limit is in use: nothing was called for a while, or the APIs say nothing of their limits.',
  })}
  ${calm<LimitsMet>({
    caption: 'Limits met since this replica began',
    columns: [
      { heading: 'Integration', isName: true, cell: ({ integration }) => integrationLink(site, integration) },
      { heading: 'The API refused', isNumber: true, cell: ({ told }) => told.toLocaleString('en') },
      { heading: 'Not sent', isNumber: true, cell: ({ refused }) => refused.toLocaleString('en') },
      { heading: 'Last', cell: ({ lastMsAgo }) => when(now - lastMsAgo, now) },
    ],
    rows: [...met].sort((one, other) => one.lastMsAgo - other.lastMsAgo),
    empty: 'No limit has been met.',
  })}`;

const deliveries = ({ base }: PlainSite, { deliveries: circuits }: LimitsState, now: number): Html => html`
  <h2>Webhook endpoints</h2>
  ${circuitTable(
    { caption: 'Endpoints that are tried one event at a time', empty: 'Every endpoint answers.', endpoint: 'URL' },
    {
      heading: 'Endpoint',
      isName: true,
      cell: ({ id }) => html`<a href="${base}/console/events/endpoints/${id}">${id}</a>`,
    },
    circuits,
    now,
  )}`;
