// An entry that extends another: its own fields laid over the other's.

export type Raw = Record<string, unknown>;

export const isObject = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The whole entry; a text says why there is none. Its `extends` stays, as a trace. */
export function extended(raw: Raw, raws: ReadonlyMap<string, Raw>, seen: readonly string[] = []): Raw | string {
  const { extends: parent } = raw;
  if (parent === undefined) return raw;
  if (typeof parent !== 'string') return 'extends: the id of another entry';
  if (seen.includes(parent)) return `extends: a circle of ${[...seen, parent].join(' → ')}`;
  const found = raws.get(parent);
  if (!found) return `extends: there is no entry "${parent}"`;
  const base = extended(found, raws, [...seen, parent]);
  if (typeof base === 'string') return base;
  const { auth: _, ...rest } = raw;
  return { ...(merged(base, rest) as Raw), auth: modes(base.auth, raw.auth) };
}

/** Without an `auth` of its own, all of the other's; else those that it lists, each laid over its namesake. */
function modes(base: unknown, own: unknown): unknown {
  if (own === undefined) return base;
  if (!Array.isArray(own) || !Array.isArray(base)) return own;
  return own.map((mode) => {
    const namesake = isObject(mode)
      ? base.find((b) => isObject(b) && b.mode === mode.mode && b.variant === mode.variant)
      : undefined;
    return namesake === undefined ? mode : merged(namesake, mode);
  });
}

/** Records are merged, all else is replaced; null takes a field away. */
function merged(base: unknown, own: unknown): unknown {
  if (!isObject(base) || !isObject(own)) return own;
  const result: Raw = { ...base };
  for (const [name, value] of Object.entries(own)) {
    if (value === null) delete result[name];
    else result[name] = merged(base[name], value);
  }
  return result;
}
