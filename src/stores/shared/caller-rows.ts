// Callers and their keys, from the rows of a join.
import type { Caller, CallerKey } from '../../domain/caller.ts';

export const CALLERS_CHANGED = { kind: 'callers' } as const;

export function callersFrom(
  rows: { caller: Caller; key: CallerKey | null }[],
): { caller: Caller; keys: CallerKey[] }[] {
  const byId = new Map<string, { caller: Caller; keys: CallerKey[] }>();
  for (const { caller, key } of rows) {
    const entry = byId.get(caller.id) ?? { caller, keys: [] };
    if (key) entry.keys.push(key);
    byId.set(caller.id, entry);
  }
  return [...byId.values()];
}
