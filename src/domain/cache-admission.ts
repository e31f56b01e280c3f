// Admission to a full cache: what is read once, by a job that goes through all of it, evicts nothing that is read again and
// again, and leaves nothing in memory.

export interface Admission {
  /** From the second time on that it is asked about a key, unless the first one was long ago. */
  admits(key: string): boolean;
}

/**
 * Remembers about half as many keys as the cache has entries (`max`), as hashes of 32 bits, of which a later one takes the place
 * of an earlier one. A key whose hash another one has is admitted the first time.
 */
export function createAdmission(max: number): Admission {
  const hashes = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(2, max / 2))));
  const mask = hashes.length - 1;
  return {
    admits(key) {
      const hash = fnv1a(key);
      const place = hash & mask;
      if (hashes[place] === hash) return true;
      hashes[place] = hash;
      return false;
    },
  };
}

/** FNV-1a, of UTF-16 units in place of bytes. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
