// What the methods of the SQLite store reject with.
import { StoreError } from '../../ports/index.ts';

/** SQLite's messages name tables and columns, never values. */
export const storeError = (cause: unknown): StoreError =>
  cause instanceof StoreError
    ? cause
    : new StoreError(cause instanceof Error ? cause.message : 'the store failed', { cause });
