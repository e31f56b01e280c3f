// The refreshes of one integration that wait for a place: reads first, then background work; among either, the token endpoints of its
// tenants in turn, so that none waits behind the backlog of another.
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
  removeAll(): QueuedWork[];
}

export function createWorkQueue(): WorkQueue {
  const waiting: Record<Priority, { size: number; byEndpoint: Map<string, QueuedWork[]> }> = {
    read: { size: 0, byEndpoint: new Map() },
    background: { size: 0, byEndpoint: new Map() },
  };

  function push(priority: Priority, work: QueuedWork): void {
    const queue = waiting[priority];
    const others = queue.byEndpoint.get(work.endpoint);
    if (others) others.push(work);
    else queue.byEndpoint.set(work.endpoint, [work]);
    queue.size++;
  }

  function take(priority: Priority, mayBegin: (endpoint: string) => boolean): QueuedWork | undefined {
    const queue = waiting[priority];
    for (const [endpoint, works] of queue.byEndpoint) {
      if (!mayBegin(endpoint)) continue;
      const work = works.shift();
      queue.byEndpoint.delete(endpoint);
      if (works.length > 0) queue.byEndpoint.set(endpoint, works);
      queue.size--;
      return work;
    }
    return undefined;
  }

  return {
    push,
    next: (mayBegin) => take('read', mayBegin) ?? take('background', mayBegin),
    prioritize(key) {
      const queue = waiting.background;
      for (const [endpoint, works] of queue.byEndpoint) {
        const at = works.findIndex((work) => work.key === key);
        const [work] = at < 0 ? [] : works.splice(at, 1);
        if (!work) continue;
        if (works.length === 0) queue.byEndpoint.delete(endpoint);
        queue.size--;
        return push('read', work);
      }
    },
    size: (priority) => waiting[priority].size,
    removeAll() {
      return Object.values(waiting).flatMap((queue) => {
        const works = [...queue.byEndpoint.values()].flat();
        queue.byEndpoint.clear();
        queue.size = 0;
        return works;
      });
    },
  };
}
