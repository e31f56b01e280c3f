// Operations that share a statement, and so a way there and back and a commit: what comes in one turn of the event loop, or
// while one is under way.

/** In one statement at most. */
const MAX_BATCH = 64;

/**
 * Runs those of this turn of the event loop together if nothing is under way; those that come meanwhile are the next batch.
 * `run` returns the outcomes in the order of the operations, or rejects for all of them.
 */
export function createBatches<Operation, Outcome>(
  run: (batch: readonly Operation[]) => Promise<Outcome[]>,
): (operation: Operation) => Promise<Outcome> {
  const waiting: { operation: Operation; settle: PromiseWithResolvers<Outcome> }[] = [];
  let isUnderWay = false;

  async function runWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_BATCH);
      try {
        const outcomes = await run(batch.map(({ operation }) => operation));
        for (const [i, { settle }] of batch.entries()) settle.resolve(outcomes[i]!);
      } catch (error) {
        for (const { settle } of batch) settle.reject(error);
      }
    }
    isUnderWay = false;
  }

  return (operation) => {
    const settle = Promise.withResolvers<Outcome>();
    waiting.push({ operation, settle });
    if (!isUnderWay) {
      isUnderWay = true;
      setImmediate(() => void runWaiting());
    }
    return settle.promise;
  };
}
