// The events room: what happened is told to callers, who have it sent to their webhook endpoints.
import type { Logger } from '../../ports/index.ts';
import { createDeliveryEngine, type DeliveryEngine, type DeliveryEngineParts } from './delivery/delivery-engine.ts';
import { createDeliveries, type Deliveries, type DeliveriesParts } from './endpoints/deliveries.ts';
import {
  createWebhookEndpoints,
  type WebhookEndpoints,
  type WebhookEndpointsParts,
} from './endpoints/webhook-endpoints.ts';
import { createWebhookKeys, type WebhookKeys, type WebhookKeysParts } from './signing/signing-keys.ts';

export type { Deliveries } from './endpoints/deliveries.ts';
export type { EndpointSettings } from './endpoints/endpoint-settings.ts';
export type { WebhookEndpoints } from './endpoints/webhook-endpoints.ts';
export { type EventPayload, encryptEventBody, eventPayload } from './event-payload.ts';
export { rotateSigningKey, type WebhookKeys } from './signing/signing-keys.ts';

export interface OutboundEvents {
  engine: DeliveryEngine;
  endpoints: WebhookEndpoints;
  deliveries: Deliveries;
  keys: WebhookKeys;
}

type Parts = Omit<DeliveryEngineParts, 'signingKeys'> &
  Omit<WebhookEndpointsParts, 'engine'> &
  Omit<DeliveriesParts, 'engine'> &
  WebhookKeysParts & { log: Logger };

export function createOutboundEvents(parts: Parts): OutboundEvents {
  const keys = createWebhookKeys(parts);
  const engine = createDeliveryEngine({ ...parts, signingKeys: keys.signing });
  const endpoints = createWebhookEndpoints({ ...parts, engine });
  return { engine, endpoints, deliveries: createDeliveries({ ...parts, engine }), keys };
}
