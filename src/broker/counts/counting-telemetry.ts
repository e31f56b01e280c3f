// Telemetry that also counts by the hour: what happens is reported in one place, and both count the same.
import type { Telemetry } from '../../ports/index.ts';
import type { HourlyCounter } from './hourly-counter.ts';

const STATUS = /^\d{3}$/;

/** The class of a status; a code of ours stays as it is. */
const classOf = (outcome: string): string => (STATUS.test(outcome) ? `${outcome[0]}xx` : outcome);

export function countingTelemetry(telemetry: Telemetry, counter: Pick<HourlyCounter, 'note'>): Telemetry {
  return {
    ...telemetry,
    refresh(integration, outcome, lifeLeft) {
      telemetry.refresh(integration, outcome, lifeLeft);
      counter.note('refresh', integration, outcome);
    },
    proxied(integration, method, outcome, seconds, attempts) {
      telemetry.proxied(integration, method, outcome, seconds, attempts);
      counter.note('call', integration, classOf(outcome));
    },
    webhook(integration, outcome) {
      telemetry.webhook(integration, outcome);
      counter.note('webhook', integration, outcome);
    },
  };
}
