// Waiting for events: one look at the feed for all who wait in this process, woken by its own commits, and otherwise now and then
// for those of others.
import type { StoredEvent } from '../../../domain/events.ts';
import { EVENT_FEED_POLL_MS } from '../../../domain/time-limits.ts';
import type { EventStore, Logger } from '../../../ports/index.ts';

export interface EventWatch {
  /**
   * Waits for an event after this place that is of interest, for `ms` at most. Returns the place up to which none is: what comes
   * after it has to be looked at, unless the time is over. At once when stopped, or when the signal is aborted.
   */
  wait(from: number, isOfInterest: (event: StoredEvent) => boolean, ms: number, signal: AbortSignal): Promise<number>;
  /** Ends all waits; later ones end at once. */
  stop(): void;
  isStopped(): boolean;
}

interface Waiter {
  isOfInterest: (event: StoredEvent) => boolean;
  /** The place up to which it has seen everything. */
  from: number;
  end: () => void;
}

/** Events in one look, of which each has up to a quarter of a megabyte. */
const STEP = 100;
/** Beyond, those who wait look for themselves. */
const MAX_STEPS = 10;

interface Parts {
  store: Pick<EventStore, 'onEvents' | 'eventHorizon' | 'eventsBetween'>;
  log: Logger;
  /** How often it looks for events of other processes, in ms. */
  everyMs?: number | undefined;
}

export function createEventWatch({ store, log, everyMs = EVENT_FEED_POLL_MS }: Parts): EventWatch {
  const waiters = new Set<Waiter>();
  let timer: NodeJS.Timeout | undefined;
  let forget: (() => void) | undefined;
  let isLooking = false;
  let mustLookAgain = false;
  let isStopped = false;

  /** Never rejects. */
  async function look(): Promise<void> {
    if (isLooking) {
      mustLookAgain = true;
      return;
    }
    isLooking = true;
    try {
      do {
        mustLookAgain = false;
        await lookOnce();
      } while (mustLookAgain && waiters.size > 0);
    } catch (error) {
      log.warn({ err: error }, 'event feed: looking for new events failed, will retry');
    } finally {
      isLooking = false;
    }
  }

  async function lookOnce(): Promise<void> {
    const horizon = await store.eventHorizon();
    let after = Math.min(...[...waiters].map(({ from }) => from));
    for (let steps = 0; after < horizon; steps++) {
      if (steps === MAX_STEPS) {
        for (const waiter of waiters) if (waiter.from < horizon) waiter.end();
        return;
      }
      const events = await store.eventsBetween(after, horizon, undefined, STEP);
      const reached = events.length < STEP ? horizon : events.at(-1)!.position;
      for (const waiter of waiters) {
        if (waiter.from >= reached) continue;
        if (events.some((event) => event.position > waiter.from && waiter.isOfInterest(event))) waiter.end();
        // It may have come after this look began, and have seen less.
        else if (waiter.from >= after) waiter.from = reached;
      }
      after = reached;
    }
  }

  function update(): void {
    if (waiters.size > 0 && !timer) {
      timer = setInterval(() => void look(), everyMs);
      forget = store.onEvents(() => void look());
    }
    if (waiters.size === 0 && timer) {
      clearInterval(timer);
      forget?.();
      timer = undefined;
    }
  }

  return {
    async wait(from, isOfInterest, ms, signal) {
      if (isStopped || signal.aborted || ms <= 0) return from;
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiter: Waiter = { isOfInterest, from, end: resolve };
      const late = setTimeout(resolve, ms);
      const onAbort = () => resolve();
      signal.addEventListener('abort', onAbort);
      waiters.add(waiter);
      update();
      // What was committed between the look at the feed and this moment woke no one.
      void look();
      await promise;
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
      waiters.delete(waiter);
      update();
      return waiter.from;
    },
    stop() {
      isStopped = true;
      for (const { end } of waiters) end();
    },
    isStopped: () => isStopped,
  };
}
