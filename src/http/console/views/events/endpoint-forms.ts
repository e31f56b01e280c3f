// What can be done about a webhook endpoint, as far as the role allows it.
import { html } from 'hono/html';
import { DAY_MS } from '../../../../domain/time-limits.ts';
import type { WebhookEndpoint } from '../../../../domain/webhook-endpoint.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { may, type Visit } from '../../environment.ts';
import { tokenField } from '../../forms.ts';
import { actionButton, dangerousAction } from '../../parts/actions.ts';
import { DELIVERY_STATUSES, DELIVERY_WORDS } from './words.ts';

/** As `<input type="datetime-local">` has it, UTC. */
const local = (ms: number): string => new Date(ms).toISOString().slice(0, 16);

export function endpointForms({ base }: PlainSite, visit: Visit, endpoint: WebhookEndpoint, now: number): Html | '' {
  const to = `${base}/console/events/endpoints/${endpoint.id}`;
  const [maySend, mayManage] = [may(visit, 'events'), may(visit, 'admin')];
  if (!maySend && !mayManage) return '';
  return html`<div class="row">
      ${maySend && endpoint.enabled ? actionButton(visit, { action: `${to}/test`, label: 'Send a test event' }) : ''}
      ${mayManage ? management(visit, endpoint, to) : ''}
    </div>
    ${maySend ? replayForm(visit, endpoint, to, now) : ''}`;
}

const management = (visit: Visit, { id, enabled }: WebhookEndpoint, to: string): Html => html`
  ${
    enabled
      ? actionButton(visit, { action: `${to}/disable`, label: 'Disable', isQuiet: true })
      : actionButton(visit, { action: `${to}/enable`, label: 'Enable' })
  }
  ${dangerousAction(visit, {
    action: `${to}/rotate-secret`,
    label: 'Rotate its secret',
    id,
    consequence:
      'You are shown a new secret, once. Deliveries are signed with both for 24 hours: give the receiver the new one by then.',
  })}
  ${dangerousAction(visit, {
    action: `${to}/delete`,
    label: 'Delete',
    id,
    consequence:
      'The endpoint and all of its deliveries are deleted. What has not been delivered is not sent any more.',
  })}`;

const replayForm = (visit: Visit, { failingSince }: WebhookEndpoint, to: string, now: number): Html =>
  html`<details class="card">
    <summary>Send the events of a time range again</summary>
    <p>Each event keeps its id, so that a receiver knows what it has had. Times are UTC.</p>
    <form method="post" action="${to}/replay">
      ${tokenField(visit)}
      <div class="row">
        <div>
          <label for="replay-from">From</label>
          <input id="replay-from" name="from" type="datetime-local" required value="${local(failingSince ?? now - DAY_MS)}">
        </div>
        <div>
          <label for="replay-to">Until (empty: now)</label>
          <input id="replay-to" name="to" type="datetime-local">
        </div>
        <div>
          <label for="replay-status">Which</label>
          <select id="replay-status" name="status">
            <option value="">all that were not delivered</option>
            ${DELIVERY_STATUSES.map((one) => html`<option value="${one}">only: ${DELIVERY_WORDS[one]}</option>`)}
          </select>
        </div>
        <button class="button">Send them again</button>
      </div>
    </form>
  </details>`;
