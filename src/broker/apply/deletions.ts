// What a declaration deletes: named one by one, so that nothing is deleted that no one has seen in the plan.
import type { InputIssue } from '../../domain/errors.ts';
import type { DeclaredRows, Store } from '../../ports/index.ts';
import type { DeclaredChange, Deletions, Recorder } from './declared.ts';

interface Parts {
  store: Pick<Store, 'integration' | 'callers'>;
  record: Recorder;
  /** What the same declaration creates or replaces. */
  declared: { integrations: readonly { id: string }[]; callerIds: ReadonlySet<string> };
  /** The caller that applies it: it could not go on. */
  self: string;
}

/** Rejects with `StoreError`. */
export async function planDeletions(
  { integrations, callers }: Deletions,
  { store, record, declared, self }: Parts,
): Promise<{ deletions: DeclaredChange[]; rows: NonNullable<DeclaredRows['deleted']>; issues: InputIssue[] }> {
  const deletions: DeclaredChange[] = [];
  const issues: InputIssue[] = [];
  const rows: NonNullable<DeclaredRows['deleted']> = { integrations: [], callers: [] };
  const stored = new Map((await store.callers()).map(({ caller }) => [caller.id, caller.name]));
  const both = 'is declared as well';

  for (const [i, id] of callers.entries()) {
    const path = `delete.callers.${i}`;
    if (declared.callerIds.has(id)) issues.push({ path, message: both });
    if (id === self) issues.push({ path, message: 'is the caller that asks' });
    if (!stored.has(id)) continue;
    deletions.push({ kind: 'caller', id, name: stored.get(id)!, action: 'delete', fields: [] });
    rows.callers.push({ id, audit: record('caller.deleted', { detail: id }) });
  }
  for (const [i, id] of integrations.entries()) {
    if (declared.integrations.some((one) => one.id === id))
      issues.push({ path: `delete.integrations.${i}`, message: both });
    if (!(await store.integration(id))) continue;
    deletions.push({ kind: 'integration', id, name: null, action: 'delete', fields: [] });
    rows.integrations.push({ id, audit: record('integration.deleted', { integration: id }) });
  }
  return { deletions, rows, issues };
}
