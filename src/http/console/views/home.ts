// Home: one sentence of health, what needs someone, each integration with its day, and what has changed.

import { Hono } from 'hono';
import { html } from 'hono/html';
import type { AuditLog } from '../../../broker/audit/index.ts';
import type { CallerAdmin } from '../../../broker/callers/index.ts';
import type { ReadHourlyHistory } from '../../../broker/counts/index.ts';
import type { BrokerStatus, IntegrationStatus, ReadStatus } from '../../../broker/maintenance/index.ts';
import type { StoredAuditEntry } from '../../../domain/audit.ts';
import { HOUR } from '../../../domain/durations.ts';
import { Refusal } from '../../../domain/errors.ts';
import { type HourlyCount, hourOf } from '../../../domain/hourly-counts.ts';
import type { Clock } from '../../../ports/index.ts';
import type { Html, PlainSite } from '../../pages/layout.ts';
import { shownName } from '../../pages/shown-name.ts';
import { type Place, shown } from '../answers.ts';
import type { ConsoleEnv } from '../environment.ts';
import { consolePage } from '../layout.ts';
import { actorWords, type CallerNames, callerNames } from '../parts/actors.ts';
import { type Bar, barChart } from '../parts/chart.ts';
import { CIRCUIT_TONES, CIRCUIT_WORDS, status } from '../parts/status.ts';
import { table } from '../parts/table.ts';
import { when } from '../parts/when.ts';

export interface HomeParts {
  readStatus: ReadStatus;
  readHourlyHistory: ReadHourlyHistory;
  auditLog: AuditLog;
  callers: Pick<CallerAdmin, 'list'>;
  clock: Clock;
  site: PlainSite;
}

const HOURS = 24;
/** Entries that are looked through for changes, and changes that are shown. */
const [EXAMINED, SHOWN] = [300, 8];
/** What people did, of all that is in the audit log. */
const CHANGES =
  /^(integration|caller|webhook_endpoint|signing_key|key|job)\.|^connection\.(revoked|deauthorized|held)$|^console_session\.refused$/;

export function homeView({
  readStatus,
  readHourlyHistory,
  auditLog,
  callers,
  clock,
  site,
}: HomeParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: '' };

  return new Hono<ConsoleEnv>().get('/console', async (c) => {
    const visit = c.get('visit');
    const now = clock.now();
    const from = hourOf(now) - (HOURS - 1) * HOUR;
    const [broker, hours, entries, names] = await Promise.all([
      readStatus(visit.call),
      readHourlyHistory(visit.call, { from, to: now }),
      auditLog(visit.call, { from: now - HOURS * HOUR }, { limit: EXAMINED, after: undefined }),
      callerNames(callers, visit),
    ]);
    if (hours instanceof Refusal) return shown(c, place, hours, () => c.notFound());
    const changes = entries instanceof Refusal ? [] : entries.data.filter(({ action }) => CHANGES.test(action));
    return shown(c, place, broker, (known) =>
      c.html(
        consolePage(site, visit, {
          title: 'Home',
          section: '',
          notice: c.req.query('done'),
          body: html`<section id="home" data-live="15" aria-label="State of the broker">
            ${health(site, known, now)} ${integrations(site, known, dayOf(hours, from))}
            ${changed(site, changes.slice(0, SHOWN), names, now)}
          </section>`,
        }),
      ),
    );
  });
}

const count = (of: number): string => of.toLocaleString('en');

function health({ base }: PlainSite, { isHealthy, state, integrations: all }: BrokerStatus, now: number): Html {
  const total = all.reduce((sum, { connections: c }) => sum + c.active + c.needsReauth + c.onHold, 0);
  const owners = all.reduce((sum, { connections: c }) => sum + c.needsReauth, 0);
  const troubled = all.filter(({ explanation }) => explanation !== null);
  const tone = !isHealthy || troubled.length > 0 ? 'bad' : owners > 0 ? 'busy' : 'good';
  const word = { good: 'Everything works', busy: 'Working', bad: 'Needs attention' }[tone];
  return html`<div class="card verdict ${tone}">
    ${status(tone, word)}
    <div>
      <p class="lead">
        ${
          total === 0
            ? 'No account is connected yet.'
            : owners === 0
              ? `${total === 1 ? 'The one connection has what it needs from its owner' : `All ${count(total)} connections have what they need from their owners`}.`
              : html`<a href="${base}/console/connections?status=needs_reauth">${count(owners)} of ${count(total)} connections</a> ${owners === 1 ? 'needs its owner' : 'need their owner'}.`
        }
      </p>
      ${state.storeUp ? '' : html`<p>The database does not answer: what is in memory is served, and nothing is refreshed. The operator looks at the database.</p>`}
      ${state.rescued > 0 ? html`<p>${count(state.rescued)} refreshed tokens wait in the rescue file until the database takes them.</p>` : ''}
      ${troubled.map(
        ({ id, explanation }) =>
          html`<p><a href="${base}/console/integrations/${id}">${id}</a>: ${explanation!.summary} ${explanation!.how} ${explanation!.since === null ? '' : html`<span class="quiet">Since ${when(explanation!.since, now)}.</span>`}</p>`,
      )}
    </div>
  </div>`;
}

const integrations = ({ base }: PlainSite, { integrations: all }: BrokerStatus, day: Map<string, Bar[]>): Html => {
  const link = (id: string, wanted: string, words: string, n: number) =>
    n === 0
      ? '0'
      : html`<a class="count" href="${base}/console/connections?${new URLSearchParams({ integration: id, status: wanted })}">${count(n)}<span class="hidden"> ${words} at ${id}</span></a>`;
  return table<IntegrationStatus>({
    caption: 'Integrations',
    columns: [
      {
        heading: 'Integration',
        isName: true,
        cell: ({ id }) => html`<a href="${base}/console/integrations/${id}">${id}</a>`,
      },
      { heading: 'Active', isNumber: true, cell: ({ id, connections: c }) => link(id, 'active', 'active', c.active) },
      {
        heading: 'Failing',
        isNumber: true,
        cell: ({ id, connections: c }) => link(id, 'failing', 'failing', c.failing),
      },
      {
        heading: 'Need their owner',
        isNumber: true,
        cell: ({ id, connections: c }) => link(id, 'needs_reauth', 'need their owner', c.needsReauth),
      },
      {
        heading: 'On hold',
        isNumber: true,
        cell: ({ id, connections: c }) => link(id, 'on_hold', 'on hold', c.onHold),
      },
      { heading: 'Circuit', cell: ({ circuit }) => status(CIRCUIT_TONES[circuit], CIRCUIT_WORDS[circuit]) },
      {
        heading: 'Refreshes of 24 hours',
        cell: ({ id }) => barChart({ caption: 'By hour', bars: day.get(id) ?? [] }),
      },
    ],
    rows: all,
    empty: html`No integration is set up yet. <a href="${base}/console/integrations/new">Set up the first one</a>.`,
  });
};

/** Outcomes of refreshes that say nothing bad of grant, client or provider. */
const GOOD = new Set(['ok', 'held', 'superseded', 'gone']);
/** What is tried again by itself. */
const PASSING = new Set(['transient', 'dead_grant_doubted']);

/** By integration, a bar for each hour of the day that begins at `from`. */
export function dayOf(hours: readonly HourlyCount[], from: number): Map<string, Bar[]> {
  const day = new Map<string, Bar[]>();
  for (const { integration, metric, hour, outcome, count: n } of hours) {
    if (metric !== 'refresh') continue;
    const bars = day.get(integration) ?? Array.from({ length: HOURS }, (_, i) => emptyBar(from + i * HOUR));
    day.set(integration, bars);
    const kind = GOOD.has(outcome) ? 'ok' : PASSING.has(outcome) ? 'warn' : 'bad';
    const part = bars[Math.round((hour - from) / HOUR)]?.parts.find((one) => one.kind === kind);
    if (part) part.value += n;
  }
  return day;
}

const emptyBar = (hour: number) => ({
  label: `${new Date(hour).toISOString().slice(11, 16)} UTC`,
  parts: [
    { kind: 'ok' as const, name: 'done', value: 0 },
    { kind: 'warn' as const, name: 'to be tried again', value: 0 },
    { kind: 'bad' as const, name: 'refused', value: 0 },
  ],
});

/** Where the name of the action is no sentence of its own. */
const ACTION_WORDS: Readonly<Record<string, string>> = {
  'integration.put': 'Integration saved',
  'integration.declared': 'Integration saved from the declarative file',
  'integration.misconfigured': 'Integration does not work any more',
  'integration.recovered': 'Integration works again',
  'caller.updated': 'Caller changed',
  'caller.declared': 'Caller saved from the declarative file',
  'webhook_endpoint.updated': 'Webhook endpoint changed',
  'connection.deauthorized': 'Connection ended by its owner, at the provider',
  'connection.held': 'Connection put on hold by the provider',
  'console_session.refused': 'Sign-in to the console refused',
  'key.protection': 'Protection of the keys raised',
};
function actionWords(action: string): string {
  const plain = action.replaceAll(/[._]/g, ' ');
  return ACTION_WORDS[action] ?? `${plain.charAt(0).toUpperCase()}${plain.slice(1)}`;
}

/** What it was done to: by its name where it has one, with a link to its page. */
function about(
  { base }: PlainSite,
  { integration, detail, connectionId }: Pick<StoredAuditEntry, 'integration' | 'detail' | 'connectionId'>,
  names: CallerNames,
): Html {
  const [id = '', ...more] = (detail ?? '').split(' ');
  if (names.has(id))
    return html`<a href="${base}/console/callers/${id}">${shownName(names.get(id)!)}</a> ${shownName(more.join(' '))}`;
  const at =
    integration === null
      ? ''
      : integration === '*'
        ? 'all integrations'
        : html`<a href="${base}/console/integrations/${encodeURIComponent(integration)}">${integration}</a>`;
  if (connectionId !== null)
    return html`${at} <a href="${base}/console/connections/${connectionId}"><code>${connectionId}</code></a>`;
  if (/^whe_\w+$/.test(id)) return html`<a href="${base}/console/events/endpoints/${id}"><code>${id}</code></a>`;
  // What a change of an integration records beside its id are its settings, which the audit log has.
  return html`${at} ${at === '' && detail !== null ? html`<code>${shownName(detail)}</code>` : ''}`;
}

const changed = (
  site: PlainSite,
  entries: readonly StoredAuditEntry[],
  names: CallerNames,
  now: number,
): Html => html`<section class="card" aria-labelledby="changed">
  <h2 id="changed">What changed in 24 hours</h2>
  ${
    entries.length === 0
      ? html`<p class="quiet">Nothing.</p>`
      : html`<ol class="timeline">
          ${entries.map(
            ({ at, action, actor, integration, detail, requestId, connectionId }) =>
              html`<li>
                <strong>${actionWords(action)}</strong> ${about(site, { integration, detail, connectionId }, names)}
                <div class="meta">
                  ${when(at, now)}, by ${actorWords(site, actor, names)}${
                    requestId === null
                      ? ''
                      : html`,
                  <a href="${site.base}/console/audit?${new URLSearchParams({ request_id: requestId })}">request<span class="hidden"> of ${action}</span></a>`
                  }
                </div>
              </li>`,
          )}
        </ol>`
  }
  <p><a href="${site.base}/console/audit">The whole audit log</a></p>
</section>`;
