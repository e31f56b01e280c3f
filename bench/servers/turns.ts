// How long a process of the bench holds up its event loop: by a timer that is due each millisecond. The processor time between
// two of its calls is that of what came in between, without what others did on the same processor.

/** Between two calls of the timer, in milliseconds, but for the one in which it is not due. */
export interface Turns {
  /** Processor time of the main thread. */
  longest: number;
  p999: number;
  /** Of those with more than 2 ms of it, how many in a second. */
  long: number;
  /** The longest by the clock, with what others did on the same processor. */
  longestByClock: number;
}

const EVERY_MS = 1;
const LONG_MS = 2;
let isMeasuring = false;
let [began, clock, processor] = [0, 0, 0];
let busy: number[] = [];
let longestByClock = 0;

function processorMs(): number {
  // Asking for the whole process brings the time of this thread up to date, which is otherwise as of the last tick of the system.
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function call(): void {
  const [now, used] = [performance.now(), processorMs()];
  busy.push(Math.max(0, used - processor - EVERY_MS));
  longestByClock = Math.max(longestByClock, now - clock - EVERY_MS);
  [clock, processor] = [now, used];
}

/** What was measured since the last call, and from then on. The first call begins. */
export function turns(_: null): Turns {
  if (!isMeasuring) setInterval(call, EVERY_MS);
  isMeasuring = true;
  const sorted = busy.sort((a, b) => a - b);
  const now = performance.now();
  const measured = {
    longest: sorted.at(-1) ?? 0,
    p999: sorted[Math.floor(sorted.length * 0.999)] ?? 0,
    long: sorted.filter((one) => one > LONG_MS).length / ((now - began) / 1_000),
    longestByClock,
  };
  [began, clock, processor] = [now, now, processorMs()];
  busy = [];
  longestByClock = 0;
  return measured;
}
