// Who hears an event: which callers may, and which of their endpoints want to.
import { ADMIN_ID, ADMIN_PERMISSIONS, allows, matches, type Permission } from './caller.ts';
import type { NewEvent } from './events.ts';
import type { WebhookEndpoint } from './webhook-endpoint.ts';

/** What decides who hears an event. */
export type Audible = Pick<NewEvent, 'type' | 'integration' | 'owner' | 'callerId' | 'endpointId'>;

/** An enabled endpoint, and the permissions of its caller; of the admin key of the settings, none are stored. */
export interface Listener extends Pick<WebhookEndpoint, 'id' | 'callerId' | 'types' | 'integrations' | 'owners'> {
  permissions: readonly Permission[];
}

/**
 * Whether the permissions of this caller cover the event. What concerns an integration and not one owner needs a permission
 * for every owner of it; what concerns no integration, and no caller, one for everything.
 */
export function mayHear(caller: { id: string; permissions: readonly Permission[] }, event: Audible): boolean {
  const { integration, owner, callerId } = event;
  if (callerId !== null && callerId !== caller.id) return false;
  if (integration !== null && owner !== null) return allows(caller.permissions, 'events', integration, owner);
  return caller.permissions.some(
    ({ actions, integrations, owners }) =>
      (actions.includes('events') || actions.includes('*')) &&
      (integration === null
        ? callerId !== null || (integrations.includes('*') && owners.includes('*'))
        : owners.includes('*') && integrations.some((pattern) => matches(pattern, integration))),
  );
}

/** Whether an endpoint is sent the event. What is meant for one endpoint passes its filters. */
export function hears(listener: Listener, event: Audible): boolean {
  if (event.endpointId !== null && event.endpointId !== listener.id) return false;
  if (event.endpointId === null && !isWanted(listener, event)) return false;
  const { callerId: id, permissions } = listener;
  return mayHear({ id, permissions: id === ADMIN_ID ? ADMIN_PERMISSIONS : permissions }, event);
}

/** Filters of integrations and owners say nothing about what concerns no integration. */
function isWanted(
  { types, integrations, owners }: Listener,
  { type, integration, owner }: Pick<Audible, 'type' | 'integration' | 'owner'>,
): boolean {
  if (types !== null && !types.includes(type)) return false;
  if (integration === null) return true;
  if (integrations !== null && !integrations.some((pattern) => matches(pattern, integration))) return false;
  if (owners === null || owners.includes('*')) return true;
  return owner !== null && owners.some((pattern) => matches(pattern, owner));
}
