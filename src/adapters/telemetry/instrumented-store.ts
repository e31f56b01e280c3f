// Wraps any store so that its failed operations are counted.
import type { Store } from '../../ports/index.ts';

/** Subscriptions are not asynchronous. */
type Operation = (...args: unknown[]) => unknown;

/** The same store; `onFailure` is called with the name of each operation that is rejected. */
export function instrumentStore(store: Store, onFailure: (operation: string) => void): Store {
  const operations = Object.entries(store).filter(([name]) => name !== 'traits');
  const instrumented = operations.map(([name, operation]: [string, Operation]) => {
    const failed = () => onFailure(name);
    const counted: Operation = (...args) => {
      const outcome = operation(...args);
      if (outcome instanceof Promise) outcome.catch(failed);
      return outcome;
    };
    return [name, counted];
  });
  return { traits: store.traits, ...Object.fromEntries(instrumented) };
}
