// Work that is done once, for all who ask for its result.

/** After a failure the next call tries again: a process may have been out of file descriptors. */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work().catch((error: unknown) => {
      result = undefined;
      throw error;
    });
    return result;
  };
}
