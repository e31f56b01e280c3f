// The times that can be written as RFC 3339 has them, with four digits for the year. Milliseconds since the epoch.

export const FIRST_TIME_MS = Date.parse('0000-01-01T00:00:00.000Z');
export const LAST_TIME_MS = Date.parse('9999-12-31T23:59:59.999Z');

/** False for what is not a number, too. */
export const isInTimeRange = (ms: number): boolean => ms >= FIRST_TIME_MS && ms <= LAST_TIME_MS;
