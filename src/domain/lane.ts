// A lane: bounded concurrency for work that strangers can cause, so that it never takes the place of the callers' work.

export interface Lane {
  /** Runs the work when there is room for it. `full`: too much is waiting already, and nothing was run. */
  run<T>(work: () => Promise<T>): Promise<T | 'full'>;
}

/** `atOnce` run at the same time, `waiting` more may wait, first come first served. */
export function createLane({ atOnce, waiting }: { atOnce: number; waiting: number }): Lane {
  const queue: (() => void)[] = [];
  let running = 0;
  return {
    async run(work) {
      if (running >= atOnce) {
        if (queue.length >= waiting) return 'full';
        // What ends hands its place on, so `running` stays as it is.
        await new Promise<void>((place) => queue.push(place));
      } else running++;
      try {
        return await work();
      } finally {
        const next = queue.shift();
        if (next) next();
        else running--;
      }
    },
  };
}
