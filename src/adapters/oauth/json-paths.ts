// Reads JSON by the catalogue's paths: `team.id`, `data[0].token`, `[].id` (of each), `accounts[is_default].id` (of the
// first whose `is_default` is true).

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value at a path; undefined when there is none. */
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

/** The value at the first path that has one. */
export function firstAt(value: unknown, paths: readonly string[] = []): unknown {
  for (const path of paths) {
    const found = at(value, path);
    if (found !== undefined && found !== null) return found;
  }
  return undefined;
}

/** The value at each path, by name; names without a value, or with one that cannot be stored, are omitted. */
export const capture = (value: unknown, paths: Record<string, string>): Json =>
  Object.fromEntries(
    Object.entries(paths)
      .map(([name, path]): [string, unknown] => [name, storable(at(value, path))])
      .filter(([, found]) => found !== null),
  );

/** What is captured is shown with every connection, and no more than this is. */
const MAX_CAPTURED_LENGTH = 64 * 1024;
/** Of nested lists and objects. Serializers and databases recurse. */
const MAX_CAPTURED_DEPTH = 32;

/** As it will be read back from the store: JSON has no infinite numbers. Null: it cannot be stored. */
function storable(value: unknown): unknown {
  if (value === undefined || isDeeperThan(value, MAX_CAPTURED_DEPTH)) return null;
  const json = JSON.stringify(value);
  return json.length > MAX_CAPTURED_LENGTH ? null : JSON.parse(json);
}

const isDeeperThan = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((one) => isDeeperThan(one, levels - 1)));

export const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** A hundred years: longer means never, and would overflow a date. */
const MAX_SECONDS = 36_525 * 86_400;

/** A number, or a text of one. */
export const isNumeric = (value: unknown): value is number | string =>
  typeof value === 'number' || (typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)));

/** Whole seconds above zero, from a number or a numeric string; undefined for anything else. */
export function positiveSeconds(value: unknown): number | undefined {
  const seconds = isNumeric(value) ? Math.floor(Number(value)) : Number.NaN;
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, MAX_SECONDS) : undefined;
}

/** Whole seconds until a point in time, at least one; undefined when the value is not a time. */
export function secondsUntil(value: unknown, now: number): number | undefined {
  const when = epochMs(value);
  return when === undefined ? undefined : Math.min(Math.max(1, Math.floor((when - now) / 1_000)), MAX_SECONDS);
}

/** Milliseconds since the epoch, from RFC 3339, or from seconds or milliseconds as a number or a numeric string. */
function epochMs(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  // Seconds would be past the year 5000.
  if (typeof number === 'number') return number > 0 ? (number > 1e11 ? number : number * 1_000) : undefined;
  const parsed = typeof number === 'string' ? Date.parse(inUtc(number.trim())) : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** A time without a zone is in UTC, not in the zone of this process. */
const inUtc = (time: string): string =>
  /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?$/.test(time) ? `${time.replace(' ', 'T')}Z` : time;
