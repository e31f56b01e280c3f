// A request that may not be built after all: then its place in the limits is free again.
import { Refusal } from '../../../domain/errors.ts';

/** What is built; `undo` is called when nothing is. Synchronous where building is. */
export function builtOr<T>(
  undo: () => void,
  build: () => T | Refusal | Promise<T | Refusal>,
): T | Refusal | Promise<T | Refusal> {
  const failed = (error: unknown): never => {
    undo();
    throw error;
  };
  const done = (built: T | Refusal) => {
    if (built instanceof Refusal) undo();
    return built;
  };
  try {
    const built = build();
    return built instanceof Promise ? built.then(done, failed) : done(built);
  } catch (error) {
    return failed(error);
  }
}
