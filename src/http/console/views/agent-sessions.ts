// Agent sessions: which agents act for whom now, what for, and ending them.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { AgentSessions } from '../../../broker/agents/index.ts';
import type { CallerAdmin } from '../../../broker/callers/index.ts';
import { type AgentSession, type AgentSessionStatus, statusOfSession } from '../../../domain/agent-session.ts';
import { Refusal } from '../../../domain/errors.ts';
import { visibleText } from '../../../domain/visible-text.ts';
import type { Clock } from '../../../ports/index.ts';
import type { Html, PlainSite } from '../../pages/layout.ts';
import { shownName } from '../../pages/shown-name.ts';
import { page, paged } from '../../paging.ts';
import { type Place, refusedPage, seeOther, shown } from '../answers.ts';
import { type ConsoleEnv, may, type Visit } from '../environment.ts';
import { consolePage } from '../layout.ts';
import { actionButton } from '../parts/actions.ts';
import { actorWords, type CallerNames, callerNames } from '../parts/actors.ts';
import { filterForm, idFilter, queryOf, selectFilter, textFilter } from '../parts/filters.ts';
import { status, type Tone } from '../parts/status.ts';
import { nextPage, table } from '../parts/table.ts';
import { when } from '../parts/when.ts';

export interface AgentSessionsViewParts {
  agentSessions: AgentSessions;
  callers: Pick<CallerAdmin, 'list'>;
  clock: Clock;
  site: PlainSite;
}

const WORDS: Record<AgentSessionStatus, readonly [Tone, string]> = {
  active: ['good', 'active'],
  ended: ['off', 'ended'],
  expired: ['off', 'its time is over'],
  used_up: ['off', 'used up'],
};
const REASONS: Record<NonNullable<AgentSession['endReason']>, string> = {
  revoked: 'by hand',
  parent_ended: 'with the session that made it',
  caller_deleted: 'with its caller',
  key_deleted: 'with the key that made it',
  owner_signal: 'the provider suspended or signed out its owner',
};

const LIST = '/console/sessions';

export function agentSessionsView({ agentSessions, callers, clock, site }: AgentSessionsViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'sessions' };
  const path = `${site.base}${LIST}`;
  const backTo = (owner: string | undefined) => `/sessions${owner === undefined ? '' : `?${queryOf({ owner })}`}`;

  return new Hono<ConsoleEnv>()
    .get(LIST, async (c) => {
      const visit = c.get('visit');
      const owner = c.req.query('owner') || undefined;
      const callerId = idFilter(c.req.query('caller_id'));
      const isLive = c.req.query('status') !== 'all';
      const cursor = c.req.query('cursor');
      const query = queryOf({ owner, caller_id: callerId, status: isLive ? undefined : 'all', cursor });
      const list = await paged(c, { cursor }, (request) =>
        agentSessions.list(visit.call, { owner, callerId, isLive }, request),
      );
      const names = await callerNames(callers, visit);
      return shown(c, place, list, (found) => {
        const { data, next_cursor: next } = page(c, found, (one) => one);
        const body = html`
          ${filterForm(
            path,
            html`${textFilter('owner', 'Owner', owner)} ${textFilter('caller_id', 'Caller', callerId)}
              ${selectFilter('status', 'State', [['all', 'all of the last day']], isLive ? undefined : 'all', 'active')}`,
          )}
          ${sessionTable(visit, { base: site.base, rows: data, names, now: clock.now() })}
          ${nextPage(path, query, next)}
          ${
            owner !== undefined && may(visit, 'sessions') && data.length > 0
              ? actionButton(visit, {
                  action: `${path}/end`,
                  label: `End all sessions of ${visibleText(owner)}`,
                  fields: html`<input type="hidden" name="owner" value="${owner}">`,
                })
              : ''
          }`;
        const notice = c.req.query('done');
        return c.html(consolePage(site, visit, { title: 'Agent sessions', section: 'sessions', notice, body }));
      });
    })
    .post(`${LIST}/end`, async (c) => {
      const owner = c.get('form').get('owner') ?? '';
      const ended = await agentSessions.endOf(c.get('visit').call, owner);
      if (ended instanceof Refusal) return refusedPage(c, place, ended);
      return seeOther(c, site, backTo(owner), 'sessions_ended');
    })
    .post(`${LIST}/:id{ses_[0-9a-z]+}/end`, async (c) => {
      const ended = await agentSessions.end(c.get('visit').call, c.req.param('id'));
      if (ended instanceof Refusal) return refusedPage(c, place, ended);
      return seeOther(c, site, backTo(c.get('form').get('owner') || undefined), 'session_ended');
    });
}

function sessionTable(
  visit: Visit,
  { base, rows, names, now }: { base: string; rows: readonly AgentSession[]; names: CallerNames; now: number },
): Html {
  const isLive = (session: AgentSession) => statusOfSession(session, now) === 'active';
  return table<AgentSession>({
    caption: 'Sessions, the newest first',
    hideCaption: true,
    columns: [
      { heading: 'What for', isName: true, cell: (one) => purpose(base, one) },
      { heading: 'Whose accounts', cell: ({ owner }) => shownName(owner) },
      { heading: 'What it may do', cell: mayDo },
      { heading: 'State', cell: (one) => state(one, now) },
      { heading: 'Made', cell: (one) => made(base, one, names, now) },
      { heading: 'Last used', cell: ({ lastUsedAt }) => when(lastUsedAt, now, 'never') },
      ...(may(visit, 'sessions')
        ? [
            {
              heading: 'End',
              cell: (one: AgentSession) =>
                isLive(one)
                  ? actionButton(visit, {
                      action: `${base}${LIST}/${one.id}/end`,
                      label: 'End',
                      name: `End the session ${visibleText(one.purpose)}`,
                      isQuiet: true,
                    })
                  : '',
            },
          ]
        : []),
    ],
    rows,
    empty: 'There are none: no agent has a session now.',
  });
}

const purpose = (base: string, { id, purpose: what, agent }: AgentSession): Html => html`${shownName(what)}
  ${agent === null ? '' : html`<div class="quiet">by ${shownName(agent.name ?? agent.id)}${agent.issuer === undefined ? '' : html` of ${agent.issuer}`}</div>`}
  <div class="quiet"><a href="${base}/console/audit?${new URLSearchParams({ session: id })}">What it has done</a></div>`;

const mayDo = ({ actions, integrations, methods, paths, scopes, tools, maxUses, uses }: AgentSession): Html => html`
  ${actions.join(', ')} at ${integrations.join(', ')}
  ${[methods, paths, scopes, tools].map((one) => (one === null ? '' : html`<div><code>${one.join(' ')}</code></div>`))}
  ${maxUses === null ? '' : html`<div>${uses.toLocaleString('en')} of ${maxUses.toLocaleString('en')} uses</div>`}`;

function state(session: AgentSession, now: number): Html {
  const { endedAt, endReason, expiresAt } = session;
  const word = status(...WORDS[statusOfSession(session, now)]);
  if (endedAt === null) return html`${word}<div class="quiet">ends ${when(expiresAt, now)}</div>`;
  return html`${word}<div class="quiet">${when(endedAt, now)}${endReason === null ? '' : `, ${REASONS[endReason]}`}</div>`;
}

const made = (
  base: string,
  { callerId, parentId, createdAt }: AgentSession,
  names: CallerNames,
  now: number,
): Html => html`
  ${when(createdAt, now)}
  <div class="quiet">by ${actorWords({ base }, callerId, names)}</div>
  ${parentId === null ? '' : html`<div class="quiet">through ${parentId}</div>`}`;
