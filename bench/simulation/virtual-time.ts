// Virtual time: the clocks and the timers of this process, which advance as fast as the work is done. While anything is
// left to do (a turn of the event loop, a statement of the database), time stands still; then it jumps to the next timer.
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import promised from 'node:timers/promises';
import type { Clock } from '../../src/ports/index.ts';

export interface VirtualTime {
  clock: Clock;
  /** Milliseconds since the beginning. */
  elapsed(): number;
  /** Time stands still until this real I/O has ended. */
  during<T>(work: Promise<T>): Promise<T>;
  /** Lets time pass until `work` is settled. Rejects as it does, and when no timer is left that could settle it. */
  until<T>(work: Promise<T>): Promise<T>;
  /** Lets time pass until so many milliseconds after the beginning, or until `isOver`, which is asked before each jump. */
  pass(untilMs: number, isOver: () => boolean): Promise<void>;
}

/** Timers are due at multiples of it: what a loaded process would do in one turn of the event loop happens in one. */
const GRAIN_MS = 10;

type Callback = (...args: unknown[]) => unknown;

/** What code uses of a `NodeJS.Timeout`. */
class VirtualTimer {
  isActive = true;
  readonly run: Callback;
  readonly args: unknown[];
  readonly ms: number;
  readonly repeats: boolean;
  readonly #add: (timer: VirtualTimer) => void;

  constructor(run: Callback, ms: number, args: unknown[], repeats: boolean, add: (timer: VirtualTimer) => void) {
    this.run = run;
    this.ms = ms;
    this.args = args;
    this.repeats = repeats;
    this.#add = add;
    add(this);
  }
  ref = () => this;
  unref = () => this;
  hasRef = () => true;
  refresh(): this {
    this.isActive = false;
    this.#add(this);
    return this;
  }
}

/** Replaces the clocks and timers of this process for good, `epoch` being the first time: of a process for a simulation alone. */
export function installVirtualTime(epoch: number): VirtualTime {
  const turn = () => new Promise<void>((resolve) => realImmediate(resolve));
  const realImmediate = setImmediate;
  const realClearImmediate = clearImmediate;
  let elapsed = 0;
  const due = createDueTimes<VirtualTimer>();
  const immediates = new Set<NodeJS.Immediate>();
  let external = 0;
  let externalEnded = Promise.withResolvers<void>();

  /** A timer that was refreshed is at several times: only the last one counts. */
  const dueAt = new WeakMap<VirtualTimer, number>();
  function add(timer: VirtualTimer): void {
    const at = Math.ceil((elapsed + Math.max(1, timer.ms)) / GRAIN_MS) * GRAIN_MS;
    timer.isActive = true;
    dueAt.set(timer, at);
    due.add(at, timer);
  }
  const timer =
    (repeats: boolean) =>
    (run: Callback, ms?: number, ...args: unknown[]) =>
      new VirtualTimer(run, Number(ms) || 0, args, repeats, add);
  const clear = (one?: unknown) => {
    if (one instanceof VirtualTimer) one.isActive = false;
  };
  const immediate = (run: Callback, ...args: unknown[]) => {
    const handle = realImmediate(() => {
      immediates.delete(handle);
      run(...args);
    });
    immediates.add(handle);
    return handle;
  };
  const clearOne = (handle?: NodeJS.Immediate) => {
    if (handle && immediates.delete(handle)) realClearImmediate(handle);
  };
  const pause = <T>(ms?: number, value?: T, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const one = timer(false)(() => {
        signal?.removeEventListener('abort', aborted);
        resolve(value as T);
      }, ms);
      const aborted = () => {
        clear(one);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', aborted, { once: true });
    });
  const replaced = {
    setTimeout: timer(false),
    setInterval: timer(true),
    clearTimeout: clear,
    clearInterval: clear,
    setImmediate: immediate,
    clearImmediate: clearOne,
  };
  Object.assign(globalThis, replaced);
  Object.assign(timers, replaced);
  Object.assign(promised, {
    setTimeout: pause,
    setImmediate: <T>(value?: T) => new Promise<T>((resolve) => immediate(() => resolve(value as T))),
  });
  syncBuiltinESMExports();
  const clock: Clock = { now: () => epoch + elapsed, monotonic: () => elapsed };
  Date.now = clock.now;
  performance.now = clock.monotonic;

  /** Until nothing is left to do at this time. */
  async function settle(): Promise<void> {
    do {
      await turn();
      while (external > 0) {
        await externalEnded.promise;
        await turn();
      }
    } while (immediates.size > 0);
  }

  /** Runs the timers that are due next, unless that is after `untilMs`. */
  function jump(untilMs: number): boolean {
    const next = due.next();
    if (next === undefined || next > untilMs) return false;
    elapsed = next;
    for (const one of due.take()) {
      if (!one.isActive || dueAt.get(one) !== next) continue;
      if (one.repeats) add(one);
      else one.isActive = false;
      one.run(...one.args);
    }
    return true;
  }

  return {
    clock,
    elapsed: () => elapsed,
    async during(work) {
      external++;
      try {
        return await work;
      } finally {
        if (--external === 0) {
          externalEnded.resolve();
          externalEnded = Promise.withResolvers();
        }
      }
    },
    async until(work) {
      let isSettled = false;
      const settled = work.finally(() => {
        isSettled = true;
      });
      settled.catch(() => undefined);
      for (await settle(); !isSettled; await settle())
        if (!jump(Number.POSITIVE_INFINITY)) throw new Error('the simulation waits for something that never happens');
      return settled;
    },
    async pass(untilMs, isOver) {
      for (await settle(); !isOver() && jump(untilMs); await settle());
      if (!isOver()) elapsed = Math.max(elapsed, untilMs);
    },
  };
}

/** What is due when: a binary heap of times, with a list for each. */
function createDueTimes<T>() {
  const heap: number[] = [];
  const lists = new Map<number, T[]>();
  const swap = (a: number, b: number) => {
    [heap[a], heap[b]] = [heap[b]!, heap[a]!];
  };
  return {
    add(at: number, one: T): void {
      const list = lists.get(at);
      if (list) return void list.push(one);
      lists.set(at, [one]);
      let child = heap.push(at) - 1;
      for (let parent = (child - 1) >> 1; child > 0 && heap[child]! < heap[parent]!; parent = (child - 1) >> 1) {
        swap(child, parent);
        child = parent;
      }
    },
    next: (): number | undefined => heap[0],
    /** Removes and returns what is due at `next()`. */
    take(): T[] {
      const [at] = heap as [number];
      const last = heap.pop()!;
      if (heap.length > 0) heap[0] = last;
      for (let parent = 0; ; ) {
        const [left, right] = [2 * parent + 1, 2 * parent + 2];
        let least = parent;
        if (left < heap.length && heap[left]! < heap[least]!) least = left;
        if (right < heap.length && heap[right]! < heap[least]!) least = right;
        if (least === parent) break;
        swap(parent, least);
        parent = least;
      }
      const list = lists.get(at)!;
      lists.delete(at);
      return list;
    },
  };
}
