// Keys and system: the deployment, its keys, its long work, and who is signed in here.
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { Console } from '../../../../broker/console/index.ts';
import type { JobAdmin } from '../../../../broker/jobs/index.ts';
import type { ReadSystem } from '../../../../broker/maintenance/index.ts';
import { Refusal } from '../../../../domain/errors.ts';
import type { Clock } from '../../../../ports/index.ts';
import type { PlainSite } from '../../../pages/layout.ts';
import { type Place, refusedPage, seeOther, unconfirmed } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { consolePage } from '../../layout.ts';
import { onlyFor } from '../../roles.ts';
import { jobList, jobViews } from './jobs.ts';
import { sessionList } from './sessions.ts';
import { keysPart, statePart } from './state.ts';

export interface SystemViewParts {
  readSystem: ReadSystem;
  jobs: JobAdmin;
  console: Console;
  clock: Clock;
  site: PlainSite;
}

const PATH = '/console/system';
const RECENT_JOBS = 10;

export function systemViews({ readSystem, jobs, console: room, clock, site }: SystemViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'system' };
  return new Hono<ConsoleEnv>()
    .get(PATH, async (c) => {
      const visit = c.get('visit');
      const [state, sessions, recent] = await Promise.all([
        readSystem(visit.call),
        room.sessions.list(visit.call),
        jobs.list(visit.call, {}, { limit: RECENT_JOBS, after: undefined }),
      ]);
      if (state instanceof Refusal) return refusedPage(c, place, state);
      if (sessions instanceof Refusal) return refusedPage(c, place, sessions);
      const now = clock.now();
      const body = html`
        <section id="state" data-live="10">${statePart(site, state, now)}</section>
        ${keysPart(site, visit, state, now)}
        <h2>Long work</h2>
        <section id="jobs" data-live="5">${jobList(site, recent.data, now)}</section>
        <h2>Who is signed in</h2>
        ${sessionList(site, visit, sessions, now)}`;
      return c.html(
        consolePage(site, visit, { title: 'Keys and system', section: 'system', notice: c.req.query('done'), body }),
      );
    })
    .post(`${PATH}/sessions/:id{cse_[0-9a-z]+}/end`, async (c) => {
      const ended = await room.sessions.end(c.get('visit').call, c.req.param('id'));
      if (ended instanceof Refusal) return refusedPage(c, place, ended);
      return seeOther(c, site, '/system', 'signed_out_session');
    })
    .post(`${PATH}/rotate-keys`, onlyFor('admin', place), async (c) => {
      const refused = unconfirmed(c, place, c.get('form'), 'rotate', '/system');
      if (refused) return refused;
      const job = await jobs.start(c.get('visit').call, { kind: 'keys.rotate' });
      if (job instanceof Refusal) return refusedPage(c, place, job);
      return seeOther(c, site, `/system/jobs/${job.id}`, 'job_started');
    })
    .route('/', jobViews({ jobs, clock, site }));
}
