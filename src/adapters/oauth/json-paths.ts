// Reading JSON answers by the catalogue's paths: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].id`
// (the first where it is true).

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Undefined when it is not there. */
export function at(value: unknown, path: string): unknown {
  const [head = '', ...rest] = path.split('.');
  const { name, index } = /^(?<name>[^[\]]*)(?:\[(?<index>[^\]]*)\])?$/.exec(head)?.groups ?? {};
  const found = name === '' ? value : isObject(value) && Object.hasOwn(value, name!) ? value[name!] : undefined;
  const further = (one: unknown): unknown => (rest.length === 0 ? one : at(one, rest.join('.')));
  if (index === undefined) return further(found);
  if (!Array.isArray(found)) return undefined;
  if (index === '') return found.map(further).filter((one) => one !== undefined);
  return further(
    /^\d+$/.test(index) ? found[Number(index)] : found.find((one) => isObject(one) && one[index] === true),
  );
}

/** Of the first path that leads to something. */
export function first(value: unknown, paths: readonly string[] = []): unknown {
  for (const path of paths) {
    const found = at(value, path);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}

/** Name → what is found at its path; what is not there is left out. */
export const capture = (value: unknown, paths: Record<string, string>): Json =>
  Object.fromEntries(
    Object.entries(paths)
      // As it will come back from where it is stored: JSON knows no number beyond all bounds.
      .map(([name, path]): [string, unknown] => [name, JSON.parse(JSON.stringify(at(value, path) ?? null))])
      .filter(([, found]) => found !== null),
  );

export const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** A hundred years, in seconds: whoever says more means never, and no date could be made of it. */
const MAX_SECONDS = 36_525 * 86_400;

/** Whole seconds above zero, from a number or a text of one; undefined for what is no duration. */
export function positive(value: unknown): number | undefined {
  const seconds = Math.floor(typeof value === 'string' && value.trim() !== '' ? Number(value) : (value as number));
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, MAX_SECONDS) : undefined;
}

/** Whole seconds to a moment, at least one; undefined for what is no moment. */
export function secondsUntil(value: unknown, now: number): number | undefined {
  const when = moment(value);
  return when === undefined ? undefined : Math.min(Math.max(1, Math.floor((when - now) / 1_000)), MAX_SECONDS);
}

/** Milliseconds since the epoch, from RFC 3339, or from seconds or milliseconds as a number or a text of one. */
function moment(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  // Seconds would be past the year 5000.
  if (typeof number === 'number') return number > 0 ? (number > 1e11 ? number : number * 1_000) : undefined;
  const parsed = typeof number === 'string' ? Date.parse(number) : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}
