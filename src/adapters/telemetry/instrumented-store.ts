// A store whose failures are counted, whichever store it is.
import type { Store } from '../../ports/index.ts';

/** The same store; `failed` is told the name of each sentence that was rejected. */
export function instrumentStore(store: Store, failed: (sentence: string) => void): Store {
  const watched = Object.entries(store).map(([sentence, say]: [string, (...words: unknown[]) => Promise<unknown>]) => [
    sentence,
    (...words: unknown[]) => {
      const outcome = say(...words);
      outcome.catch(() => failed(sentence));
      return outcome;
    },
  ]);
  return Object.fromEntries(watched);
}
