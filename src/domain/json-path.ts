// Reads JSON by the catalogue's paths: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].id` (of the
// first whose `is_default` is true). A dot of a name has a backslash before it: `@odata\.nextLink`.
import { isObject, memberOf } from './json.ts';

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
  let current = value;
  for (let i = from; i < steps.length; i++) {
    const { name, index } = steps[i]!;
    const found = name === '' ? current : memberOf(current, name);
    if (index === '') return Array.isArray(found) ? ofEach(found, steps, i + 1) : undefined;
    current = index === undefined ? found : elementOf(found, index);
  }
  return current;
}

const ofEach = (list: unknown[], steps: readonly Step[], from: number): unknown[] =>
  list.map((one) => valueAt(one, steps, from)).filter((one) => one !== undefined);

function elementOf(list: unknown, index: string): unknown {
  if (!Array.isArray(list)) return undefined;
  return /^\d+$/.test(index) ? list[Number(index)] : list.find((one) => isObject(one) && one[index] === true);
}

/** The value at the first path that has one. */
export function firstAt(value: unknown, paths: readonly string[] = []): unknown {
  for (const path of paths) {
    const found = at(value, path);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}
