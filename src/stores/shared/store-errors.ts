// Methods of a store reject with nothing but `StoreError`, whatever its driver throws.
import type { StoreError } from '../../ports/index.ts';

/** `told`: the driver's error in the words of the port. */
export const rejectingWith =
  (told: (cause: unknown) => StoreError) =>
  <A extends unknown[], T>(work: (...given: A) => T | Promise<T>) =>
  async (...given: A): Promise<T> => {
    try {
      return await work(...given);
    } catch (cause) {
      throw told(cause);
    }
  };
