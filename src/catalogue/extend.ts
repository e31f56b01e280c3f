// Resolves `extends`: merges an entry over the one that it extends.
import { isObject, type Json } from '../domain/json.ts';

export type RawEntry = Json;

/** The merged entry, or why there is none, in words. It keeps its `extends`, for information. */
export function resolveExtends(
  raw: RawEntry,
  raws: ReadonlyMap<string, RawEntry>,
  seen: readonly string[] = [],
): RawEntry | string {
  const { extends: parent } = raw;
  if (parent === undefined) return raw;
  if (typeof parent !== 'string') return 'extends: must be the id of another entry';
  if (seen.includes(parent)) return `extends: circular: ${[...seen, parent].join(' → ')}`;
  const found = raws.get(parent);
  if (!found) return `extends: there is no entry "${parent}"`;
  const base = resolveExtends(found, raws, [...seen, parent]);
  if (typeof base === 'string') return base;
  const { auth: _, ...rest } = raw;
  return { ...(merge(base, rest) as RawEntry), auth: mergeModes(base.auth, raw.auth) };
}

/** Without its own `auth`, all modes of the base; else the listed ones, each merged over the base's mode of that name. */
function mergeModes(base: unknown, own: unknown): unknown {
  if (own === undefined) return base;
  if (!Array.isArray(own) || !Array.isArray(base)) return own;
  return own.map((mode) => {
    const match = isObject(mode)
      ? base.find((b) => isObject(b) && b.mode === mode.mode && b.variant === mode.variant)
      : undefined;
    return match === undefined ? mode : merge(match, mode);
  });
}

/** Merges records, replaces everything else; null removes a field. */
function merge(base: unknown, own: unknown): unknown {
  if (!isObject(base) || !isObject(own)) return own;
  const result: RawEntry = { ...base };
  for (const [name, value] of Object.entries(own)) {
    if (value === null) delete result[name];
    else result[name] = merge(base[name], value);
  }
  return result;
}
