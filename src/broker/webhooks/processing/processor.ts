// The processor: claims received webhooks as they come, and whatever an ended process has left, and deletes old ones.
import { setTimeout as pause } from 'node:timers/promises';
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import {
  DAY_MS,
  RECEIVED_CLAIM_MS,
  RECEIVED_IDS_RETENTION_MS,
  RECEIVED_POLL_MS,
  RECEIVED_PRUNE_INTERVAL_MS,
  SWEEP_PAUSE_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, Logger, Store } from '../../../ports/index.ts';
import type { ProcessWebhook } from './process-webhook.ts';

export interface Processor {
  start(): void;
  /** Claims no more; fulfilled when what was claimed is settled. */
  stop(): Promise<void>;
  /** Something is due. Without effect before the start. */
  wake(): void;
}

/** Claimed at once, and settled together in few commits. */
const BATCH = 32;
const PRUNE_BATCH = 500;

interface Parts {
  store: Pick<Store, 'claimReceived' | 'pruneReceived'>;
  processWebhook: ProcessWebhook;
  /** Of security events and logout tokens. Without it, they stay as they are. */
  processSignal?: ProcessWebhook | undefined;
  /** How long webhooks are kept. */
  days: number;
  clock: Clock;
  log: Logger;
}

export function createProcessor({ store, processWebhook, processSignal, days, clock, log }: Parts): Processor {
  let isStarted = false;
  let isStopped = false;
  let isAwake = false;
  let working: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let prunedAt = Number.NEGATIVE_INFINITY;

  async function handle(webhook: ReceivedWebhook): Promise<void> {
    try {
      await (webhook.kind === 'webhook' ? processWebhook : processSignal)?.(webhook);
    } catch (error) {
      log.error({ err: error, webhook: webhook.id }, 'webhooks: could not be settled, will be due again');
    }
  }

  async function processDue(): Promise<void> {
    for (;;) {
      isAwake = false;
      const now = clock.now();
      const claimed = isStopped ? [] : await store.claimReceived(now, now + RECEIVED_CLAIM_MS, BATCH);
      await Promise.all(claimed.map(handle));
      if (claimed.length === 0 && !isAwake) return;
    }
  }

  async function prune(): Promise<void> {
    if (clock.monotonic() - prunedAt < RECEIVED_PRUNE_INTERVAL_MS) return;
    const now = clock.now();
    const [before, idsBefore] = [now - days * DAY_MS, now - RECEIVED_IDS_RETENTION_MS];
    while (!isStopped && (await store.pruneReceived(before, idsBefore, PRUNE_BATCH)) >= PRUNE_BATCH)
      await pause(SWEEP_PAUSE_MS);
    prunedAt = clock.monotonic();
  }

  function run(): void {
    if (working || isStopped) return;
    clearTimeout(timer);
    working = processDue()
      .then(prune)
      .catch((error: unknown) => log.error({ err: error }, 'webhooks: looking for due ones failed, will retry'))
      .finally(() => {
        working = undefined;
        if (isStopped) return;
        if (isAwake) run();
        else timer = setTimeout(run, RECEIVED_POLL_MS);
      });
  }

  return {
    start() {
      isStarted = true;
      run();
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await working;
    },
    wake() {
      isAwake = true;
      if (isStarted) run();
    },
  };
}
