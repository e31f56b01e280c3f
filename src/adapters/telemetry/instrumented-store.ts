// Wraps any store so that its failed operations are counted.
import type { Store } from '../../ports/index.ts';

/** The same store; `onError` is called with the name of each operation that rejects. */
export function instrumentStore(store: Store, onError: (operation: string) => void): Store {
  const instrumented = Object.entries(store).map(
    ([operation, run]: [string, (...args: unknown[]) => Promise<unknown>]) => [
      operation,
      (...args: unknown[]) => {
        const outcome = run(...args);
        outcome.catch(() => onError(operation));
        return outcome;
      },
    ],
  );
  return Object.fromEntries(instrumented);
}
