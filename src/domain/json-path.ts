// Reads JSON by the catalogue's paths: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].id` (of the
// first whose `is_default` is true). A dot of a name has a backslash before it: `@odata\.nextLink`.

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `index`: what is in the brackets; undefined without brackets. */
interface Step {
  name: string;
  index: string | undefined;
}

/** The paths of the catalogue, and those of integrations that override them. */
const MAX_PARSED = 2_000;
const parsed = new Map<string, readonly Step[]>();

/** The value at a path; undefined when there is none. */
export function at(value: unknown, path: string): unknown {
  let steps = parsed.get(path);
  if (!steps) {
    if (parsed.size >= MAX_PARSED) parsed.clear();
    steps = path.split(/(?<!\\)\./).map(stepOf);
    parsed.set(path, steps);
  }
  return valueAt(value, steps, 0);
}

function stepOf(text: string): Step {
  const { name = '', index } = /^(?<name>[^[\]]*)(?:\[(?<index>[^\]]*)\])?$/.exec(text)?.groups ?? {};
  return { name: name.replaceAll('\\.', '.'), index };
}

function valueAt(value: unknown, steps: readonly Step[], from: number): unknown {
  const { name, index } = steps[from]!;
  const found = name === '' ? value : isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  const further = (one: unknown): unknown => (from + 1 === steps.length ? one : valueAt(one, steps, from + 1));
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
