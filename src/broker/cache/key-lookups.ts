// Looks up keys that are not in memory: another replica may have made them a moment ago. Anyone can ask with a made-up key, so
// one query is open at a time, and it asks for all that have come meanwhile.
import type { Store } from '../../ports/index.ts';

/** Digests in one query. */
const AT_ONCE = 100;
/** Digests that may wait. */
const MAX_WAITING = 1_000;

interface Parts {
  store: Pick<Store, 'storedKeys'>;
  /** Reads all callers into memory. */
  reload: () => Promise<void>;
}

/**
 * Whether the store has a key with this digest; if so, the callers have been read again. `busy`: too many wait. Rejects with
 * `StoreError`.
 */
export type KeyLookup = (digest: string) => Promise<boolean | 'busy'>;

export function createKeyLookup({ store, reload }: Parts): KeyLookup {
  const waiting = new Map<string, PromiseWithResolvers<boolean>>();
  let isRunning = false;

  async function run(): Promise<void> {
    isRunning = true;
    while (waiting.size > 0) {
      const batch = [...waiting].slice(0, AT_ONCE);
      for (const [digest] of batch) waiting.delete(digest);
      try {
        const found = new Set(await store.storedKeys(batch.map(([digest]) => digest)));
        if (found.size > 0) await reload();
        for (const [digest, { resolve }] of batch) resolve(found.has(digest));
      } catch (error) {
        for (const [, { reject }] of batch) reject(error);
      }
    }
    isRunning = false;
  }

  return async (digest) => {
    const joined = waiting.get(digest);
    if (joined) return joined.promise;
    if (waiting.size >= MAX_WAITING) return 'busy';
    const asked = Promise.withResolvers<boolean>();
    waiting.set(digest, asked);
    if (!isRunning) void run();
    return asked.promise;
  };
}
