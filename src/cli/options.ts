// Parsers of option values.
import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { Failure, misused } from './failure.ts';

/** For a repeatable option. */
export const several = (value: string, before: string[] = []): string[] => [...before, value];

/** For a repeatable `name=value` option. */
export function pairs(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be name=value.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const;

/** Milliseconds of `90s`, `15m`, `1h`, `7d` or `2w`; undefined if it is not a duration. */
export function duration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(count) * UNITS[unit as keyof typeof UNITS] * 1_000;
}

/** Whole seconds of a duration such as `15m`, or of a number of seconds. */
export function secondsOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const ms = duration(text);
  if (ms === undefined) throw new InvalidArgumentError('It must be a duration, such as 90s or 15m.');
  return ms / 1_000;
}

const RFC_3339 = /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?$/;

/** Parses an RFC 3339 time, or a duration before (-1) or after (1) now. Returns RFC 3339 in UTC. */
export function moment(text: string, now: number, direction: -1 | 1): string {
  const ms = duration(text);
  if (ms !== undefined) return new Date(now + direction * ms).toISOString();
  if (!RFC_3339.test(text) || Number.isNaN(Date.parse(text)))
    throw misused(
      `"${text}" is not a time: use one such as 2027-01-31T12:00:00Z, or a duration such as 90s, 15m, 1h, 7d, 2w`,
    );
  return new Date(text).toISOString();
}

/** Parses a JSON object; `what` names it in the error. */
export function jsonObject(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would repeat the input, which may be secret.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw misused(`${what} must be a JSON object, such as {"name":"value"}`);
  return value as Record<string, unknown>;
}

/** The content of a file named by an option. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Failure(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Without the undefined members. */
export const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** `a,b`: several ids in one option. */
export const idsOf = (text: string): string[] =>
  text
    .split(',')
    .map((id) => id.trim())
    .filter(Boolean);
