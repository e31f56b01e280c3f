// The memory of chunks that have been passed on. Each is outside of the heap, and its handle among the young objects: a collection of
// these, which takes a millisecond, lets go of it. Passing on makes so few objects that none comes by itself. The chunks add up
// until V8, after some 25 MB, collects everything: it marks all of the heap, which takes about as long as passing them on did.

/** Bytes: so much sooner than V8 would begin, with what others need beside it. */
const COLLECTED_AFTER = 16 * 1_024 * 1_024;

/** To be told of each chunk. */
export type NotePassed = (chunk: Uint8Array) => void;

/** `collectYoung`: lets go of young objects that are not used. */
export function createPassedChunks(collectYoung: () => void): NotePassed {
  let bytes = 0;
  return ({ length }) => {
    bytes += length;
    if (bytes < COLLECTED_AFTER) return;
    bytes = 0;
    collectYoung();
  };
}
