// What is counted by the hour, for charts: kept for a month.
import { HOUR_MS } from './time-limits.ts';

/**
 * `refresh`: refreshes that ended, by outcome. `read`: token reads, by the outcome of their audit entries. `call`: calls
 * through the proxy, by the class of the answer's status (`2xx`), or `failed`: the API did not answer. `webhook`: webhooks
 * of providers that arrived, by what became of them.
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
export const hourOf = (at: number): number => at - (at % HOUR_MS);
