// The last write of each answer, put off to the end of the turn of the event loop. A write between two reads wakes the other
// side each time, and enters the kernel with cold caches: it costs as much as the rest of a token read.

/** Calls `write` when all requests and answers that have arrived are read, or at once. */
export type WriteBatch = (write: () => void) => void;

/** `isBusy`: turns are long now, and a write that waits would wait for what else is in them. */
export function createWriteBatch(isBusy: () => boolean): WriteBatch {
  let waiting: (() => void)[] = [];
  const flush = () => {
    const all = waiting;
    waiting = [];
    for (const write of all) write();
  };
  return (write) => {
    if (isBusy()) write();
    else if (waiting.push(write) === 1) setImmediate(flush);
  };
}
