// Reads JSON by the catalogue's paths: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].id` (of the
// first whose `is_default` is true). A dot of a name has a backslash before it: `@odata\.nextLink`.

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path; undefined when there is none. */
export const at = (value: unknown, path: string): unknown => valueAt(value, path.split(/(?<!\\)\./));

function valueAt(value: unknown, [head = '', ...rest]: readonly string[]): unknown {
  const { name = '', index } = /^(?<name>[^[\]]*)(?:\[(?<index>[^\]]*)\])?$/.exec(head)?.groups ?? {};
  const member = name.replaceAll('\\.', '.');
  const found = member === '' ? value : isObject(value) && Object.hasOwn(value, member) ? value[member] : undefined;
  const further = (one: unknown): unknown => (rest.length === 0 ? one : valueAt(one, rest));
  if (index === undefined) return further(found);
  if (!Array.isArray(found)) return undefined;
  if (index === '') return found.map(further).filter((one) => one !== undefined);
  return further(
    /^\d+$/.test(index) ? found[Number(index)] : found.find((one) => isObject(one) && one[index] === true),
  );
}

/** The value at the first path that has one. */
export function firstAt(value: unknown, paths: readonly string[] = []): unknown {
  for (const path of paths) {
    const found = at(value, path);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}
