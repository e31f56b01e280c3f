// The queue of a limit that callers share: callers in turn, the connections of each in turn, and the calls of each connection
// in their order. None waits behind the backlog of another, and a caller gains nothing by having many connections.
import { createFairQueue, type FairQueue } from './fair-queue.ts';

export interface Queued {
  caller: string;
  connection: string;
}

export interface CallerQueue<T extends Queued> {
  push(item: T): void;
  /** The caller whose turn it is, of those that `may` be next. */
  nextCaller(may: (caller: string) => boolean): string | undefined;
  /** Removes the next one of this caller, whose turn it is last then. */
  next(caller: string): T | undefined;
  /** False: it is not queued any more. */
  remove(item: T): boolean;
  /**
   * The one that gives way to `item` when the queue is full: the last of the caller that has most, or of the same caller's
   * connection that has most; undefined: none has more than `item` would have.
   */
  displacedBy(item: T): T | undefined;
  all(): T[];
  readonly size: number;
}

export function createCallerQueue<T extends Queued>(): CallerQueue<T> {
  /** In the order in which they are next. */
  const callers = new Map<string, FairQueue<T>>();
  let size = 0;

  function longest(): FairQueue<T> | undefined {
    let found: FairQueue<T> | undefined;
    for (const queue of callers.values()) if (queue.size >= (found?.size ?? 0)) found = queue;
    return found;
  }

  return {
    push(item) {
      const queue = callers.get(item.caller) ?? createFairQueue<T>();
      callers.set(item.caller, queue);
      queue.push(item.connection, item);
      size++;
    },
    nextCaller(may) {
      for (const caller of callers.keys()) if (may(caller)) return caller;
      return undefined;
    },
    next(caller) {
      const queue = callers.get(caller);
      const item = queue?.next();
      if (!queue || item === undefined) return undefined;
      callers.delete(caller);
      if (queue.size > 0) callers.set(caller, queue);
      size--;
      return item;
    },
    remove(item) {
      const queue = callers.get(item.caller);
      if (!queue?.remove(item.connection, item)) return false;
      if (queue.size === 0) callers.delete(item.caller);
      size--;
      return true;
    },
    displacedBy({ caller, connection }) {
      const own = callers.get(caller);
      const most = longest();
      if (most && most.size > (own?.size ?? 0) + 1) return most.lastOfLongest();
      return own?.lastOfLonger(connection);
    },
    all: () => [...callers.values()].flatMap((queue) => queue.all()),
    get size() {
      return size;
    },
  };
}
