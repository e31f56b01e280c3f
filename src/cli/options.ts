// What options hold, as their commands read them.
import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { Failure, misused } from './failure.ts';

/** For an option that may be given several times. */
export const several = (value: string, before: string[] = []): string[] => [...before, value];

/** `name=value`, several times. */
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

/** Milliseconds of `90s`, `15m`, `1h`, `7d`, `2w`; undefined when it is none. */
function span(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(count) * UNITS[unit as keyof typeof UNITS] * 1_000;
}

const RFC_3339 = /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?$/;

/** A time by RFC 3339, or a span of so long before (-1) or after (1) now; as RFC 3339 in UTC. */
export function moment(text: string, now: number, direction: -1 | 1): string {
  const ms = span(text);
  if (ms !== undefined) return new Date(now + direction * ms).toISOString();
  if (!RFC_3339.test(text) || Number.isNaN(Date.parse(text)))
    throw misused(`"${text}" is no time: give one like 2027-01-31T12:00:00Z, or a span like 90s, 15m, 1h, 7d, 2w`);
  return new Date(text).toISOString();
}

/** A JSON object that was given as text; `what` names it. */
export function jsonObject(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // A parser's message repeats what it read, which may be secret.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw misused(`${what} must be a JSON object, such as {"name":"value"}`);
  return value as Record<string, unknown>;
}

/** What the file of an option holds. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Failure(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** What is left when nothing undefined is. */
export const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
