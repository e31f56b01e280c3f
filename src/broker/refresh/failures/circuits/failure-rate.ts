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
  /** `connections`: of so many different ones at least, of each of which that share fails too. */
  isTooHigh(connections: number, now: number): boolean;
  clear(): void;
}

const SLICES = 10;
/** Of a slice. Enough to tell one from several. */
const MAX_CONNECTIONS = 64;
/** One failure of a connection says nothing. */
const MIN_FAILURES = 2;

interface Counts {
  requests: number;
  failures: number;
}

interface Slice extends Counts {
  at: number;
  connections: Map<string, Counts>;
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
    const slice = { at, requests: 0, failures: 0, connections: new Map<string, Counts>() };
    slices.push(slice);
    return slice;
  }

  /** How many connections have that share of failures, too. */
  function failing(): number {
    const all = new Map<string, Counts>();
    for (const slice of slices)
      for (const [connection, own] of slice.connections) {
        const total = all.get(connection) ?? { requests: 0, failures: 0 };
        total.requests += own.requests;
        total.failures += own.failures;
        all.set(connection, total);
      }
    return [...all.values()].filter((own) => own.failures >= Math.max(MIN_FAILURES, share * own.requests)).length;
  }

  return {
    note(connection, isFailure, now) {
      const slice = current(now);
      add(slice, isFailure);
      const known = slice.connections.get(connection);
      const own = known ?? { requests: 0, failures: 0 };
      add(own, isFailure);
      if (!known && slice.connections.size < MAX_CONNECTIONS) slice.connections.set(connection, own);
    },
    isTooHigh(connections, now) {
      current(now);
      const sum = (of: (slice: Slice) => number) => slices.reduce((total, slice) => total + of(slice), 0);
      const all = sum((slice) => slice.requests);
      if (all < requests || sum((slice) => slice.failures) < share * all) return false;
      return failing() >= connections;
    },
    clear() {
      slices = [];
    },
  };
}

function add(counts: Counts, isFailure: boolean): void {
  counts.requests++;
  if (isFailure) counts.failures++;
}
