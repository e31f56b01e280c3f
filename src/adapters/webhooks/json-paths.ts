// Values in the JSON of a webhook: `data.id`, `users[].id` (of each), `items[0].id`.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import { memberOf } from '../../domain/json.ts';

/** Paths are of the catalogue. */
const known = new LRUCache<string, readonly string[]>(upTo(5_000));

/** The names of a path; `[]` and `[0]` are steps of their own. */
export function stepsOf(path: string): readonly string[] {
  const steps = known.get(path) ?? parsed(path);
  known.set(path, steps);
  return steps;
}

const parsed = (path: string): string[] =>
  path.split('.').flatMap((part) =>
    part
      .replaceAll('[', '\0[')
      .split('\0')
      .filter((step) => step !== ''),
  );

/** All values at a path; those that are missing or null are left out. */
export function allAt(value: unknown, path: string | undefined): unknown[] {
  const steps = path === undefined ? [] : stepsOf(path);
  const found = steps.reduce<unknown[]>((values, step) => values.flatMap((one) => into(one, step)), [value]);
  return found.filter((one) => one !== undefined && one !== null);
}

function into(value: unknown, step: string): unknown[] {
  if (!step.startsWith('[')) return [memberOf(value, step)];
  if (!Array.isArray(value)) return [];
  return step === '[]' ? value : [value[Number(step.slice(1, -1))]];
}

/** An event in a list. */
export interface Item {
  value: unknown;
  /** The outer list's member that has it; the whole body where there is no outer list. */
  parent: unknown;
}

/** Events of one delivery: no sender has more. */
export const MAX_ITEMS = 5_000;

/** What the path leads to, in order; undefined when its last list is missing. Its lists are counted before they are read. */
export function itemsAt(root: unknown, path: string): Item[] | 'too_many' | undefined {
  const steps = stepsOf(path);
  const last = steps.lastIndexOf('[]');
  let hasList = false;
  let items: Item[] = [{ value: root, parent: root }];
  for (const [index, step] of steps.entries()) {
    const lengths = items.map(({ value }) => (step === '[]' && Array.isArray(value) ? value.length : 0));
    if (lengths.reduce((sum, one) => sum + one, 0) > MAX_ITEMS) return 'too_many';
    items = items.flatMap(({ value, parent }) => {
      if (step !== '[]') return [{ value: memberOf(value, step), parent }];
      if (!Array.isArray(value)) return [];
      hasList ||= index === last;
      return value.map((one) => ({ value: one, parent: index === last ? parent : one }));
    });
  }
  return hasList ? items.filter(({ value }) => value !== undefined && value !== null) : undefined;
}
