// The share of requests that failed within the last seconds, in a sliding window of slices.

export interface FailureRateLimits {
  windowMs: number;
  /** Of fewer requests, the share says nothing. */
  requests: number;
  /** Of the requests, from which on they are too many. */
  share: number;
}

export interface FailureRate {
  note(connection: string, isFailure: boolean, now: number): void;
  /** `connections`: of so many different ones at least. */
  isTooHigh(connections: number, now: number): boolean;
  clear(): void;
}

const SLICES = 10;
/** Enough to tell one from several. */
const MAX_CONNECTIONS = 16;

interface Slice {
  at: number;
  requests: number;
  failures: number;
  connections: Set<string>;
}

/** Times are milliseconds of a clock that never runs backwards. */
export function createFailureRate({ windowMs, requests, share }: FailureRateLimits): FailureRate {
  const sliceMs = windowMs / SLICES;
  let slices: Slice[] = [];

  function current(now: number): Slice {
    const at = Math.floor(now / sliceMs);
    const last = slices.at(-1);
    if (last?.at === at) return last;
    slices = slices.filter((slice) => slice.at > at - SLICES);
    const slice = { at, requests: 0, failures: 0, connections: new Set<string>() };
    slices.push(slice);
    return slice;
  }

  return {
    note(connection, isFailure, now) {
      const slice = current(now);
      slice.requests++;
      if (!isFailure) return;
      slice.failures++;
      if (slice.connections.size < MAX_CONNECTIONS) slice.connections.add(connection);
    },
    isTooHigh(connections, now) {
      current(now);
      const sum = (of: (slice: Slice) => number) => slices.reduce((total, slice) => total + of(slice), 0);
      const all = sum((slice) => slice.requests);
      if (all < requests || sum((slice) => slice.failures) < share * all) return false;
      return new Set(slices.flatMap((slice) => [...slice.connections])).size >= connections;
    },
    clear() {
      slices = [];
    },
  };
}
