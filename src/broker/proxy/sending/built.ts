// A request that may not be built after all: then its place in the limits is free again.
import { Refusal } from '../../../domain/errors.ts';

/** What is built; `undo` is called when nothing is. */
export async function builtOr<T>(undo: () => void, build: () => T | Promise<T | Refusal>): Promise<T | Refusal> {
  try {
    const built = await build();
    if (built instanceof Refusal) undo();
    return built;
  } catch (error) {
    undo();
    throw error;
  }
}
