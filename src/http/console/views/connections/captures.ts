// Captured calls of a connection: what callers and its API tell each other through the proxy, for an admin, for a few minutes.
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import type { ConnectionResource } from '../../../../broker/connections/index.ts';
import type { CallCaptures, CapturedCall } from '../../../../broker/proxy/index.ts';
import { MINUTE } from '../../../../domain/durations.ts';
import { Refusal } from '../../../../domain/errors.ts';
import { CAPTURE_MAX_MS } from '../../../../domain/time-limits.ts';
import { visibleText } from '../../../../domain/visible-text.ts';
import type { Capture, Clock } from '../../../../ports/index.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { page, paged } from '../../../paging.ts';
import { type Place, refusedPage, seeOther } from '../../answers.ts';
import type { ConsoleEnv, Visit } from '../../environment.ts';
import { field, tokenField } from '../../forms.ts';
import { consolePage } from '../../layout.ts';
import { actionButton } from '../../parts/actions.ts';
import { facts, quoted } from '../../parts/facts.ts';
import { selectField } from '../../parts/fields.ts';
import { status } from '../../parts/status.ts';
import { nextPage } from '../../parts/table.ts';
import { exactly, when } from '../../parts/when.ts';

export interface CapturesViewParts {
  connections: Pick<ConnectionResource, 'get'>;
  captures: CallCaptures;
  clock: Pick<Clock, 'now'>;
  site: PlainSite;
}

const LIMIT = 20;
/** Minutes that a capture may last. */
const DURATIONS = [2, 5, CAPTURE_MAX_MS / MINUTE];

export function capturesView({ connections, captures, clock, site }: CapturesViewParts): Hono<ConsoleEnv> {
  const place: Place = { site, section: 'connections' };
  const pathOf = (id: string) => `/connections/${id}/captures`;

  async function list(c: Context<ConsoleEnv>): Promise<Response> {
    const visit = c.get('visit');
    const id = c.req.param('id') ?? '';
    const connection = await connections.get(visit.call, id);
    if (connection instanceof Refusal) return refusedPage(c, place, connection);
    const running = await captures.running(visit.call, id);
    if (running instanceof Refusal) return refusedPage(c, place, running);
    const cursor = c.req.query('cursor');
    const found = await paged(c, { limit: LIMIT, cursor }, (request) => captures.list(visit.call, id, request));
    if (found instanceof Refusal) return refusedPage(c, place, found);
    const { data, next_cursor: next } = page(c, found, (one) => one);
    const now = clock.now();
    const path = `${site.base}/console${pathOf(id)}`;
    const query = new URLSearchParams(cursor === undefined ? {} : { cursor });
    const body = html`${control(visit, path, running, connection.status !== 'revoked', now)}
      <section id="captured" ${running && cursor === undefined ? html`data-live="5"` : ''}>
        ${calls(data, running !== null, now)}
      </section>
      ${nextPage(path, query, next)}`;
    return c.html(
      consolePage(site, visit, {
        title: 'Captured calls',
        section: 'connections',
        crumbs: [
          { href: `${site.base}/console/connections`, text: 'Connections' },
          {
            href: `${site.base}/console/connections/${id}`,
            text: `${visibleText(connection.owner)} at ${connection.integration}`,
          },
        ],
        notice: c.req.query('done'),
        body,
      }),
    );
  }

  return new Hono<ConsoleEnv>()
    .get('/console/connections/:id/captures', list)
    .post('/console/connections/:id/captures/start', async (c) => {
      const id = c.req.param('id');
      const minutes = Number(field(c.get('form'), 'minutes'));
      const ms = DURATIONS.includes(minutes) ? minutes * MINUTE : CAPTURE_MAX_MS;
      const started = await captures.start(c.get('visit').call, id, ms);
      if (started instanceof Refusal) return refusedPage(c, place, started);
      return seeOther(c, site, pathOf(id), 'capture_started');
    })
    .post('/console/connections/:id/captures/stop', async (c) => {
      const id = c.req.param('id');
      const stopped = await captures.stop(c.get('visit').call, id);
      return stopped instanceof Refusal
        ? refusedPage(c, place, stopped)
        : seeOther(c, site, pathOf(id), 'capture_stopped');
    });
}

function control(visit: Visit, path: string, running: Capture | null, isLive: boolean, now: number): Html {
  const minutes = selectField({
    name: 'minutes',
    label: 'For how long',
    value: String(DURATIONS[1]),
    options: DURATIONS.map((one) => [String(one), `${one} minutes`]),
  });
  return html`<div class="card">
    <p class="lead">${running ? html`${status('busy', 'capturing')} It ends ${when(running.until, now)}.` : 'No calls are captured now.'}</p>
    <p>
      While it runs, calls of this connection through the proxy are kept with their headers and the first 64 kB of each
      body, encrypted, for a day: the newest 200. Secrets that are found in them are left out. What else they say may be personal:
      each look at this page is in the audit log.
    </p>
    ${
      !isLive
        ? html`<p class="quiet">The connection is revoked: there is nothing to capture.</p>`
        : html`<div class="row">
            <form method="post" action="${path}/start" class="row">
              ${tokenField(visit)} ${minutes}
              <button class="button ${running ? 'button-quiet' : ''}">${running ? 'Let it run on' : 'Capture calls'}</button>
            </form>
            ${running ? actionButton(visit, { action: `${path}/stop`, label: 'End the capture' }) : ''}
          </div>`
    }
  </div>`;
}

const calls = (all: readonly CapturedCall[], isRunning: boolean, now: number): Html =>
  all.length === 0
    ? html`<p class="empty">
        ${isRunning ? 'Nothing was called yet. What is called through the proxy appears here when it has ended.' : 'Nothing was captured within the last day.'}
      </p>`
    : html`<ol class="timeline">
        ${all.map((call) => html`<li class="${toneOf(call)}">${one(call, now)}</li>`)}
      </ol>`;

const toneOf = ({ status: code, error }: CapturedCall) =>
  error !== null || code === null || code >= 500 ? 'bad' : code >= 400 ? 'busy' : 'good';

/** A call: what was asked and answered, and both sides of it to be opened. */
const one = (call: CapturedCall, now: number): Html => html`
  <strong>${call.method} ${visibleText(call.path)}</strong> <code>${call.status ?? call.error ?? 'no answer'}</code>
  <div class="meta">${exactly(call.at)}, ${when(call.at, now)}, at ${call.host}, in ${call.durationMs.toLocaleString('en')} ms${
    call.attempts > 1 ? `, ${call.attempts} attempts` : ''
  }${call.status !== null && call.error !== null ? html`; the caller was told <code>${call.error}</code>` : ''}${
    call.isComplete || call.status === null ? '' : '; the answer did not come to its end'
  }</div>
  ${side(`What was sent`, call.id, call.request)}
  ${call.response === null ? '' : side('What was answered', call.id, call.response)}`;

const side = (name: string, id: string, { headers, body }: CapturedCall['request']): Html => html`<details>
  <summary aria-label="${name}, ${id}">${name}</summary>
  ${facts(headers.map(([name, value]) => [name, visibleText(value)]))}
  ${
    body.omitted !== null
      ? html`<p class="quiet">${OMITTED[body.omitted]} Its ${body.bytes.toLocaleString('en')} bytes are not kept.</p>`
      : body.text
        ? html`${quoted(body.text)}
          ${body.cut ? html`<p class="quiet">This is the beginning of ${body.bytes.toLocaleString('en')} bytes.</p>` : ''}`
        : html`<p class="quiet">There is no body.</p>`
  }
</details>`;

const OMITTED = {
  binary: 'The body is no text, so that secrets could not be found in it.',
  encoded: 'The body is encoded in a way that is not read, so that secrets could not be found in it.',
} as const;
