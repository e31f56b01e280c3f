// From what an admin or the declarative file says about a caller to what is stored: validated, with ids and digests.
import type { Caller, CallerKey, Permission, RateLimit, Workload } from '../../domain/caller.ts';
import type { InputIssue } from '../../domain/errors.ts';
import { reservedIssue } from '../../domain/reserved-names.ts';
import { bindingIssues } from '../../domain/workload-binding.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import { digest, newId } from '../secrets/index.ts';

/** Enough to recognise a key by, too little to guess it by. */
const PREFIX_LENGTH = 8;

export interface CallerSetup {
  name: string;
  grants: Permission[];
  workloads?: Omit<Workload, 'id'>[] | undefined;
  /** Null or undefined: the deployment's. */
  rateLimit?: RateLimit | null | undefined;
  /** Seconds. Null or undefined: the longest that there is. */
  maxSessionTtl?: number | null | undefined;
  audiences?: string[] | null | undefined;
}

export const callerOf = (
  id: string,
  { name, grants, workloads, rateLimit, maxSessionTtl, audiences }: CallerSetup,
  now: number,
): Caller => ({
  id,
  name,
  permissions: grants,
  workloads: (workloads ?? []).map(workloadOf),
  rateLimit: rateLimit ?? null,
  maxSessionTtl: maxSessionTtl ?? null,
  audiences: audiences?.length ? [...new Set(audiences)] : null,
  createdAt: now,
});

/** The same binding always has the same id, so that audit entries stay readable after a caller was replaced. */
function workloadOf({ issuer, audience, claims, maxAge }: Omit<Workload, 'id'>): Workload {
  const sorted = Object.fromEntries(Object.entries(claims).sort(([a], [b]) => (a < b ? -1 : 1)));
  const id = `wl_${digest(JSON.stringify([issuer, audience, sorted])).slice(0, 26)}`;
  return { id, issuer, audience, claims: sorted, ...(maxAge !== undefined && { maxAge }) };
}

/**
 * What is wrong with the workload bindings of a caller. `stored`: those that it has. An earlier version may have accepted
 * claims that identify no workload: such a binding stays, and is warned of (`workloadWarnings`), until it is changed.
 */
export async function workloadIssues(
  { workloads = [] }: Pick<CallerSetup, 'workloads'>,
  trustedIssuers: Pick<TrustedIssuers, 'find'>,
  stored: readonly Workload[] = [],
): Promise<InputIssue[]> {
  const issues: InputIssue[] = [];
  const accepted = new Set(stored.map((workload) => workloadOf(workload).id));
  for (const [i, workload] of workloads.entries()) {
    const { issuer } = workload;
    const trusted = await trustedIssuers.find(issuer);
    if (!trusted?.isListed)
      issues.push({ path: `workloads.${i}.issuer`, message: notListed(issuer, trusted !== undefined) });
    if (accepted.has(workloadOf(workload).id)) continue;
    if (trusted?.isListed && trusted.clientIds.includes(workload.audience))
      issues.push({ path: `workloads.${i}.audience`, message: ofClient(workload) });
    issues.push(...bindingIssues(workload).map(({ path, message }) => ({ path: `workloads.${i}.${path}`, message })));
  }
  return issues;
}

/** What an earlier version has accepted of the bindings of a stored caller, and this one would refuse. */
export const workloadWarnings = ({ workloads }: Caller, trustedIssuers: Pick<TrustedIssuers, 'find'>) =>
  workloadIssues({ workloads }, trustedIssuers);

/** Tokens for a client are taken for its ID tokens. */
export const ofClient = ({ issuer, audience }: Pick<Workload, 'issuer' | 'audience'>): string =>
  `"${audience}" is the client id of an OpenID integration at ${issuer}, for which tokens are issued at logins: name an audience that only the broker has`;

function notListed(issuer: string, isOfIntegration: boolean): string {
  const line = `add {"issuer": ${JSON.stringify(issuer)}} to trusted_issuers in the file of VALETKEY_CONFIG, and restart`;
  return isOfIntegration
    ? `is the issuer of an OpenID integration, which is trusted for its client id alone, and whose tokens authenticate no workload: ${line}`
    : `is not a trusted issuer: ${line}`;
}

/** What is wrong with what a caller is called. `id`: as it was declared. */
export function nameIssues({ name }: Pick<CallerSetup, 'name'>, id?: string): InputIssue[] {
  const faults = { name: reservedIssue(name, 'name'), id: id === undefined ? undefined : reservedIssue(id, 'id') };
  return Object.entries(faults).flatMap(([path, message]) => (message === undefined ? [] : [{ path, message }]));
}

/** What is stored of a key: its digest, not the key. */
export const keyOf = (secret: string, callerId: string, now: number, expiresAt: number | null): CallerKey => ({
  id: newId('key', now),
  callerId,
  digest: digest(secret),
  prefix: secret.slice(0, PREFIX_LENGTH),
  createdAt: now,
  expiresAt,
  lastUsedAt: null,
});
