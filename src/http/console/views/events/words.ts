// Endpoints, deliveries and received webhooks in words, and the pages that the views of them share.
import type { ReceivedStatus, ReceivedWebhook } from '../../../../domain/received-webhook.ts';
import type { Delivery, DeliveryStatus, WebhookEndpoint } from '../../../../domain/webhook-endpoint.ts';
import type { Html, PlainSite } from '../../../pages/layout.ts';
import { tabs } from '../../parts/filters.ts';
import { status, type Tone } from '../../parts/status.ts';

export const DELIVERY_STATUSES = ['pending', 'failing', 'delivered', 'dead'] as const satisfies DeliveryStatus[];
export const DELIVERY_WORDS: Record<DeliveryStatus, string> = {
  pending: 'waiting',
  failing: 'failing, will be retried',
  delivered: 'delivered',
  dead: 'given up',
};
const DELIVERY_TONES: Record<DeliveryStatus, Tone> = {
  pending: 'busy',
  failing: 'busy',
  delivered: 'good',
  dead: 'bad',
};
export const deliveryStatus = (of: DeliveryStatus): Html => status(DELIVERY_TONES[of], DELIVERY_WORDS[of]);

export const RECEIVED_STATUSES = [
  'received',
  'located',
  'unmatched',
  'refused',
  'dead',
] as const satisfies ReceivedStatus[];
export const RECEIVED_WORDS: Record<ReceivedStatus, string> = {
  received: 'waiting',
  located: 'located',
  unmatched: 'no connection',
  refused: 'refused',
  dead: 'given up',
};
const RECEIVED_TONES: Record<ReceivedStatus, Tone> = {
  received: 'busy',
  located: 'good',
  unmatched: 'off',
  refused: 'bad',
  dead: 'bad',
};
export const receivedStatus = (of: ReceivedStatus): Html => status(RECEIVED_TONES[of], RECEIVED_WORDS[of]);

export const KIND_WORDS: Record<ReceivedWebhook['kind'], string> = {
  webhook: 'webhook',
  signal: 'security event',
  logout: 'logout',
};

export function endpointStatus({ enabled, disabledReason, failingSince }: WebhookEndpoint): Html {
  if (!enabled) return disabledReason === 'disabled_by_caller' ? status('off', 'disabled') : status('bad', 'disabled');
  return failingSince === null ? status('good', 'enabled') : status('busy', 'failing');
}

const ERRORS: Readonly<Record<string, string>> = {
  timeout: 'no whole answer within the time limit',
  network: 'no connection, or it broke',
  redirect: 'a redirect, which is not followed',
  blocked: 'its URL may not be requested from here',
  not_permitted: 'the caller may not hear this event any more',
  not_authentic: 'its row was changed by something else than a broker: nothing was sent',
  internal: 'the broker could not make the attempt: the log says why',
};

/** What the last attempt of a delivery has come to. */
export function answerOf({ lastError, lastStatus, attempts }: Delivery): string {
  if (attempts === 0) return 'not tried yet';
  if (lastError === null) return lastStatus === null ? 'under way' : `answered ${lastStatus}`;
  const code = /^status_(\d+)$/.exec(lastError)?.[1];
  return code === undefined ? (ERRORS[lastError] ?? lastError) : `answered ${code}`;
}

export type EventTab = '' | '/deliveries' | '/received';
const TABS: Record<EventTab, string> = { '': 'Endpoints', '/deliveries': 'Deliveries', '/received': 'Received' };

export const eventTabs = ({ base }: PlainSite, current: EventTab): Html =>
  tabs(
    'Events and webhooks',
    (Object.keys(TABS) as EventTab[]).map((path) => ({
      href: `${base}/console/events${path}`,
      text: TABS[path],
      isCurrent: path === current,
    })),
  );
