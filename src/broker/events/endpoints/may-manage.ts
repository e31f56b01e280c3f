// Who may manage which webhook endpoints: callers with the action `events` their own, admins all.
import { allows } from '../../../domain/caller.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type { Store } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';

const isAdmin = ({ principal }: Call): boolean => allows(principal.caller.permissions, 'admin', '*', '*');

/** Whose endpoints and deliveries the caller may see; undefined: those of all. */
export const ownerOf = (call: Call): string | undefined => (isAdmin(call) ? undefined : call.principal.caller.id);

/** Undefined if some permission of the caller has the action `events`: which one decides what the endpoint hears. */
export function mayNotManage(access: Pick<Access, 'deniedDelegation'>, call: Call): Refusal | undefined {
  const { permissions } = call.principal.caller;
  if (isAdmin(call) || permissions.some(({ actions }) => actions.includes('events') || actions.includes('*')))
    return undefined;
  return access.deniedDelegation(call, { action: 'events', integration: '*', owner: '*' });
}

/** The endpoint; one of another caller does not exist. */
export async function managed(
  { store, access }: { store: Pick<Store, 'webhookEndpoint'>; access: Pick<Access, 'deniedDelegation'> },
  call: Call,
  id: string,
): Promise<WebhookEndpoint | Refusal> {
  const refusal = mayNotManage(access, call);
  if (refusal) return refusal;
  const endpoint = await store.webhookEndpoint(id);
  const owner = ownerOf(call);
  if (endpoint && (owner === undefined || endpoint.callerId === owner)) return endpoint;
  return refuse({ code: 'not_found', what: 'webhook endpoint', id });
}
