// The events room: what happened is told to callers, who read the feed or have it sent to their webhook endpoints.
import type { CircuitView } from '../../domain/limits-state.ts';
import type { Logger } from '../../ports/index.ts';
import { createDeliveryEngine, type DeliveryEngine, type DeliveryEngineParts } from './delivery/delivery-engine.ts';
import { createDeliveries, type Deliveries, type DeliveriesParts } from './endpoints/deliveries.ts';
import {
  createWebhookEndpoints,
  type WebhookEndpoints,
  type WebhookEndpointsParts,
} from './endpoints/webhook-endpoints.ts';
import { createEventFeed, type EventFeed } from './feed/event-feed.ts';
import { createEventHousekeeping, type EventHousekeeping } from './notices/event-housekeeping.ts';
import { createWebhookKeys, type WebhookKeys, type WebhookKeysParts } from './signing/signing-keys.ts';

export type { Deliveries } from './endpoints/deliveries.ts';
export type { WebhookEndpoints } from './endpoints/webhook-endpoints.ts';
export { encryptEventBody } from './event-payload.ts';
export type { EventFeed, FeedEvent } from './feed/event-feed.ts';
export { rotateSigningKey, type WebhookKeys } from './signing/signing-keys.ts';

export interface Events {
  engine: DeliveryEngine;
  endpoints: WebhookEndpoints;
  deliveries: Deliveries;
  keys: WebhookKeys;
  feed: EventFeed;
  housekeeping: EventHousekeeping;
  /** Of webhook endpoints that fail, for operators. */
  circuits(): CircuitView[];
}

type Parts = Omit<DeliveryEngineParts, 'signingKeys'> &
  Omit<WebhookEndpointsParts, 'engine'> &
  Omit<DeliveriesParts, 'engine'> &
  WebhookKeysParts &
  Parameters<typeof createEventFeed>[0] &
  Parameters<typeof createEventHousekeeping>[0] & { log: Logger };

export function createEvents(parts: Parts): Events {
  const keys = createWebhookKeys(parts);
  const engine = createDeliveryEngine({ ...parts, signingKeys: keys.signing });
  return {
    engine,
    endpoints: createWebhookEndpoints({ ...parts, engine }),
    deliveries: createDeliveries({ ...parts, engine }),
    keys,
    feed: createEventFeed(parts),
    housekeeping: createEventHousekeeping(parts),
    circuits: parts.circuits.views,
  };
}
