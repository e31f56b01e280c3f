// The differences between two JSON values, field by field.
import { isDeepStrictEqual } from 'node:util';

export interface Difference {
  /** Such as `params.issuer` or `grants.0.owners`. */
  path: string;
  /** Null: not set. */
  before: unknown;
  after: unknown;
}

/** Undefined, null, the empty string and the empty list count as equal. */
export function diff(before: unknown, after: unknown, path = ''): Difference[] {
  if (isDeepStrictEqual(before, after) || (isNothing(before) && isNothing(after))) return [];
  if ([before, after].every((value) => hasParts(value) || isNothing(value))) {
    const [old, now] = [partsOf(before), partsOf(after)];
    return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((name) =>
      diff(old[name], now[name], path === '' ? name : `${path}.${name}`),
    );
  }
  return [{ path, before: before ?? null, after: after ?? null }];
}

const isNothing = (value: unknown): boolean =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);

/** Objects, and lists of objects; a list of strings is one field. */
const hasParts = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (!Array.isArray(value) || value.every(hasParts));

const partsOf = (value: unknown): Record<string, unknown> =>
  isNothing(value) ? {} : { ...(value as Record<string, unknown>) };
