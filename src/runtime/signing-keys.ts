// Listing and rotating the keys that the deployment signs with, for an operator who has the database and the keys.
import { createAudit } from '../broker/audit/index.ts';
import { rotateSigningKey } from '../broker/events/index.ts';
import { type OfflineKeys, offlineKeys } from '../broker/signing/index.ts';
import type { Logger } from '../ports/index.ts';
import type { Config } from './config.ts';
import { openUsedKeyRing, proveKeys } from './keys.ts';
import { systemClock } from './system-clock.ts';
import { openUsedStore } from './used-store.ts';

export interface OpenSigningKeys {
  /** Signs deliveries with a new key. Returns its `kid`. */
  rotateWebhookKey(): Promise<string>;
  /** Those of JWTs. */
  jwt: OfflineKeys;
}

/** Rejects with `SetupError` where the keys are not those of the database or no broker has used it, or with `StoreError`. */
export async function withSigningKeys<T>(
  config: Config,
  log: Logger,
  work: (opened: OpenSigningKeys) => Promise<T>,
): Promise<T> {
  const { store } = await openUsedStore(config, log);
  try {
    const vault = await openUsedKeyRing(config, log);
    await proveKeys(store, vault);
    const { access } = createAudit({ store, vault, clock: systemClock, log });
    const parts = { store, vault, access, clock: systemClock, log };
    return await work({
      rotateWebhookKey: () => rotateSigningKey(parts),
      jwt: offlineKeys({ ...parts, ...config.signing }),
    });
  } finally {
    await store.close();
  }
}
