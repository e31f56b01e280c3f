// Long work: what is under way, how far it is, and stopping it. It goes on without the browser.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { JobAdmin } from '../../../../broker/jobs/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import { hasEnded, JOB_ACTIONS, type Job, type JobInput, type JobStatus } from '../../../../domain/job.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { type Place, refusedPage, seeOther, shown } from '../../answers.ts';
import { type ConsoleEnv, may, type Visit } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { actionButton } from '../../parts/actions.ts';
import { copied, facts } from '../../parts/facts.ts';
import { status, type Tone } from '../../parts/status.ts';
import { table } from '../../parts/table.ts';
import { when } from '../../parts/when.ts';

const ONE = '/console/system/jobs/:id{job_[0-9a-z]+}';

const WORDS: Record<JobStatus, readonly [Tone, string]> = {
  pending: ['busy', 'begins in a moment'],
  running: ['busy', 'under way'],
  completed: ['good', 'completed'],
  failed: ['bad', 'failed'],
  cancelled: ['off', 'cancelled'],
};

function whatOf(input: JobInput): string {
  switch (input.kind) {
    case 'connections.revoke':
      return `Revoke the connections of ${input.integration ?? 'every integration'}, of ${input.owner ?? 'every owner'}`;
    case 'deliveries.replay':
      return `Send events to ${input.endpoint} again`;
    case 'keys.rotate':
      return `Re-encrypt all secrets with the key ${input.key}`;
  }
}

function progress({ done, total, status: now }: Job): Html {
  const words =
    total === null
      ? `${done.toLocaleString('en')} done`
      : `${done.toLocaleString('en')} of ${total.toLocaleString('en')}`;
  if (total === null || total === 0 || now === 'completed') return html`${words}`;
  return html`<progress max="${total}" value="${Math.min(done, total)}" aria-label="${words}"></progress><br>${words}`;
}

export const jobList = ({ base }: PlainSite, all: readonly Job[], now: number): Html =>
  table<Job>({
    caption: 'The last jobs',
    hideCaption: true,
    columns: [
      {
        heading: 'What',
        isName: true,
        cell: ({ id, input }) => html`<a href="${base}/console/system/jobs/${id}">${whatOf(input)}</a>`,
      },
      { heading: 'State', cell: (job) => status(...WORDS[job.status]) },
      { heading: 'How far', cell: progress },
      { heading: 'Started by', cell: ({ actor }) => actor.name },
      { heading: 'When', cell: ({ createdAt }) => when(createdAt, now) },
    ],
    rows: all,
    empty: 'No long work has been started.',
  });

interface Parts {
  jobs: JobAdmin;
  clock: Clock;
  site: PlainSite;
}

export function jobViews({ jobs, clock, site }: Parts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'system' };
  const crumbs = [{ href: `${site.base}/console/system`, text: 'Keys and system' }];
  return new Hono<ConsoleEnv>()
    .get(ONE, async (c) => {
      const visit = c.get('visit');
      return shown(c, place, await jobs.get(visit.call, c.req.param('id')), (job) =>
        c.html(
          consolePage(site, visit, {
            title: whatOf(job.input),
            section: 'system',
            crumbs,
            notice: c.req.query('done'),
            body: jobPage(site, visit, job, clock.now()),
          }),
        ),
      );
    })
    .post(`${ONE}/cancel`, async (c) => {
      const cancelled = await jobs.cancel(c.get('visit').call, c.req.param('id'));
      if (cancelled instanceof Refusal) return refusedPage(c, place, cancelled);
      return seeOther(c, site, `/system/jobs/${cancelled.id}`, 'job_cancelled');
    });
}

/** Users of links have one identity for all roles. */
const mayCancel = (visit: Visit, { callerId, kind }: Job): boolean =>
  may(visit, 'admin') || (may(visit, JOB_ACTIONS[kind]) && callerId === visit.call.principal.caller.id);

const jobPage = ({ base }: PlainSite, visit: Visit, job: Job, now: number): Html => html`
  <section class="card" id="job" data-live="3">
    <p>${status(...WORDS[job.status])}</p>
    <p>${progress(job)}</p>
    ${facts([
      ['Job', copied(job.id, 'the id of the job')],
      ['Started by', job.actor.name],
      ['Started', when(job.createdAt, now)],
      ['Ended', when(job.finishedAt, now, 'not yet')],
      ...Object.entries(job.counts).map(
        ([name, value]) => [name.replaceAll('_', ' '), value.toLocaleString('en')] as const,
      ),
      ...(job.lastError === null ? [] : [['Last failure', html`<code>${job.lastError}</code>`] as const]),
    ])}
  </section>
  ${
    hasEnded(job)
      ? ''
      : html`<p>You can leave this page: it goes on, on whichever replica has time.</p>
        ${
          mayCancel(visit, job)
            ? actionButton(visit, { action: `${base}/console/system/jobs/${job.id}/cancel`, label: 'Cancel it' })
            : ''
        }`
  }`;
