// Events and webhooks: what callers are told, and what third parties have told us.
import { Hono } from 'hono';
import type { ConsoleEnv } from '../../environment.ts';
import { type DeliveryViewParts, deliveryViews } from './deliveries.ts';
import { endpointActions } from './endpoint-actions.ts';
import { type EndpointViewParts, endpointViews } from './endpoints.ts';
import { type ReceivedViewParts, receivedViews } from './received.ts';

export type EventViewParts = EndpointViewParts & DeliveryViewParts & ReceivedViewParts;

export const eventViews = (parts: EventViewParts): Hono<ConsoleEnv> =>
  new Hono<ConsoleEnv>()
    .route('/', endpointViews(parts))
    .route('/', endpointActions(parts))
    .route('/', deliveryViews(parts))
    .route('/', receivedViews(parts));
