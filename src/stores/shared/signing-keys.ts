// What a compare and swap of signing keys changes, for the stores of both databases.
import type { SigningKey } from '../../domain/signing-key.ts';

export const SIGNING_KEYS_CHANGED = { kind: 'signing_keys' } as const;

export interface SigningKeyChanges {
  added: SigningKey[];
  deleted: string[];
  /** In another state than before. */
  changed: Pick<SigningKey, 'id' | 'signingSince' | 'retiredAt'>[];
}

const stateOf = ({ signingSince, retiredAt }: SigningKey): string => `${signingSince} ${retiredAt}`;
const statesOf = (keys: readonly SigningKey[]) => new Map(keys.map((key) => [key.id, stateOf(key)]));

/** Undefined: the keys that are `stored` are not those that were `read`. */
export function signingKeyChanges(
  stored: readonly SigningKey[],
  read: readonly SigningKey[],
  next: readonly SigningKey[],
): SigningKeyChanges | undefined {
  const states = statesOf(stored);
  if (stored.length !== read.length || read.some((key) => states.get(key.id) !== stateOf(key))) return undefined;
  const after = statesOf(next);
  return {
    added: next.filter(({ id }) => !states.has(id)),
    deleted: stored.flatMap(({ id }) => (after.has(id) ? [] : [id])),
    changed: next.filter((key) => states.has(key.id) && states.get(key.id) !== stateOf(key)),
  };
}
