// Who may see and manage which webhook endpoints: callers with the action `events` their own, admins all. Who may read
// everything sees all of them, and has their deliveries sent again with the action `events` on everything.
import { type Action, allows } from '../../../domain/caller.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import { mayHear } from '../../../domain/event-audience.ts';
import type { StoredEvent } from '../../../domain/events.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type { Store } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';

const hasAll = ({ principal }: Call, action: Action): boolean => allows(principal.caller.permissions, action, '*', '*');

/** What is done with an endpoint: `resend` is all that has events sent to it again. */
export type EndpointUse = 'read' | 'resend' | 'manage';

/** Whether the caller may do it with the endpoints of all. */
const reachesAll = (call: Call, use: EndpointUse): boolean =>
  hasAll(call, 'admin') ||
  (use !== 'manage' && hasAll(call, 'admin:read') && (use === 'read' || hasAll(call, 'events')));

/**
 * Whether a delivery shows its event: to its caller what the grants cover now, as the feed does. Who reads everything as an auditor
 * does not read what third parties have sent: that takes `webhooks`, as in the inbox.
 */
export function mayReadEvent(call: Call, { callerId }: Pick<WebhookEndpoint, 'callerId'>, event: StoredEvent): boolean {
  const { caller } = call.principal;
  if (reachesAll(call, 'manage') || (callerId === caller.id && mayHear(caller, event))) return true;
  return reachesAll(call, 'read') && (event.type !== 'webhook.received' || hasAll(call, 'webhooks'));
}

/** Whose endpoints and deliveries the caller may see; undefined: those of all. */
export const ownerOf = (call: Call, use: EndpointUse = 'read'): string | undefined =>
  reachesAll(call, use) ? undefined : call.principal.caller.id;

/** Undefined if some permission of the caller has the action `events`: which one decides what the endpoint hears. */
export function mayNotManage(
  access: Pick<Access, 'deniedDelegation'>,
  call: Call,
  use: EndpointUse,
): Refusal | undefined {
  const { permissions } = call.principal.caller;
  if (reachesAll(call, use) || permissions.some(({ actions }) => actions.includes('events') || actions.includes('*')))
    return undefined;
  return access.deniedDelegation(call, { action: 'events', integration: '*', owner: '*' });
}

/** The endpoint; one of another caller does not exist. */
export async function managed(
  { store, access }: { store: Pick<Store, 'webhookEndpoint'>; access: Pick<Access, 'deniedDelegation'> },
  call: Call,
  id: string,
  use: EndpointUse,
): Promise<WebhookEndpoint | Refusal> {
  const refusal = mayNotManage(access, call, use);
  if (refusal) return refusal;
  const endpoint = await store.webhookEndpoint(id);
  const owner = ownerOf(call, use);
  if (endpoint && (owner === undefined || endpoint.callerId === owner)) return endpoint;
  return refuse({ code: 'not_found', what: 'webhook endpoint', id });
}
