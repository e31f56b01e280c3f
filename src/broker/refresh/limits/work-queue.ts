// The refreshes of one integration that wait for a place: reads first, then background work; among either, the token endpoints of its
// tenants in turn, so that none waits behind the backlog of another.
import { createFairQueue } from '../../../domain/fair-queue.ts';

/** `read`: a reader waits for it, so it runs before all `background` work. */
export type Priority = 'read' | 'background';

export interface QueuedWork {
  /** Names it for `prioritize`. */
  key: string;
  /** Where it goes. */
  endpoint: string;
  begin: () => void;
  fail: (error: unknown) => void;
}

export interface WorkQueue {
  push(priority: Priority, work: QueuedWork): void;
  /** Removes the next one whose endpoint `mayBegin`. Few endpoints may be held back at a time: each call passes all of them. */
  next(mayBegin: (endpoint: string) => boolean): QueuedWork | undefined;
  /** Moves background work to the reads. */
  prioritize(key: string): void;
  size(priority: Priority): number;
  sizeAt(endpoint: string, priority: Priority): number;
  removeAll(): QueuedWork[];
}

export function createWorkQueue(): WorkQueue {
  const waiting = { read: createFairQueue<QueuedWork>(), background: createFairQueue<QueuedWork>() };
  const push = (priority: Priority, work: QueuedWork) => waiting[priority].push(work.endpoint, work);

  return {
    push,
    next: (mayBegin) => waiting.read.next(mayBegin) ?? waiting.background.next(mayBegin),
    prioritize(key) {
      const work = waiting.background.all().find((queued) => queued.key === key);
      if (work && waiting.background.remove(work.endpoint, work)) push('read', work);
    },
    size: (priority) => waiting[priority].size,
    sizeAt: (endpoint, priority) => waiting[priority].sizeOf(endpoint),
    removeAll() {
      const works = Object.values(waiting).flatMap((queue) => queue.all());
      waiting.read = createFairQueue();
      waiting.background = createFairQueue();
      return works;
    },
  };
}
