// Questions to another process whose answers come as messages.

export interface Answers<T> {
  /** Undefined: there was no answer within the time limit, or there will be none. */
  ask(send: (id: number) => void): Promise<T | undefined>;
  /** An answer, or that there is none. */
  settle(id: number, value: T | undefined): void;
}

export function createAnswers<T>(withinMs: number): Answers<T> {
  const waiting = new Map<number, (value: T | undefined) => void>();
  let last = 0;
  const settle: Answers<T>['settle'] = (id, value) => {
    waiting.get(id)?.(value);
    waiting.delete(id);
  };
  return {
    ask: (send) =>
      new Promise((resolve) => {
        const id = ++last;
        const late = setTimeout(settle, withinMs, id, undefined).unref();
        waiting.set(id, (value) => {
          clearTimeout(late);
          resolve(value);
        });
        send(id);
      }),
    settle,
  };
}
