// What the supervisor and its workers tell each other, over the channel of Node's child processes.
import type { RateLimit } from '../../domain/caller.ts';
import type { CountedRequests } from '../../http/middleware/rate-limits.ts';
import type { CollectedMetrics, WorkersState } from '../../ports/index.ts';

/** The first thing that a worker is told. */
export interface StartMessage {
  kind: 'start';
  /** From 1. A worker that replaces another one has its number. */
  worker: number;
  /** It starts alone, before all others and once: it migrates the database and applies the declarative file. */
  isFirst: boolean;
  /** The files that the settings name, as the supervisor has read them: all workers run with the same. */
  files: Record<string, string>;
  /** Bound by the first worker; undefined: it is the first. */
  ports: { port: number; internalPort: number | undefined } | undefined;
}

export interface ReadyMessage {
  kind: 'ready';
  url: string;
  internalUrl: string | undefined;
  publicUrl: string;
}

export interface RequestToCount {
  callerId: string;
  limit: RateLimit;
}

export type ToWorker =
  | StartMessage
  | { kind: 'counted'; id: number; counts: CountedRequests[] }
  /** To be answered with `collected`. */
  | { kind: 'collect'; id: number }
  | { kind: 'all-collected'; id: number; others: CollectedMetrics[]; workers: WorkersState }
  /** Failed authentications that another worker has counted, by network and kind of credential. */
  | { kind: 'failures'; keys: string[] }
  | { kind: 'ping' };

export type ToSupervisor =
  /** It hears messages from now on. */
  | { kind: 'hello' }
  | ReadyMessage
  | { kind: 'count'; id: number; requests: RequestToCount[] }
  /** `own`: the metrics of the worker that is asked by a scraper. To be answered with `all-collected`. */
  | { kind: 'collect-all'; id: number; own: CollectedMetrics }
  | { kind: 'collected'; id: number; metrics: CollectedMetrics }
  | { kind: 'failures'; keys: string[] }
  | { kind: 'pong' };
