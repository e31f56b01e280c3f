// Work that is done once, for all who ask for its result.

export interface Remembered<T> {
  /** The result, or that of the work under way. After a failure the next call tries again. */
  get(): Promise<T>;
  /** Of work under way too: the next call begins another. */
  forget(): void;
}

export function remembered<T>(work: () => Promise<T>): Remembered<T> {
  let result: Promise<T> | undefined;
  return {
    get() {
      if (result) return result;
      const working = work();
      result = working;
      working.catch(() => {
        if (result === working) result = undefined;
      });
      return working;
    },
    forget() {
      result = undefined;
    },
  };
}

/** A result that stays right. A process may have been out of file descriptors, so that a failure is not remembered. */
export const once = <T>(work: () => Promise<T>): (() => Promise<T>) => remembered(work).get;
