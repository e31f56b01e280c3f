// What remains of a limit, as the headers of an answer tell: by the catalogue's names and units, in the standard fields, or as
// what is used.
import { parseDictionary, parseList } from 'structured-headers';
import type { ProviderRateLimits } from './api-dialect.ts';
import { parseJson } from './json.ts';
import { type HeaderFields, numberOf, numbersOf, plausible, timeOf } from './limit-values.ts';

/** One window of a limit. */
export interface LimitWindow {
  /** Undefined: not told. */
  limit: number | undefined;
  /** Undefined: it is told when the window ends, and not what remains of it. */
  remaining: number | undefined;
  /** Milliseconds until it begins again; undefined: not told. */
  resetMs: number | undefined;
}

/** Longer fields are not parsed: they are no list of a few limits. */
const MAX_LENGTH = 1_000;
const MAX_JSON_LENGTH = 10_000;
const MAX_JSON_NODES = 1_000;

/** All windows that the headers tell of. */
export function windowsOf(dialect: ProviderRateLimits | undefined, headers: HeaderFields, now: number): LimitWindow[] {
  const own = dialect ? namedWindows(dialect.headers, headers, now) : [];
  const standard = own.length > 0 ? [] : [...structuredWindows(headers), ...olderWindows(dialect, headers, now)];
  const used = dialect?.usage.flatMap((usage) => usageWindows(usage, headers, now)) ?? [];
  return [...own, ...standard, ...used];
}

/** By the names and units of the catalogue. */
function namedWindows(names: ProviderRateLimits['headers'], headers: HeaderFields, now: number): LimitWindow[] {
  const { limit, remaining = [], reset, window } = names;
  const limits = limit?.map((name) => numbersOf(headers.list(name))).find((found) => found !== undefined) ?? [];
  const left = remaining.map((name) => numbersOf(headers.list(name))).filter((found) => found !== undefined);
  const resets = reset ? timesOf(headers.list(reset.name), (one) => timeOf(one, reset.unit, now)) : [];
  const lengths = window ? timesOf(headers.list(window.name), (one) => timeOf(one, window.unit, now)) : [];
  const ends = resets.length > 0 ? resets : lengths;
  if (left.length === 0) return ends.map((resetMs, i) => ({ limit: limits[i], remaining: undefined, resetMs }));
  // Several numbers in one header are several windows, and so are several headers. One reset is that of all of them.
  return left.flatMap((numbers) =>
    numbers.map((one, i) => ({
      limit: limits[i],
      remaining: one,
      resetMs: numbers.length === ends.length ? ends[i] : longest(ends),
    })),
  );
}

const timesOf = (list: string | undefined, read: (one: string) => number | undefined): number[] =>
  list === undefined || list.length > MAX_LENGTH
    ? []
    : list.split(',').flatMap((one) => {
        const ms = read(one.trim());
        return ms === undefined ? [] : [ms];
      });

const longest = (times: readonly number[]): number | undefined => (times.length === 0 ? undefined : Math.max(...times));

/**
 * `RateLimit: "default";r=50;t=30` (draft-ietf-httpapi-ratelimit-headers), and the form of its earlier drafts:
 * `limit=100, remaining=50, reset=30`. Both are in seconds from now.
 */
function structuredWindows(headers: HeaderFields): LimitWindow[] {
  const field = headers.list('ratelimit');
  if (field === undefined || field.length > MAX_LENGTH) return [];
  const quotas = quotasOf(headers.list('ratelimit-policy'));
  const items = parsed(() => parseList(field)) ?? [];
  const windows = items.flatMap(([name, params]): LimitWindow[] => {
    const remaining = amount(params.get('r'));
    if (remaining === undefined) return [];
    return [{ limit: quotas.get(String(name)), remaining, resetMs: secondsMs(amount(params.get('t'))) }];
  });
  if (windows.length > 0) return windows;
  const members = parsed(() => parseDictionary(field));
  const value = (name: string) => amount(members?.get(name)?.[0]);
  const remaining = value('remaining');
  return remaining === undefined ? [] : [{ limit: value('limit'), remaining, resetMs: secondsMs(value('reset')) }];
}

/** `RateLimit-Policy: "default";q=100;w=60`: the quota of each policy by its name. */
function quotasOf(field: string | undefined): Map<string, number | undefined> {
  if (field === undefined || field.length > MAX_LENGTH) return new Map();
  const items = parsed(() => parseList(field)) ?? [];
  return new Map(items.map(([name, params]) => [String(name), amount(params.get('q'))]));
}

/** `RateLimit-Remaining` and `RateLimit-Reset`, in seconds from now, unless the catalogue reads them in another way. */
function olderWindows(dialect: ProviderRateLimits | undefined, headers: HeaderFields, now: number): LimitWindow[] {
  const { limit, remaining, reset } = dialect?.headers ?? {};
  if (limit || remaining || reset) return [];
  return namedWindows(
    {
      limit: ['RateLimit-Limit'],
      remaining: ['RateLimit-Remaining'],
      reset: { name: 'RateLimit-Reset', unit: 'seconds' },
    },
    headers,
    now,
  );
}

/** What is used instead of what remains. */
function usageWindows(usage: ProviderRateLimits['usage'][number], headers: HeaderFields, now: number): LimitWindow[] {
  const text = headers.list(usage.header);
  if (text === undefined) return [];
  switch (usage.format) {
    case 'used_of_max': {
      const after = text
        .slice(0, MAX_LENGTH)
        .split(usage.prefix)
        .slice(usage.prefix === '' ? 0 : 1)
        .join('');
      const [, used, max] =
        /(\d{1,15})\/(\d{1,15})/.exec(usage.prefix === '' ? text.slice(0, MAX_LENGTH) : after) ?? [];
      if (used === undefined || max === undefined) return [];
      return [{ limit: Number(max), remaining: Math.max(0, Number(max) - Number(used)), resetMs: undefined }];
    }
    case 'lists': {
      const used = numbersOf(text);
      const limits = numbersOf(headers.list(usage.limits));
      if (!used || !limits || used.length !== limits.length) return [];
      return used.map((one, i) => ({
        limit: limits[i],
        remaining: Math.max(0, limits[i]! - one),
        resetMs: usage.windows[i] === undefined ? undefined : untilMultiple(usage.windows[i], now),
      }));
    }
    case 'percent_json': {
      const { percent, waitMs } = percentOf(text, usage);
      if (percent === undefined) return [];
      return [{ limit: 100, remaining: Math.max(0, 100 - percent), resetMs: plausible(waitMs) }];
    }
  }
}

/** Milliseconds until the next multiple of so many seconds, in UTC. */
export const untilMultiple = (seconds: number, now: number): number => seconds * 1_000 - (now % (seconds * 1_000));

/** The highest percentage, and the longest wait, at any depth. */
function percentOf(
  text: string,
  { members, wait }: Extract<ProviderRateLimits['usage'][number], { format: 'percent_json' }>,
): { percent: number | undefined; waitMs: number | undefined } {
  let [percent, waitMs]: (number | undefined)[] = [];
  const open: unknown[] = [text.length > MAX_JSON_LENGTH ? undefined : parseJson(text)];
  for (let seen = 0; open.length > 0 && seen < MAX_JSON_NODES; seen++) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, member] of Object.entries(value)) {
      const number = amount(member);
      if (number === undefined) open.push(member);
      else if (members.includes(name)) percent = Math.max(percent ?? 0, number);
      else if (wait?.member === name && number > 0)
        waitMs = Math.max(waitMs ?? 0, number * (wait.unit === 'minutes' ? 60_000 : 1_000));
    }
  }
  return { percent, waitMs };
}

/** A number that is none below zero, or a text of one. */
export function amount(value: unknown): number | undefined {
  if (typeof value === 'string') return numberOf(value);
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

const secondsMs = (seconds: number | undefined): number | undefined =>
  plausible(seconds === undefined ? undefined : seconds * 1_000);

/** Undefined: it does not parse. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
