// Looks up what is not in memory: another replica may have made it a moment ago. Anyone can ask with a made-up credential, so one
// query is open at a time, and it asks for all that have come meanwhile.

/** Digests in one query. */
const AT_ONCE = 100;
/** Digests that may wait. */
const MAX_WAITING = 1_000;

/** Undefined: the store has nothing with this digest. `busy`: too many wait. Rejects as `ask` does. */
export type BatchedLookup<T> = (digest: string) => Promise<T | undefined | 'busy'>;

/** `ask`: what the store has, by digest. */
export function createBatchedLookup<T>(
  ask: (digests: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): BatchedLookup<T> {
  const waiting = new Map<string, PromiseWithResolvers<T | undefined>>();
  let isRunning = false;

  async function run(): Promise<void> {
    isRunning = true;
    while (waiting.size > 0) {
      const batch = [...waiting].slice(0, AT_ONCE);
      for (const [digest] of batch) waiting.delete(digest);
      try {
        const found = await ask(batch.map(([digest]) => digest));
        for (const [digest, { resolve }] of batch) resolve(found.get(digest));
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
    const asked = Promise.withResolvers<T | undefined>();
    waiting.set(digest, asked);
    if (!isRunning) void run();
    return asked.promise;
  };
}
