// Single flight: one refresh at a time for each connection in this process. A caller that asks meanwhile joins it, and one
// that hangs up stops waiting, nothing else: a refresh belongs to no request.
import { refuse } from '../../domain/errors.ts';
import { READER_WAIT_MS } from '../../domain/time-limits.ts';
import type { RefreshResult } from './concurrent-refresh.ts';
import type { Priority, RateLimiter } from './rate-limiter.ts';

export interface SingleFlight {
  /**
   * Joins the refresh of this connection, or begins it with `refresh`. Background work that a `read` joins is prioritized.
   * Rejects as `refresh` does.
   */
  run(id: string, priority: Priority, refresh: () => Promise<RefreshResult>): Promise<RefreshResult>;
  /** The same for a reader, with `provider_unavailable` after `READER_WAIT_MS`: the refresh continues. */
  runForReader(id: string, refresh: () => Promise<RefreshResult>): Promise<RefreshResult>;
  /** The refresh enters the queue of this integration in the rate limiter. */
  queued(id: string, integration: string): void;
  /** How many refreshes are under way. */
  count(): number;
  /** Resolves when those that are under way now have ended. */
  drain(): Promise<void>;
}

interface Flight {
  result: Promise<RefreshResult>;
  /** Undefined until it enters the queue of its integration. */
  integration?: string;
}

export function createSingleFlight(rateLimiter: Pick<RateLimiter, 'prioritize'>): SingleFlight {
  const flights = new Map<string, Flight>();

  function run(id: string, priority: Priority, refresh: () => Promise<RefreshResult>): Promise<RefreshResult> {
    const running = flights.get(id);
    if (running) {
      if (priority === 'read' && running.integration) rateLimiter.prioritize(running.integration, id);
      return running.result;
    }
    const result = Promise.resolve()
      .then(refresh)
      .finally(() => flights.delete(id));
    flights.set(id, { result });
    return result;
  }

  return {
    run,

    async runForReader(id, refresh) {
      const result = run(id, 'read', refresh);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<RefreshResult>((resolve) => {
        timer = setTimeout(() => {
          const integration = flights.get(id)?.integration ?? '';
          const detail = 'the refresh takes longer than a read waits for it';
          resolve(refuse({ code: 'provider_unavailable', integration, detail, retryAfter: 1 }));
        }, READER_WAIT_MS);
      });
      try {
        return await Promise.race([result, late]);
      } finally {
        clearTimeout(timer);
      }
    },

    queued(id, integration) {
      const flight = flights.get(id);
      if (flight) flight.integration = integration;
    },
    count: () => flights.size,
    async drain() {
      await Promise.allSettled([...flights.values()].map(({ result }) => result));
    },
  };
}
