// The values of headers that tell of limits: numbers and times in the units of the catalogue. What is unreadable or absurd is
// undefined: it must keep no one waiting.
import type { ProviderRateLimits } from './api-dialect.ts';
import { isoTimeMs, retryAfterMs } from './retry-after.ts';
import { LIMIT_ABSURD_MS, LIMIT_PAST_MS, LIMIT_SKEW_NOTICED_MS } from './time-limits.ts';

type Reset = NonNullable<ProviderRateLimits['headers']['reset']>;
export type TimeUnit = Reset['unit'];

/** Of a flat list of names and values; names in any case. */
export interface HeaderFields {
  /** Each field line of this name, in its order. */
  lines(name: string): string[];
  /** All of them as one list (RFC 9110 5.3); undefined: there is none. */
  list(name: string): string | undefined;
}

/** Longer lists of windows are no such header. */
const MAX_WINDOWS = 10;
const MAX_LENGTH = 1_000;

/** `headers`: names and values in turn. Few names are looked for in each answer: no index is made. */
export function headerFields(headers: readonly string[]): HeaderFields {
  function lines(name: string): string[] {
    const found: string[] = [];
    const wanted = name.toLowerCase();
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const one = headers[i]!;
      if (one.length === wanted.length && one.toLowerCase() === wanted) found.push(headers[i + 1]!);
    }
    return found;
  }
  return {
    lines,
    list: (name) => {
      const all = lines(name);
      return all.length === 0 ? undefined : all.join(', ');
    },
  };
}

/**
 * The time (since the epoch) that the times of an answer are measured from: by the clock of the API (`Date`, RFC 9110 6.6.1) where
 * that is far from ours, else `now`. The date of a cached answer is that of another one.
 */
export function answeredAt(headers: HeaderFields, now: number): number {
  const [date] = headers.lines('date');
  const aheadMs = date === undefined ? undefined : retryAfterMs(date, now);
  if (date === undefined || aheadMs === undefined || /^\s*\d/.test(date)) return now;
  if (Math.abs(aheadMs) <= LIMIT_SKEW_NOTICED_MS || headers.lines('age').length > 0) return now;
  return now + aheadMs;
}

/** A count or an amount: digits, with or without a fraction. */
export function numberOf(text: string): number | undefined {
  const trimmed = text.trim();
  return /^\d{1,15}(?:\.\d{1,9})?$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** One number for each window, without their parameters (`100;w=60`): `100,1000`. Undefined: it is no such list. */
export function numbersOf(text: string | undefined): number[] | undefined {
  if (text === undefined || text.length > MAX_LENGTH) return undefined;
  const numbers = text.split(',').map((one) => numberOf(one.replace(/;.*$/, '')));
  if (numbers.length > MAX_WINDOWS || numbers.includes(undefined)) return undefined;
  return numbers as number[];
}

/**
 * Milliseconds from `now`, by the unit that the catalogue says. Undefined: unreadable, or so far away that the unit must be
 * another one.
 */
export function timeOf(text: string, unit: TimeUnit, now: number): number | undefined {
  if (unit === 'iso8601') return plausible(isoTimeMs(text, now));
  const number = numberOf(text);
  if (number === undefined) return undefined;
  switch (unit) {
    case 'epoch_s':
      return plausible(number * 1_000 - now);
    case 'epoch_ms':
      return plausible(number - now);
    case 'seconds':
      return plausible(number * 1_000);
    case 'ms':
      return plausible(number);
  }
}

/** Of all field lines of a `Retry-After`, or a header of its kind, the longest that is plausible. */
export function retryAfterOf(lines: readonly string[], now: number): number | undefined {
  const waits = lines
    .flatMap((line) => [retryAfterMs(line, now) ?? isoTimeMs(line, now)])
    .map(plausible)
    .filter((ms) => ms !== undefined);
  return waits.length === 0 ? undefined : Math.max(...waits);
}

/** Not beyond what any vendor's window lasts, nor long ago: a clock may be a little behind. */
export const plausible = (ms: number | undefined): number | undefined =>
  ms !== undefined && Number.isFinite(ms) && ms > -LIMIT_PAST_MS && ms <= LIMIT_ABSURD_MS ? ms : undefined;
