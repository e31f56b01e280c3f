// Retry-After (RFC 9110 10.2.3): how long a provider asks to wait.
import { RETRY_AFTER_REMEMBERED_MAX_MS } from '../../domain/time-limits.ts';

const MAX_SECONDS = RETRY_AFTER_REMEMBERED_MAX_MS / 1_000;
/** The forms of an HTTP-date all name a month and a time of day (RFC 9110 5.6.7). `Date.parse` would read "-5" as a date too. */
const HTTP_DATE = /\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d\d:\d\d/i;

/**
 * Whole seconds, at most `RETRY_AFTER_REMEMBERED_MAX_MS`; of several values, the longest. Undefined when it is absent or unreadable. A
 * date in the past asks for nothing: 0. `now` in milliseconds since the epoch.
 */
export function parseRetryAfter(value: string | null, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (HTTP_DATE.test(text)) {
    // The form of asctime names no zone, and is in UTC like the others.
    const at = Date.parse(/gmt|utc|z$|[+-]\d{4}$/i.test(text) ? text : `${text} GMT`);
    return Number.isNaN(at) ? undefined : bounded((at - now) / 1_000);
  }
  const seconds = text.split(',').map((one) => one.trim());
  if (!seconds.every((one) => /^\d+(?:\.\d+)?$/.test(one))) return undefined;
  return bounded(Math.max(...seconds.map(Number)));
}

const bounded = (seconds: number): number => Math.min(Math.max(0, Math.ceil(seconds)), MAX_SECONDS);
