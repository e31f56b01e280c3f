// Separation of duties: an admin passes on only what it may do itself.
import { ADMIN_ID, type Caller, type Permission, type Workload } from '../../../domain/caller.ts';
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

/**
 * Audiences that the caller's own sessions may not have tokens for; those of `known` may stay. The admin key, and admins in the
 * console, name any.
 */
export function mayNotName(
  access: Denying,
  call: Call,
  wanted: readonly string[] | null | undefined,
  known: readonly string[] | null | undefined = [],
): Refusal | undefined {
  const { caller, credential } = call.principal;
  if (caller.id === ADMIN_ID || credential.kind === 'console') return undefined;
  const audience = wanted?.find((one) => !known?.includes(one) && !caller.audiences?.includes(one));
  const missing =
    audience === undefined ? undefined : { action: 'sessions' as const, integration: '*', owner: '*', audience };
  return missing && access.deniedDelegation(call, missing);
}

/** What the other one has already may stay; a workload binding that is new, or takes older tokens, is a credential for all of it. */
export function mayNotReplace(access: Denying, call: Call, before: Caller, after: Caller): Refusal | undefined {
  const isBound = (wanted: Workload) =>
    before.workloads.some((one) => one.id === wanted.id && !takesOlder(wanted, one));
  const isSame = after.workloads.every(isBound);
  return (
    mayNotDelegate(access, call, after.permissions, isSame ? before.permissions : []) ??
    mayNotName(access, call, after.audiences, isSame ? before.audiences : [])
  );
}

/** Undefined is what the issuer is listed with, which may be less than what is wanted. */
const takesOlder = ({ maxAge: wanted }: Workload, { maxAge: known }: Workload): boolean =>
  wanted !== known && (wanted === undefined || known === undefined || wanted > known);
