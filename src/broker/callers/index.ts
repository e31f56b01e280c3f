// The callers room: internal services, their keys and permissions, and authentication by workload identity.
import { type CallerAdmin, type CallerAdminParts, createCallerAdmin } from './callers.ts';
import { createWorkloadIdentity, type WorkloadIdentity, type WorkloadIdentityParts } from './workload-identity.ts';

export { type CallerSetup, callerOf, keyOf, nameIssues, ofClient, workloadIssues } from './caller-setup.ts';
export type { CallerAdmin, CallerWithKeys } from './callers.ts';
export { mayNotDelegate, mayNotName, mayNotReplace } from './delegation/delegation.ts';
export { undelegable } from './delegation/undelegable.ts';
export { isJwt, type RefusedToken, type WorkloadIdentity } from './workload-identity.ts';
export { warnOfWorkloads } from './workload-warnings.ts';

export interface Callers {
  admin: CallerAdmin;
  workloadIdentity: WorkloadIdentity;
}

/** `callerCache` and `trustedIssuers` are those that requests are authenticated with. */
export function createCallers(parts: CallerAdminParts & WorkloadIdentityParts): Callers {
  return { admin: createCallerAdmin(parts), workloadIdentity: createWorkloadIdentity(parts) };
}
