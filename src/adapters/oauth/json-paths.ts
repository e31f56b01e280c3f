// What is read of JSON responses at the catalogue's paths: captured values, texts, durations.

import type { Json } from '../../domain/json.ts';
import { isTooDeep } from '../../domain/json-depth.ts';
import { at } from '../../domain/json-path.ts';

/** The value at each path, by name; names without a value, or with one that cannot be stored, are omitted. */
export const capture = (value: unknown, paths: Record<string, string>): Json =>
  Object.fromEntries(
    Object.entries(paths)
      .map(([name, path]): [string, unknown] => [name, storable(at(value, path))])
      .filter(([, found]) => found !== null),
  );

/** What is captured is shown with every connection, and no more than this is. */
const MAX_CAPTURED_LENGTH = 64 * 1024;

/** As it will be read back from the store: JSON has no infinite numbers. Null: it cannot be stored. */
function storable(value: unknown): unknown {
  if (value === undefined || isTooDeep(value)) return null;
  const json = JSON.stringify(value);
  return json.length > MAX_CAPTURED_LENGTH ? null : JSON.parse(json);
}

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
