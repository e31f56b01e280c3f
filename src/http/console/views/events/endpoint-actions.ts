// What is done to a webhook endpoint: tested, enabled, disabled, given another secret, sent events again, deleted.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { Refusal, refuse } from '../../../../domain/errors.ts';
import { type Place, refusedPage, seeOther, shown, unconfirmed } from '../../answers.ts';
import type { ConsoleEnv } from '../../environment.ts';
import { field } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import type { Notice } from '../../notices.ts';
import { copied } from '../../parts/facts.ts';
import { oneOf } from '../../parts/filters.ts';
import { when } from '../../parts/when.ts';
import { onlyFor } from '../../roles.ts';
import { ENDPOINT_PATH, type EndpointViewParts } from './endpoints.ts';
import { DELIVERY_STATUSES } from './words.ts';

export function endpointActions(parts: EndpointViewParts): Hono<ConsoleEnv> {
  const { webhookEndpoints: room, jobs, clock, site } = parts;
  const place: Place = { site, section: 'events' };
  const pathOf = (id: string) => `/events/endpoints/${id}`;

  /** Back to the page of the endpoint. */
  const done = (c: Context<ConsoleEnv>, id: string, result: unknown, notice: Notice) =>
    result instanceof Refusal ? refusedPage(c, place, result) : seeOther(c, site, pathOf(id), notice);

  async function rotate(c: Context<ConsoleEnv>, id: string): Promise<Response> {
    const visit = c.get('visit');
    const refused = unconfirmed(c, place, c.get('form'), id, pathOf(id));
    if (refused) return refused;
    // Not a redirect: the secret is in this answer, and nowhere else.
    return shown(c, place, await room.rotateSecret(visit.call, id), ({ secret, previousUntil }) =>
      c.html(
        consolePage(site, visit, {
          title: 'The new secret',
          section: 'events',
          crumbs: [
            { href: `${site.base}/console/events`, text: 'Events and webhooks' },
            { href: `${site.base}/console${pathOf(id)}`, text: id },
          ],
          body: html`<div class="card">
            <p class="lead">Copy it now: it is not shown again, and reloading this page would make another one.</p>
            <p>${copied(secret, 'the secret')}</p>
            <p>Deliveries are signed with the one before as well, which ends ${when(previousUntil, clock.now())}.</p>
            <p><a href="${site.base}/console${pathOf(id)}">Back to the endpoint</a></p>
          </div>`,
        }),
      ),
    );
  }

  return new Hono<ConsoleEnv>()
    .post(`${ENDPOINT_PATH}/test`, async (c) => {
      const tested = await room.test(c.get('visit').call, c.req.param('id'));
      if (tested instanceof Refusal) return refusedPage(c, place, tested);
      return seeOther(c, site, `/events/deliveries?${new URLSearchParams({ event: tested.eventId })}`, 'test_sent');
    })
    .post(`${ENDPOINT_PATH}/enable`, async (c) => {
      const id = c.req.param('id');
      return done(c, id, await room.update(c.get('visit').call, id, { enabled: true }), 'endpoint_enabled');
    })
    .post(`${ENDPOINT_PATH}/disable`, async (c) => {
      const id = c.req.param('id');
      return done(c, id, await room.update(c.get('visit').call, id, { enabled: false }), 'endpoint_disabled');
    })
    .post(`${ENDPOINT_PATH}/rotate-secret`, onlyFor('admin', place), (c) => rotate(c, c.req.param('id')))
    .post(`${ENDPOINT_PATH}/replay`, onlyFor('events', place), async (c) => {
      const id = c.req.param('id');
      const range = rangeOf(c.get('form'), clock.now());
      if (range instanceof Refusal) return refusedPage(c, place, range);
      const job = await jobs.start(c.get('visit').call, { kind: 'deliveries.replay', endpoint: id, ...range });
      if (job instanceof Refusal) return refusedPage(c, place, job);
      return seeOther(c, site, `/system/jobs/${job.id}`, 'job_started');
    })
    .post(`${ENDPOINT_PATH}/delete`, onlyFor('admin', place), async (c) => {
      const id = c.req.param('id');
      const refused = unconfirmed(c, place, c.get('form'), id, pathOf(id));
      if (refused) return refused;
      const removed = await room.remove(c.get('visit').call, id);
      return removed instanceof Refusal
        ? refusedPage(c, place, removed)
        : seeOther(c, site, '/events', 'endpoint_deleted');
    });
}

/** A time without a zone is UTC. */
function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
  return ms;
}

function rangeOf(form: URLSearchParams, now: number) {
  const [from, to] = [timeOf(field(form, 'from')), timeOf(field(form, 'to'))];
  const isValid = from !== undefined && from >= 0 && (to === undefined || (to > from && to >= 0));
  if (!isValid || from > now)
    return refuse({
      code: 'invalid_request',
      detail: 'The range is not valid: it begins in the past, and ends later than it begins. Nothing was sent.',
    });
  return { from, to, status: oneOf(DELIVERY_STATUSES, field(form, 'status')) };
}
