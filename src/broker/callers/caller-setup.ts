// From what an admin or the declarative file says about a caller to what is stored: validated, with ids and digests.
import type { Caller, CallerKey, Permission, RateLimit, Workload } from '../../domain/caller.ts';
import type { InputIssue } from '../../domain/errors.ts';
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
}

export const callerOf = (id: string, { name, grants, workloads, rateLimit }: CallerSetup, now: number): Caller => ({
  id,
  name,
  permissions: grants,
  workloads: (workloads ?? []).map(workloadOf),
  rateLimit: rateLimit ?? null,
  createdAt: now,
});

/** The same binding always has the same id, so that audit entries stay readable after a caller was replaced. */
function workloadOf({ issuer, audience, claims }: Omit<Workload, 'id'>): Workload {
  const sorted = Object.fromEntries(Object.entries(claims).sort(([a], [b]) => (a < b ? -1 : 1)));
  const id = `wl_${digest(JSON.stringify([issuer, audience, sorted])).slice(0, 26)}`;
  return { id, issuer, audience, claims: sorted };
}

/** What is wrong with the workload bindings of a caller. */
export async function workloadIssues(
  { workloads = [] }: CallerSetup,
  trustedIssuers: Pick<TrustedIssuers, 'find'>,
): Promise<InputIssue[]> {
  const issues: InputIssue[] = [];
  for (const [i, { issuer, claims }] of workloads.entries()) {
    if (!(await trustedIssuers.find(issuer))) {
      const message = `is not a trusted issuer: add it to trusted_issuers in the file of VALETKEY_CONFIG, or set up an OpenID integration of it`;
      issues.push({ path: `workloads.${i}.issuer`, message });
    }
    if (Object.values(claims).every((pattern) => pattern === '*'))
      issues.push({
        path: `workloads.${i}.claims`,
        message: 'must name a claim that identifies the workload, such as "sub"',
      });
  }
  return issues;
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
