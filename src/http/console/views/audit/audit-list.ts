// The audit log: who did what, when, from where, and what came of it.

import { html } from 'hono/html';
import type { StoredAuditEntry } from '../../../../domain/audit.ts';
import { AUDIT_ACTIONS } from '../../../../domain/audit-actions.ts';
import { HOUR } from '../../../../domain/durations.ts';
import type { Html } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { actorWords, type CallerNames } from '../../parts/actors.ts';
import { issueSummary, selectField, textField } from '../../parts/fields.ts';
import { status } from '../../parts/status.ts';
import { nextPage, table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';
import { MOST_EXPORTED } from './audit-export.ts';
import type { AskedEntries } from './audit-query.ts';

interface AuditPage extends AskedEntries {
  rows: readonly StoredAuditEntry[];
  next: string | null;
  names: CallerNames;
  now: number;
}

export function auditPage(base: string, page: AuditPage): Html {
  const { query, issues, rows, next, names, now } = page;
  const path = `${base}/console/audit`;
  return html`
    ${issueSummary(issues, (name) => name !== '')}
    ${filters(path, page)}
    <div class="audit">${table<StoredAuditEntry>({
      caption: 'Entries, the newest first',
      columns: [
        { heading: 'When', isName: true, cell: ({ at }) => when(at, now) },
        { heading: 'What', cell: what },
        { heading: 'Outcome', cell: ({ outcome }) => OUTCOMES[outcome] ?? outcome },
        { heading: 'Who', cell: (entry) => who(base, entry, names) },
        { heading: 'About', cell: (entry) => about(base, entry) },
        { heading: 'Request', cell: (entry) => request(path, entry) },
      ],
      rows,
      empty:
        next === null
          ? 'No entry fits. Entries are deleted after the time that the deployment keeps them.'
          : 'None of the entries that were looked through fits. Go on to the next page, or name an integration, an owner or a time.',
    })}</div>
    ${nextPage(path, page.cursor === undefined ? query : new URLSearchParams([...query, ['cursor', page.cursor]]), next)}
    <p class="hint"><a href="${path}/export?${query.toString()}">Download as NDJSON</a>: up to ${MOST_EXPORTED.toLocaleString('en')} entries, the newest first.</p>`;
}

const OUTCOMES: Record<StoredAuditEntry['outcome'], Html> = {
  ok: status('good', 'ok'),
  denied: status('bad', 'denied'),
  failed: status('busy', 'failed'),
};

function filters(path: string, { query, issues }: AskedEntries): Html {
  const of = (name: string) => ({ name, value: query.get(name) ?? '', error: issues.get(name), isFilter: true });
  const isTime = (name: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(query.get(name) ?? '') || !query.has(name);
  return html`<form method="get" class="filters card" action="${path}" role="search">
    ${textField({ ...of('integration'), label: 'Integration' })}
    ${textField({ ...of('owner'), label: 'Owner' })}
    ${textField({ ...of('connection_id'), label: 'Connection' })}
    ${textField({ ...of('actor'), label: 'Who' })}
    ${textField({ ...of('action'), label: 'What', list: 'actions' })}
    <datalist id="actions">${Object.keys(AUDIT_ACTIONS).map((action) => html`<option value="${action}"></option>`)}</datalist>
    ${selectField({
      ...of('outcome'),
      label: 'Outcome',
      options: [
        ['', 'any'],
        ['ok', 'ok'],
        ['denied', 'denied'],
        ['failed', 'failed'],
      ],
    })}
    ${textField({ ...of('session'), label: 'Agent session' })}
    ${textField({ ...of('request_id'), label: 'Request id' })}
    ${textField({ ...of('from'), label: 'From (UTC)', type: isTime('from') ? 'datetime-local' : 'text' })}
    ${textField({ ...of('to'), label: 'Before (UTC)', type: isTime('to') ? 'datetime-local' : 'text' })}
    <button class="button">Filter</button>
    ${query.size > 0 ? html`<a class="button button-quiet" href="${path}">Show all</a>` : ''}
  </form>`;
}

const what = ({
  action,
  detail,
  changed,
  count,
}: StoredAuditEntry): Html => html`<code>${action}</code>${count > 1 ? html` <span class="quiet">×${count.toLocaleString('en')}</span>` : ''}
  ${detail === null ? '' : html`<div>${shownName(detail)}</div>`}
  ${changed === null ? '' : html`<div class="quiet">changed: ${changed.split(' ').join(', ')}</div>`}`;

function who(base: string, entry: StoredAuditEntry, names: CallerNames): Html {
  const { actor, keyId, subject, address, session, agentId, agentName, purpose } = entry;
  return html`<span title="${actor}">${actorWords({ base }, actor, names)}</span>
    ${subject === null ? '' : html`<div class="quiet">as ${subject}</div>`}
    ${agentId === null ? '' : html`<div>agent ${shownName(agentName ?? agentId)}</div>`}
    ${purpose === null ? '' : html`<div class="quiet">to ${shownName(purpose)}</div>`}
    ${
      session === null
        ? ''
        : html`<div class="quiet"><a href="${base}/console/audit?${new URLSearchParams({ session })}"><code>${session}</code></a></div>`
    }
    ${keyId === null || keyId === session ? '' : html`<div class="quiet">with <code>${keyId}</code></div>`}
    ${address === null ? '' : html`<div class="quiet">from ${address}</div>`}`;
}

function about(base: string, { integration, owner, connectionId }: StoredAuditEntry): Html {
  const parts = [
    ...(connectionId === null
      ? []
      : [
          html`<div><a href="${base}/console/connections/${encodeURIComponent(connectionId)}"><code>${connectionId}</code></a></div>`,
        ]),
    ...(integration === null
      ? []
      : [
          integration === '*'
            ? html`<div>all integrations</div>`
            : html`<div><a href="${base}/console/integrations/${encodeURIComponent(integration)}">${integration}</a></div>`,
        ]),
    ...(owner === null ? [] : [html`<div>${owner === '*' ? 'all owners' : shownName(owner)}</div>`]),
  ];
  return parts.length === 0 ? html`–` : html`${parts}`;
}

/** All entries of one request lie close together in time, which has an index. */
function request(path: string, { at, requestId, clientRequestId, traceId }: StoredAuditEntry): Html {
  const near = (ms: number) => new Date(ms).toISOString();
  const query = requestId && new URLSearchParams({ request_id: requestId, from: near(at - HOUR), to: near(at + HOUR) });
  return html`${query ? html`<a href="${path}?${query.toString()}" title="${requestId}"><code>${requestId!.slice(0, 8)}…</code></a>` : '–'}
    ${clientRequestId === null ? '' : html`<div class="quiet">the client calls it ${clientRequestId}</div>`}
    ${traceId === null ? '' : html`<div class="quiet">trace ${traceId}</div>`}`;
}
