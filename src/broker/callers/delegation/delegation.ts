// Separation of duties: an admin passes on only what it may do itself.
import type { Caller, Permission, Workload } from '../../../domain/caller.ts';
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

/** What the other one has already may stay; a workload binding that is new, or takes older tokens, is a credential for all of it. */
export function mayNotReplace(access: Denying, call: Call, before: Caller, after: Caller): Refusal | undefined {
  const isBound = (wanted: Workload) =>
    before.workloads.some((one) => one.id === wanted.id && !takesOlder(wanted, one));
  return mayNotDelegate(access, call, after.permissions, after.workloads.every(isBound) ? before.permissions : []);
}

/** Undefined is what the issuer is listed with, which may be less than what is wanted. */
const takesOlder = ({ maxAge: wanted }: Workload, { maxAge: known }: Workload): boolean =>
  wanted !== known && (wanted === undefined || known === undefined || wanted > known);
