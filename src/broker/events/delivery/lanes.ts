// The lanes of deliveries: how many attempts are under way at once, of one endpoint and of all. An endpoint that hangs takes
// one lane; a thousand of them leave room for the others.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { ENDPOINT_SLOW_MS } from '../../../domain/time-limits.ts';

export interface Lane {
  endpoint: string;
  /** Ends the use of the lane; without effect the second time. `ms`: how long the attempt took; undefined: none was made. */
  release(ms?: number): void;
}

export interface Lanes {
  /** All that this endpoint may use now: up to `most`. */
  take(endpoint: string, most: number): Lane[];
  /** Whether others wait for the next lane that becomes free. */
  isFull(): boolean;
  used(): number;
}

/** Of an endpoint whose last attempt was fast. */
const OF_FAST = 8;
/** Of one that is slow, or not known yet. */
const OF_OTHERS = 1;
/** Of all endpoints: each holds a socket and the body of one event. */
const OF_ALL = 2_048;
const MAX_KNOWN = 10_000;

export function createLanes(): Lanes {
  const used = new Map<string, number>();
  const fast = new LRUCache<string, true>(upTo(MAX_KNOWN));
  let all = 0;

  /** When half of them are taken, the rest is for endpoints that have none. */
  const limitOf = (endpoint: string) => (all < OF_ALL / 2 && fast.has(endpoint) ? OF_FAST : OF_OTHERS);

  function lane(endpoint: string): Lane {
    used.set(endpoint, (used.get(endpoint) ?? 0) + 1);
    all++;
    let isReleased = false;
    return {
      endpoint,
      release(ms) {
        if (isReleased) return;
        isReleased = true;
        all--;
        const left = (used.get(endpoint) ?? 1) - 1;
        if (left > 0) used.set(endpoint, left);
        else used.delete(endpoint);
        if (ms === undefined) return;
        if (ms < ENDPOINT_SLOW_MS) fast.set(endpoint, true);
        else fast.delete(endpoint);
      },
    };
  }

  return {
    take(endpoint, most) {
      const lanes: Lane[] = [];
      while (lanes.length < most && all < OF_ALL && (used.get(endpoint) ?? 0) < limitOf(endpoint))
        lanes.push(lane(endpoint));
      return lanes;
    },
    isFull: () => all >= OF_ALL,
    used: () => all,
  };
}
