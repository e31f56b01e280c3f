// Retry-After (RFC 9110 10.2.3): how long a server asks to wait, in the forms that servers use. Which form it is shows in how
// it is written, never in the size of a number.

/** The forms of an HTTP-date all name a month and a time of day (RFC 9110 5.6.7). `Date.parse` would read "-5" as a date too. */
const HTTP_DATE = /\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d\d:\d\d/i;
const ISO_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?$/i;
/** Longer texts are no value of a header that says how long to wait. */
const MAX_LENGTH = 200;

/**
 * Milliseconds from `now` (since the epoch), negative for a date in the past, and not bounded: seconds with or without a
 * fraction, of several the longest, or an HTTP-date. Undefined when it is unreadable.
 */
export function retryAfterMs(value: string, now: number): number | undefined {
  const text = value.trim();
  if (text.length > MAX_LENGTH) return undefined;
  if (HTTP_DATE.test(text)) {
    // The form of asctime names no zone, and is in UTC like the others.
    return untilMs(Date.parse(/gmt|utc|z$|[+-]\d{4}$/i.test(text) ? text : `${text} GMT`), now);
  }
  const seconds = text.split(',').map((one) => one.trim());
  if (!seconds.every((one) => /^\d+(?:\.\d+)?$/.test(one))) return undefined;
  return Math.max(...seconds.map(Number)) * 1_000;
}

/** As `retryAfterMs`, of a time in the form of ISO 8601; without a zone it is in UTC. */
export function isoTimeMs(value: string, now: number): number | undefined {
  const text = value.trim();
  if (text.length > MAX_LENGTH || !ISO_TIME.test(text)) return undefined;
  const time = text.replace(' ', 'T').replace(',', '.');
  return untilMs(Date.parse(/(?:z|[+-]\d\d:?\d\d)$/i.test(time) ? time : `${time}Z`), now);
}

const untilMs = (at: number, now: number): number | undefined => (Number.isNaN(at) ? undefined : at - now);
