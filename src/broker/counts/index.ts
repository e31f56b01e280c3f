// The counts room: what happened by the hour, for charts.
export { countingTelemetry } from './counting-telemetry.ts';
export { createHourlyCounter, type HourlyCounter } from './hourly-counter.ts';
export { hourlyHistoryReader, type ReadHourlyHistory } from './hourly-history.ts';
