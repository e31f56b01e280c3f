// The timeline of a connection, as it is shown.

import { html } from 'hono/html';
import { HOUR } from '../../../../domain/durations.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { actorWords, type CallerNames } from '../../parts/actors.ts';
import { exactly, when } from '../../parts/when.ts';
import type { TimelineItem } from './timeline-items.ts';

export const timeline = (site: PlainSite, items: readonly TimelineItem[], names: CallerNames, now: number): Html =>
  items.length === 0
    ? html`<p class="empty">Nothing has happened, as far as the audit log reaches back.</p>`
    : html`<ol class="timeline">
        ${items.map((item) => line(site, item, names, now))}
      </ol>`;

function line(
  site: PlainSite,
  { at, tone, text, detail, actor, requestId, entries }: TimelineItem,
  names: CallerNames,
  now: number,
): Html {
  const oldest = entries.at(-1);
  return html`<li class="${tone}">
    <strong>${text}</strong>${detail === null ? '' : html` <code>${detail}</code>`}
    <div class="meta">
      ${exactly(at)}, ${when(at, now)}${actor === null ? '' : html`, by ${actorWords(site, actor, names)}`}${
        requestId === null ? '' : html`, request ${requestOf(site, at, requestId)}`
      }
    </div>
    ${
      oldest === undefined
        ? ''
        : html`<details>
          <summary>Each of them, since ${exactly(oldest.at)}</summary>
          <ul>
            ${entries.map(
              (one) =>
                html`<li>${exactly(one.at)} ${one.requestId === null ? '' : html`<code>${one.requestId}</code>`}</li>`,
            )}
          </ul>
        </details>`
    }
  </li>`;
}

/** All that the request did, in the audit log. */
function requestOf({ base }: PlainSite, at: number, requestId: string): Html {
  const near = (ms: number) => new Date(ms).toISOString();
  const query = new URLSearchParams({ request_id: requestId, from: near(at - HOUR), to: near(at + HOUR) });
  return html`<a href="${base}/console/audit?${query.toString()}"><code>${requestId}</code></a>`;
}
