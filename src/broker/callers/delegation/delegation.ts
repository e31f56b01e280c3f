// Separation of duties: an admin passes on only what it may do itself.
import type { Caller, Permission } from '../../../domain/caller.ts';
import type { Refusal } from '../../../domain/errors.ts';
import type { Access, Call } from '../../audit/index.ts';
import { undelegable } from './undelegable.ts';

type Denying = Pick<Access, 'deniedDelegation'>;

/** Why the caller may not give these permissions to another one, or a key to one that has them; undefined: it may. */
export function mayNotDelegate(
  access: Denying,
  call: Call,
  wanted: readonly Permission[],
  known: readonly Permission[] = [],
): Refusal | undefined {
  const missing = undelegable(call.principal.caller.permissions, wanted, known);
  return missing && access.deniedDelegation(call, missing);
}

/** What the other one has already may stay; a new workload binding is a credential for all of it. */
export function mayNotReplace(access: Denying, call: Call, before: Caller, after: Caller): Refusal | undefined {
  const bound = new Set(before.workloads.map(({ id }) => id));
  const isBoundAnew = after.workloads.some(({ id }) => !bound.has(id));
  return mayNotDelegate(access, call, after.permissions, isBoundAnew ? [] : before.permissions);
}
