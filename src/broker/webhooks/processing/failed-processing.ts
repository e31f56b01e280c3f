// What becomes of a received webhook or signal whose processing failed: it is due again, and dead in the end.
import { backoff } from '../../../domain/backoff.ts';
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import { type Clock, type Logger, type Store, VaultError } from '../../../ports/index.ts';

/** About an hour, by the backoff. Then it is dead, until someone has it processed again. */
const MAX_ATTEMPTS = 12;

interface Parts {
  store: Pick<Store, 'settleReceived'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

/** Settles it; true: it is dead. Rejects with `StoreError`. `area`: in the log. */
export async function settleFailed(
  { store, clock, log }: Parts,
  area: 'webhooks' | 'signals',
  { id, integration, attempts }: ReceivedWebhook,
  error: unknown,
): Promise<boolean> {
  const isFinal = attempts >= MAX_ATTEMPTS;
  const reason = error instanceof VaultError ? 'not_decryptable' : 'processing_failed';
  const now = clock.now();
  log.error(
    { err: error, webhook: id, integration, attempts },
    `${area}: processing failed${isFinal ? ' for good, it is dead' : ', will retry'}`,
  );
  const outcome = isFinal
    ? { status: 'dead' as const, reason, processedAt: now, nextAt: null }
    : { status: 'received' as const, reason, processedAt: null, nextAt: now + backoff(attempts, Math.random()) };
  await store.settleReceived(id, outcome, [], []);
  return isFinal;
}
