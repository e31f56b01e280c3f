// Where two descriptions differ, field by field.
import { isDeepStrictEqual } from 'node:util';

export interface Difference {
  /** Such as `params.issuer` or `grants.0.owners`. */
  path: string;
  /** Null where there is nothing. */
  before: unknown;
  after: unknown;
}

/** Nothing, null, the empty text and the empty list are alike. */
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

/** Members, or entries that have members; a list of words is one field. */
const hasParts = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (!Array.isArray(value) || value.every(hasParts));

const partsOf = (value: unknown): Record<string, unknown> =>
  isNothing(value) ? {} : { ...(value as Record<string, unknown>) };
