// Rotating the key that signs deliveries, for an operator who has the database and the keys.
import { createAudit } from '../broker/audit/index.ts';
import { rotateSigningKey } from '../broker/events/index.ts';
import type { Logger } from '../ports/index.ts';
import { openStore } from '../stores/open.ts';
import type { Config } from './config.ts';
import { openKeyRing, proveKeys } from './keys.ts';
import { systemClock } from './system-clock.ts';

/** Returns the `kid`. Rejects with `SetupError` where the keys are not those of the database, or with `StoreError`. */
export async function runSigningKeyRotation(config: Config, log: Logger): Promise<string> {
  const vault = await openKeyRing(config, log);
  const store = await openStore(config, log);
  try {
    await proveKeys(store, vault);
    const { access } = createAudit({ store, vault, clock: systemClock, log });
    return await rotateSigningKey({ store, vault, access, clock: systemClock });
  } finally {
    await store.close();
  }
}
