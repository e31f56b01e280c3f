// Deadlines that do not count the time for which this process was frozen: SIGSTOP, the cgroup freezer, a paused virtual
// machine, a blocked event loop. Node runs timers before it reads sockets, so a plain timer would discard an answer that
// had arrived meanwhile.
import { FROZEN_AFTER_MS, FROZEN_EXTENSION_MS } from './time-limits.ts';

/** So often in a row a deadline is extended: a process that is always late must end its waits too. */
const MAX_EXTENSIONS = 5;

/**
 * Calls `passed` once, `ms` milliseconds from now or later, and only after a turn of the event loop that has read whatever
 * the sockets had. Fired late by more than `FROZEN_AFTER_MS`, it is extended: what was under way (a handshake, a
 * body in several parts, a commit) goes on first. Returns what cancels it.
 *
 * @example
 * const cancel = startDeadline(10_000, () => reject(new Error('too late')));
 */
export function startDeadline(ms: number, passed: () => void): () => void {
  let extensions = 0;
  let immediate: NodeJS.Immediate | undefined;
  let due = performance.now() + ms;
  let timer = setTimeout(fired, ms);

  function fired(): void {
    if (performance.now() - due > FROZEN_AFTER_MS && extensions < MAX_EXTENSIONS) {
      extensions++;
      due = performance.now() + FROZEN_EXTENSION_MS;
      timer = setTimeout(fired, FROZEN_EXTENSION_MS);
      return;
    }
    // Between two immediates, sockets are read once. What they bring may be handled by a later immediate.
    immediate = setImmediate(() => {
      immediate = setImmediate(passed);
    });
  }

  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}

/**
 * The result of `work`, or `otherwise` when it takes longer than such a deadline. Rejects when `work` does before that;
 * a rejection after it is ignored.
 */
export async function withDeadline<T, U>(ms: number, work: Promise<T>, otherwise: () => U): Promise<T | U> {
  const { promise: late, resolve } = Promise.withResolvers<U>();
  const cancel = startDeadline(ms, () => resolve(otherwise()));
  return Promise.race([work, late]).finally(cancel);
}
