// Events about an endpoint itself: that it is disabled, told to its caller's other endpoints, and the ping that tests it.
import type { NewEvent } from '../../../domain/events.ts';
import type { DisabledReason, WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import { newId } from '../../secrets/index.ts';

type About = Pick<WebhookEndpoint, 'id' | 'callerId' | 'url'>;

const ofCaller = (type: NewEvent['type'], { callerId }: About, at: number): Omit<NewEvent, 'data' | 'endpointId'> => ({
  id: newId('msg', at),
  type,
  at,
  integration: null,
  owner: null,
  connectionId: null,
  callerId,
  body: null,
});

export const disabledEvent = (endpoint: About, reason: DisabledReason, at: number): NewEvent => ({
  ...ofCaller('webhook_endpoint.disabled', endpoint, at),
  endpointId: null,
  data: { endpoint: { id: endpoint.id, url: endpoint.url, disabled_reason: reason } },
});

export const pingEvent = (endpoint: About, at: number): NewEvent => ({
  ...ofCaller('test.ping', endpoint, at),
  endpointId: endpoint.id,
  data: { endpoint: { id: endpoint.id } },
});
