export { type CallerSetup, type Callers, callerOf, createCallers, keyOf, workloadIssues } from './callers.ts';
export { createWorkloadIdentity, isJwt, type WorkloadIdentity } from './workload-identity.ts';
