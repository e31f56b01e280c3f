// Background work in rounds, with a pause between them, until it is stopped.

export interface PeriodicTask {
  /** Begins the first round `afterMs` from now, by default at once, and each next one `everyMs` after the last has ended. */
  start(everyMs: number, afterMs?: number): void;
  /** Begins no more rounds; fulfilled when the one under way has ended. */
  stop(): Promise<void>;
  /** For rounds that are long: they end early. */
  isStopped(): boolean;
}

/** A round that rejects is told to `failed`; the next one comes as after any other. The pauses keep no process alive. */
export function createPeriodicTask(round: () => Promise<void>, failed: (error: unknown) => void): PeriodicTask {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  let isStopped = false;

  const schedule = (everyMs: number, afterMs: number) => {
    timer = setTimeout(begin, afterMs, everyMs).unref();
  };
  function begin(everyMs: number): void {
    running = round()
      .catch(failed)
      .then(() => {
        if (!isStopped) schedule(everyMs, everyMs);
      });
  }

  return {
    start: (everyMs, afterMs = 0) => (afterMs > 0 ? schedule(everyMs, afterMs) : begin(everyMs)),
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
    isStopped: () => isStopped,
  };
}
