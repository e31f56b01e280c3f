// Metrics and logs. Labels and fields are ids and codes, never secrets. No method throws.

import type { SessionEnd } from '../domain/agent-session.ts';
import type { UpstreamRevocation } from '../domain/connection.ts';
import type { UpstreamLimitScope } from '../domain/errors.ts';
import type { EventType } from '../domain/events.ts';
import type { DeliveryStatus, DisabledReason } from '../domain/webhook-endpoint.ts';
import type { ConnectionCount } from './counter-store.ts';
import type { DatabaseWaits } from './store.ts';

export interface Telemetry {
  request(route: string, method: string, status: number, seconds: number): void;
  /** `lifeLeft`: seconds until the replaced token would have expired; null when it does not expire. */
  refresh(integration: string, outcome: string, lifeLeft: number | null): void;
  cache(outcome: 'hit' | 'miss'): void;
  /**
   * A call through the proxy that was answered or has failed. `outcome`: the status, or the code of our problem. `seconds`: until
   * the first byte, waits and attempts included.
   */
  proxied(integration: string, method: string, outcome: string, seconds: number, attempts: number): void;
  /** `outcome`: `ok`, or why the connect flow ended. */
  connect(integration: string, outcome: string): void;
  /** A check of a connection. `outcome`: `ok`, or why it failed. */
  check(integration: string, outcome: string): void;
  /** One attempt at a provider; `pending`: there will be another. */
  revocation(integration: string, outcome: UpstreamRevocation): void;
  /** A webhook of a third party. `integration` empty: there is none of that name. `outcome`: what became of it, or why it was refused. */
  webhook(integration: string, outcome: string): void;
  /** One attempt to send an event to a webhook endpoint; `failing`: there will be another. */
  delivery(outcome: DeliveryStatus): void;
  /** The broker has disabled a webhook endpoint. */
  endpointDisabled(reason: DisabledReason): void;
  /** An event was stored by this process. */
  event(type: EventType): void;
  agentSessionMade(): void;
  agentSessionsEnded(reason: SessionEnd, count: number): void;
  /** A signal arrived. `outcome`: `taken`, `duplicate`, `refused`, `unavailable`, `full`, … */
  signal(integration: string, outcome: string): void;
  /** What one event of a signal came to. `type`: of `shortTypeOf`. */
  signalProcessed(integration: string, type: string, outcome: 'located' | 'unmatched' | 'stream' | 'dead'): void;
  /** A call through the proxy met a limit. `told`: the API said so. `refused`: it was not sent. */
  upstreamLimited(integration: string, scope: UpstreamLimitScope, outcome: 'told' | 'refused'): void;
  /** A store operation was rejected; `operation` is the name of the method. */
  storeError(operation: string): void;
  /** A row of this table does not verify, or a secret of it does not open. */
  rowRefused(table: string): void;
  /** Prometheus text, with the gauges as given. */
  render(state: MetricsState): Promise<string>;
  /** The same for another process, which merges it with its own. */
  collect(state: MetricsState): Promise<CollectedMetrics>;
}

/** The metrics of one process: plain values that can be sent to another one. */
export type CollectedMetrics = readonly object[];

/** The worker processes of this deployment on this machine. */
export interface WorkersState {
  wanted: number;
  running: number;
  /** Those that were started in the place of one that had ended. */
  restarts: number;
}

/** Gauges, read when metrics are scraped. */
export interface MetricsState {
  connections: ConnectionCount[];
  /** Since they were counted; null: they are not. */
  connectionsAgeMs: number | null;
  /** Refreshes that are due; `oldestMs`: for how long the oldest has been. */
  due: { integration: string; count: number; oldestMs: number }[];
  /** Refreshes that are due by the end of the window, divided by those that the rate allows in it. */
  refreshLoad: { integration: string; window: '5m' | '1h'; ratio: number }[];
  databaseWaits: DatabaseWaits;
  /** Refreshes that hold a permit. */
  inFlight: number;
  /** 0 closed, 0.5 half-open, 1 open. */
  circuitBreakers: { integration: string; state: 0 | 0.5 | 1 }[];
  /** Calls that wait for a limit of an API. */
  upstreamWaiting: { integration: string; count: number }[];
  /** The hosts of APIs whose breaker is not closed: 0.25 recovering, 0.5 half-open, 1 open. */
  upstreamBreakers: { integration: string; host: string; scope: 'all' | 'caller'; state: 0.25 | 0.5 | 1 }[];
  /** Whether the store accepts writes. */
  storeUp: boolean;
  /** Milliseconds since the change feed was last read successfully. */
  changeFeedLagMs: number;
  /** Whether rows that are not authenticated are refused. */
  rowsEnforced: boolean;
  /** Provider answers in the rescue file. */
  rescued: number;
  /** Received webhooks that wait to be processed; `oldestMs`: for how long the oldest has. */
  inbox: { open: number; oldestMs: number };
  /** Deliveries of events: open ones, for how long the oldest has been, dead ones, and disabled endpoints; null: not known. */
  deliveries: { open: number; oldestMs: number; dead: number; disabledEndpoints: number } | null;
  /** Jobs that have not ended, of which some fail, and those that were given up within the hour; null: not known. */
  jobs: { open: number; failing: number; failed: number } | null;
  /** Agent sessions that can be used; null: not known. */
  agentSessions: number | null;
  /** Audit entries that are not written yet, and those that were dropped since the start. */
  audit: { waiting: number; lost: number };
}

export interface Logger {
  /** Whether such a line would be written: where making it costs more than a moment. Undefined: it is. */
  isLevelEnabled?(level: 'debug'): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
