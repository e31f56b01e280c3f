// What a change of an integration or a caller was decided on may have changed meanwhile: then nothing of the operation is stored.
import { StoreError } from '../../ports/index.ts';

/** Rolls an operation back. */
export class ChangedMeanwhile extends StoreError {
  override name = 'ChangedMeanwhile';
}

/** For the `catch` of an operation that throws `ChangedMeanwhile`. */
export function orChanged(error: unknown): 'changed' {
  if (error instanceof ChangedMeanwhile) return 'changed';
  throw error;
}
