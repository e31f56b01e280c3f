// Single flight: one refresh at a time for each connection in this process. A caller that asks meanwhile joins it, and one
// that hangs up stops waiting, nothing else: a refresh belongs to no request.
import { withDeadline } from '../../domain/deadline.ts';
import type { Refusal } from '../../domain/errors.ts';
import { refuse } from '../../domain/errors.ts';
import { MIN_RETRY_AFTER_MS, READER_WAIT_MS, SLOW_RETRY_AFTER_MS } from '../../domain/time-limits.ts';
import type { RefreshResult } from './concurrent-refresh.ts';
import type { RateLimiter } from './limits/rate-limiter.ts';
import type { Priority } from './limits/work-queue.ts';

export interface SingleFlight {
  /**
   * Joins the refresh of this connection, or begins it with `refresh`. Background work that a `read` joins is prioritized.
   * Rejects as `refresh` does.
   */
  run(id: string, priority: Priority, refresh: () => Promise<RefreshResult>): Promise<RefreshResult>;
  /**
   * The same for a reader that has seen this generation, with `provider_unavailable` after `READER_WAIT_MS`, or at once when
   * the refresh is slow: it continues. A slow refresh of an older generation is not joined: its connection was connected again.
   */
  runForReader(seen: { id: string; generation: number }, refresh: () => Promise<RefreshResult>): Promise<RefreshResult>;
  /** The refresh of this generation enters the queue of its integration in the rate limiter. */
  queued(id: string, of: { integration: string; generation: number }): void;
  /** The refresh under way has waited for its provider for so long that no one else should wait for it. */
  isSlow(id: string): void;
  /** How many refreshes are under way. */
  count(): number;
  /** Resolves when those that are under way now have ended. */
  drain(): Promise<void>;
}

interface Flight {
  result: Promise<RefreshResult>;
  /** Undefined until it enters the queue of its integration. */
  of?: { integration: string; generation: number };
  isSlow: boolean;
}

export function createSingleFlight(rateLimiter: Pick<RateLimiter, 'prioritize'>): SingleFlight {
  /** The newest of each connection. */
  const flights = new Map<string, Flight>();
  const underWay = new Set<Flight>();

  function join(running: Flight, id: string, priority: Priority): Promise<RefreshResult> {
    if (priority === 'read' && running.of) rateLimiter.prioritize(running.of.integration, id);
    return running.result;
  }

  function begin(id: string, refresh: () => Promise<RefreshResult>): Promise<RefreshResult> {
    async function run(): Promise<RefreshResult> {
      await undefined;
      try {
        return await refresh();
      } finally {
        underWay.delete(flight);
        if (flights.get(id) === flight) flights.delete(id);
      }
    }
    const flight: Flight = { result: run(), isSlow: false };
    underWay.add(flight);
    flights.set(id, flight);
    return flight.result;
  }

  function tooSlow(id: string): Refusal {
    const flight = flights.get(id);
    const detail = 'the refresh takes longer than a read waits for it';
    const retryAfter = (flight?.isSlow ? SLOW_RETRY_AFTER_MS : MIN_RETRY_AFTER_MS) / 1_000;
    return refuse({ code: 'provider_unavailable', integration: flight?.of?.integration ?? '', detail, retryAfter });
  }

  return {
    run(id, priority, refresh) {
      const running = flights.get(id);
      return running ? join(running, id, priority) : begin(id, refresh);
    },

    async runForReader({ id, generation }, refresh) {
      const running = flights.get(id);
      // Its connection was connected again: the claim of the slow refresh counts no more.
      const isOutdated = running?.isSlow && running.of !== undefined && running.of.generation < generation;
      if (running?.isSlow && !isOutdated) return tooSlow(id);
      const result = running && !isOutdated ? join(running, id, 'read') : begin(id, refresh);
      return withDeadline(READER_WAIT_MS, result, () => tooSlow(id));
    },

    queued(id, of) {
      const flight = flights.get(id);
      if (!flight) return;
      flight.of = of;
      flight.isSlow = false;
    },
    isSlow(id) {
      const flight = flights.get(id);
      if (flight) flight.isSlow = true;
    },
    count: () => underWay.size,
    async drain() {
      await Promise.allSettled(Array.from(underWay, ({ result }) => result));
    },
  };
}
