// Reads JSON by the catalogue's paths: `meta.next`, `items[0].id`. A dot of a name has a backslash before it.

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path; undefined: there is none. */
export function at(value: unknown, path: string): unknown {
  let found = value;
  for (const part of path.split(/(?<!\\)\./)) {
    const { name = '', index } = /^(?<name>[^[\]]*)(?:\[(?<index>\d+)\])?$/.exec(part)?.groups ?? {};
    const member = name.replaceAll('\\.', '.');
    if (member !== '') found = isObject(found) && Object.hasOwn(found, member) ? found[member] : undefined;
    if (index !== undefined) found = Array.isArray(found) ? found[Number(index)] : undefined;
  }
  return found;
}
