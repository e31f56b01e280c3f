// Background work of the signing room: keys are rotated on time, by any process.
import { setTimeout as pause } from 'node:timers/promises';
import { SIGNING_KEY_CHECK_MS } from '../../domain/time-limits.ts';
import type { Logger } from '../../ports/index.ts';
import type { Rotation } from './keys/rotation.ts';

export interface SigningHousekeeping {
  /** Starts at once. A round that fails is retried in the next. */
  start(): void;
  /** Fulfilled when the current round is done. */
  stop(): Promise<void>;
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
  const stopped = new AbortController();
  const { signal } = stopped;
  let running: Promise<void> = Promise.resolve();
  let isAdopted = false;

  async function round(): Promise<void> {
    try {
      if (!isAdopted) isAdopted = await rotation.adoptAlgorithm();
      await rotation.advance();
    } catch (error) {
      log.error({ err: error }, 'signing keys: rotation failed, will retry');
    }
  }

  async function rounds(): Promise<void> {
    while (!signal.aborted) {
      await round();
      await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  return {
    start() {
      running = rounds();
    },
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
