// Methods of a store reject only with `StoreError`, whatever its driver throws.
import type { StoreError } from '../../ports/index.ts';

/** `translate`: the driver's error as an error of the port. */
export const rejectingWith =
  (translate: (cause: unknown) => StoreError) =>
  <A extends unknown[], T>(work: (...args: A) => T | Promise<T>) =>
  async (...args: A): Promise<T> => {
    try {
      return await work(...args);
    } catch (cause) {
      throw translate(cause);
    }
  };
