// Chunks that someone else looks at while they are read. A promise for each chunk: a generator would make three, and bodies pass
// several of them.

export interface Taps<T> {
  /** Before the first chunk is asked for. */
  start?(): void;
  /** The next one is asked for. */
  ask?(): void;
  chunk?(chunk: T): void;
  /** All of them were read. */
  end?(): void;
  fail?(error: unknown): void;
  /** Nothing more is asked for: after the end, a failure, or where the reader stops. Once. */
  over?(): void;
}

/** The same chunks, each shown before it is passed on. To be read once. */
export function tapped<T>(chunks: AsyncIterable<T>, taps: Taps<T>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const source = chunks[Symbol.asyncIterator]();
      let state: 'new' | 'open' | 'over' = 'new';
      const over = () => {
        if (state === 'open') taps.over?.();
        state = 'over';
      };
      const seen = (result: IteratorResult<T>) => {
        if (!result.done) taps.chunk?.(result.value);
        else {
          over();
          taps.end?.();
        }
        return result;
      };
      const failed = (error: unknown): never => {
        over();
        taps.fail?.(error);
        throw error;
      };
      return {
        next() {
          if (state === 'new') {
            state = 'open';
            taps.start?.();
          }
          taps.ask?.();
          return source.next().then(seen, failed);
        },
        return() {
          over();
          return source.return?.() ?? Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}
