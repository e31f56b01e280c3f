// Times as the API shows them (RFC 3339).
import { LAST_TIME_MS } from '../../domain/time-range.ts';

/** What lies beyond RFC 3339, such as the `exp` of a workload's token, is shown as its last time. */
export const time = (ms: number): string => new Date(Math.min(ms, LAST_TIME_MS)).toISOString();
export const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms));
