// Background work of the signing room: keys are rotated on time, by any process.
import { createPeriodicTask, type PeriodicTask } from '../../domain/periodic-task.ts';
import { SIGNING_KEY_CHECK_MS } from '../../domain/time-limits.ts';
import type { Logger } from '../../ports/index.ts';
import type { Rotation } from './keys/rotation.ts';

export interface SigningHousekeeping extends Pick<PeriodicTask, 'stop'> {
  /** Starts at once. */
  start(): void;
}

interface Parts {
  rotation: Pick<Rotation, 'advance' | 'adoptAlgorithm'>;
  log: Pick<Logger, 'error'>;
  /** How often it looks, in ms. */
  everyMs?: number | undefined;
}

export function createSigningHousekeeping({
  rotation,
  log,
  everyMs = SIGNING_KEY_CHECK_MS,
}: Parts): SigningHousekeeping {
  let isAdopted = false;

  async function round(): Promise<void> {
    if (!isAdopted) isAdopted = await rotation.adoptAlgorithm();
    await rotation.advance();
  }

  const { start, stop } = createPeriodicTask(round, (error) =>
    log.error({ err: error }, 'signing keys: rotation failed, will retry'),
  );
  return { start: () => start(everyMs), stop };
}
