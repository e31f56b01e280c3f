// What of a list a caller may read.
import { type Action, allows, type Scope, scopesOf } from '../../domain/caller.ts';
import type { Refusal } from '../../domain/errors.ts';
import type { Access, Call } from '../audit/index.ts';

/**
 * `all`, or the scopes to which the list is narrowed; none where no permission of the caller touches what it names. Refused
 * if another permission than this does.
 */
export function readableScopes(
  access: Pick<Access, 'denied'>,
  call: Call,
  action: Action,
  { integration, owner }: { integration?: string | undefined; owner?: string | undefined },
): Scope[] | 'all' | Refusal {
  const { permissions } = call.principal.caller;
  const within = scopesOf(permissions, action);
  const isNamed = integration !== undefined && owner !== undefined;
  const denied =
    within.length === 0 || isNamed ? access.denied(call, action, integration ?? '*', owner ?? '*') : undefined;
  if (denied) return denied.fault.code === 'not_found' ? [] : denied;
  return allows(permissions, action, '*', '*') ? 'all' : within;
}
