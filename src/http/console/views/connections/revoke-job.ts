// How far the revocation of many connections is: a page that can be left and found again.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { JobAdmin } from '../../../../broker/jobs/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import { hasEnded, type Job, type JobStatus } from '../../../../domain/job.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { shownName } from '../../../pages/shown-name.ts';
import { type Place, refusedPage, seeOther } from '../../answers.ts';
import { type ConsoleEnv, may, type Visit } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { actionButton } from '../../parts/actions.ts';
import { facts } from '../../parts/facts.ts';
import { status, type Tone } from '../../parts/status.ts';
import { when } from '../../parts/when.ts';
import { toQuery } from './list-query.ts';

export interface RevokeJobParts {
  jobs: Pick<JobAdmin, 'get' | 'cancel'>;
  clock: Pick<Clock, 'now'>;
  site: PlainSite;
}

const WORDS: Record<JobStatus, readonly [Tone, string]> = {
  pending: ['busy', 'begins in a moment'],
  running: ['busy', 'under way'],
  completed: ['good', 'done'],
  failed: ['bad', 'given up'],
  cancelled: ['off', 'cancelled'],
};

export function revokeJobView({ jobs, clock, site }: RevokeJobParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'connections' };
  const path = (id: string) => `/connections/revoke/${id}`;
  return new Hono<ConsoleEnv>()
    .get('/console/connections/revoke/:id', async (c) => {
      const visit = c.get('visit');
      const job = await jobs.get(visit.call, c.req.param('id'));
      if (job instanceof Refusal) return refusedPage(c, place, job);
      return c.html(
        consolePage(site, visit, {
          title: 'Revocation of many connections',
          section: 'connections',
          crumbs: [{ href: `${site.base}/console/connections`, text: 'Connections' }],
          body: html`<section class="card" id="job" ${hasEnded(job) ? '' : html`data-live="2"`}>${progress(site, job, clock.now())}</section>
            ${cancel(site, visit, job, path(job.id))}`,
        }),
      );
    })
    .post('/console/connections/revoke/:id/cancel', async (c) => {
      const job = await jobs.cancel(c.get('visit').call, c.req.param('id'));
      return job instanceof Refusal ? refusedPage(c, place, job) : seeOther(c, site, path(job.id));
    });
}

function progress({ base }: PlainSite, job: Job, now: number): Html {
  const [tone, words] = WORDS[job.status];
  const { input, done, total, lastError } = job;
  const of =
    input.kind === 'connections.revoke'
      ? { integration: input.integration ?? undefined, owner: input.owner ?? undefined }
      : {};
  const reached = total === null ? '' : ` of about ${total.toLocaleString('en')}`;
  return html`<p class="lead">${status(tone, words)}: ${done.toLocaleString('en')}${reached} revoked</p>
    ${
      total === null || total === 0 || hasEnded(job)
        ? ''
        : html`<progress max="${total}" value="${Math.min(done, total)}" aria-label="Revoked"></progress>`
    }
    ${lastError === null ? '' : html`<p class="error">The last batch failed (<code>${lastError}</code>)${hasEnded(job) ? '.' : ' and is repeated.'}</p>`}
    ${facts([
      ['Integration', of.integration ?? 'any'],
      ['Owner', of.owner === undefined ? 'any' : shownName(of.owner)],
      ['Started', when(job.createdAt, now)],
      ['Ended', when(job.finishedAt, now, 'not yet')],
      ['Started by', shownName(job.actor.name)],
    ])}
    <p>
      ${hasEnded(job) ? '' : 'You may leave this page, and reload it: any replica goes on with the work. '}<a
        href="${base}/console/connections?${toQuery(of)}"
        >The connections it concerns</a
      >
    </p>`;
}

const cancel = ({ base }: PlainSite, visit: Visit, job: Job, path: string): Html | '' =>
  hasEnded(job) || !may(visit, 'connections:write')
    ? ''
    : actionButton(visit, { action: `${base}/console${path}/cancel`, label: 'Stop here', isQuiet: true });
