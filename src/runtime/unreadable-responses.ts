// Unreadable responses of token endpoints, for an operator who has the database and the keys.
import { createAudit } from '../broker/audit/index.ts';
import { readUnreadableResponse } from '../broker/maintenance/index.ts';
import { type Logger, type UnreadableResponseHead, VaultError } from '../ports/index.ts';
import type { Config } from './config.ts';
import { openUsedKeyRing } from './keys.ts';
import { SetupError } from './setup-error.ts';
import { openUsedStore } from './used-store.ts';

const PAGE = 500;

/** Newest first. Undefined: of all integrations. Rejects with `SetupError` where no broker has used the database, or with `StoreError`. */
export async function* listUnreadable(
  config: Config,
  log: Logger,
  integration: string | undefined,
): AsyncIterable<UnreadableResponseHead> {
  const { store } = await openUsedStore(config, log);
  try {
    let after: string | undefined;
    do {
      const page = await store.unreadableResponses(integration, { limit: PAGE, after });
      yield* page.data;
      after = page.next ?? undefined;
    } while (after !== undefined);
  } finally {
    await store.close();
  }
}

/** As the use case. Rejects with `SetupError` where the keys are not those of the database, or no broker has used it. */
export async function readUnreadable(
  config: Config,
  log: Logger,
  id: string,
): ReturnType<typeof readUnreadableResponse> {
  const { store } = await openUsedStore(config, log);
  try {
    const vault = await openUsedKeyRing(config, log);
    const clock = { now: () => Date.now(), monotonic: () => performance.now() };
    const { access } = createAudit({ store, vault, clock, log });
    return await readUnreadableResponse({ store, vault, access }, id);
  } catch (error) {
    if (error instanceof VaultError)
      throw new SetupError([`VALETKEY_KEYS: ${id} cannot be decrypted: ${error.message}`]);
    throw error;
  } finally {
    await store.close();
  }
}
