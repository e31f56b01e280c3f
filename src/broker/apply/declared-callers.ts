// Compares declared callers with those that are stored: what would change, and what is wrong with them.
import { createHash } from 'node:crypto';
import type { Caller, CallerKey } from '../../domain/caller.ts';
import type { InputIssue, Refusal } from '../../domain/errors.ts';
import type { Clock, DeclaredRows, Store } from '../../ports/index.ts';
import { callerChanges, changedNames } from '../audit/index.ts';
import { callerOf, keyOf, nameIssues, ofClient, workloadIssues } from '../callers/index.ts';
import { type Integrations, isShadowedBy, type OpenIdClient } from '../integrations/index.ts';
import type { Declared, DeclaredChange, Limits, Recorder } from './declared.ts';

interface Parts {
  store: Pick<Store, 'callers'>;
  trustedIssuers: Integrations['trustedIssuers'];
  clock: Pick<Clock, 'now'>;
}

/** Adds to `rows` what is to be written. Rejects with `StoreError`. */
export type CallerPlanner = (
  wanted: Declared['callers'],
  record: Recorder,
  rows: DeclaredRows,
  mayNot: Limits['caller'],
  /** Of the integrations that are declared with them. */
  clients: readonly OpenIdClient[],
  isDeleted: (id: string) => boolean,
) => Promise<{ changes: DeclaredChange[]; issues: InputIssue[] } | Refusal>;

export const createCallerPlanner =
  ({ store, trustedIssuers, clock }: Parts): CallerPlanner =>
  async (wanted, record, rows, mayNot, clients, isDeleted) => {
    const changes: DeclaredChange[] = [];
    const issues: InputIssue[] = [];
    const stored = await store.callers();
    for (const [i, { id, keys: secrets, ...setup }] of wanted.entries()) {
      const now = clock.now();
      const caller = callerOf(id ?? idFor(setup.name), setup, now);
      const before = stored.find((s) => s.caller.id === caller.id);
      const bindingIssues = [
        ...nameIssues(setup, id),
        ...(await workloadIssues(setup, trustedIssuers, before?.caller.workloads)),
        ...shadowed(caller, before?.caller, clients),
      ];
      issues.push(...bindingIssues.map(({ path, message }) => ({ path: `callers.${i}.${path}`, message })));
      const keys = secrets?.map((secret) => keyOf(secret, caller.id, now, null));
      const digests = new Set(keys?.map(({ digest }) => digest));
      const other = stored.find(
        (s) => s.caller.id !== caller.id && !isDeleted(s.caller.id) && s.keys.some(({ digest }) => digests.has(digest)),
      );
      if (other) {
        // The caller may have been renamed: the id comes from the name.
        const who = `${other.caller.id} ("${other.caller.name}")`;
        const message = `a key of "${caller.name}" belongs to ${who}: declare that id, or delete that caller`;
        issues.push({ path: `callers.${i}.keys`, message });
        continue;
      }
      const fields = callerChanges(before, caller, keys);
      if (before && fields.length === 0) continue;
      // A declared key never expires: one that does is a longer credential then.
      const isKnown = ({ digest }: CallerKey) =>
        before?.keys.some((one) => one.digest === digest && one.expiresAt === null);
      const hasNewKey = keys?.some((key) => !isKnown(key)) ?? false;
      const refusal = mayNot(before?.caller, caller, hasNewKey);
      if (refusal) return refusal;
      const action = before ? 'update' : 'create';
      changes.push({ kind: 'caller', id: caller.id, name: caller.name, action, fields });
      const audit = record('caller.declared', { detail: caller.id, changed: changedNames(fields) });
      rows.callers.push({ caller, keys, audit, expected: before });
    }
    return { changes, issues };
  };

/** New bindings whose tokens would be taken for ID tokens of an integration that is declared with them. */
const shadowed = (after: Caller, before: Caller | undefined, clients: readonly OpenIdClient[]): InputIssue[] =>
  after.workloads.flatMap((workload, i) =>
    clients.some((client) => isShadowedBy(workload, client)) && !before?.workloads.some(({ id }) => id === workload.id)
      ? [{ path: `workloads.${i}.audience`, message: ofClient(workload) }]
      : [],
  );

/** Derived from the name, so that the same name is the same caller at every start. */
export const idFor = (name: string): string => `clr_${createHash('sha256').update(name).digest('hex').slice(0, 26)}`;
