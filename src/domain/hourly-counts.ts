// What is counted by the hour, for charts: kept for a month.
import { COUNTED_PERIOD_MS } from './time-limits.ts';

/**
 * Outcomes are those of the metrics. `refresh`: refreshes that ended: `ok`, or why not. `read`: token reads that were
 * allowed, `ok`. `call`: calls through the proxy, by the class of the API's status (`2xx`), or the code of our problem.
 * `webhook`: webhooks of providers: `received`, then what became of them, or why they were refused.
 */
export type HourlyMetric = 'refresh' | 'read' | 'call' | 'webhook';

export interface HourlyCount {
  /** When the hour began, in ms since the epoch. */
  hour: number;
  /** Empty: of none. */
  integration: string;
  metric: HourlyMetric;
  outcome: string;
  count: number;
}

/** When the hour of this moment began. */
export const hourOf = (at: number): number => at - (at % COUNTED_PERIOD_MS);
