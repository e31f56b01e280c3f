// Callers and their keys, from the rows of a join.
import type { Caller, CallerKey } from '../../domain/caller.ts';
import type { ExpectedCaller } from '../../ports/index.ts';

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

/** Whether no key has been deleted since. Others may have been added, and those that no broker made are not in `expected`. */
export function hasAllKeys(stored: readonly Pick<CallerKey, 'digest'>[], { keys }: ExpectedCaller): boolean {
  const digests = new Set(stored.map(({ digest }) => digest));
  return keys.every(({ digest }) => digests.has(digest));
}
