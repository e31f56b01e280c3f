// What becomes of circuit breakers when their integration is changed.
import { Refusal } from '../../domain/errors.ts';
import type { Integration } from '../../domain/integration.ts';
import type { Targets } from './targets.ts';

interface Circuits {
  /** Closes those of an integration; with `current`, only those of an older version. */
  reset(integration: string, current?: Integration): void;
}

/**
 * Closes the circuits of older versions. One that has failed since the change stays: a process hears of a change, its own too,
 * later than it sends requests by it, and may hear of it twice. While the store is away, those of older versions close when the
 * new one is first used. Never rejects.
 */
export async function closeOutdated(circuits: Circuits, targets: Pick<Targets, 'find'>, id: string): Promise<void> {
  const found = await targets.find(id).catch(() => undefined);
  if (found) circuits.reset(id, found instanceof Refusal ? undefined : found.integration);
}
