// Unreadable responses of token endpoints, for an operator who has the database and the keys.
import { createAudit } from '../broker/audit/index.ts';
import { decryptUnreadableResponse } from '../broker/secrets/index.ts';
import { type Logger, type UnreadableResponseHead, VaultError } from '../ports/index.ts';
import { openStore } from '../stores/open.ts';
import type { Config } from './config.ts';
import { openKeyRing } from './keys.ts';
import { SetupError } from './setup-error.ts';

const PAGE = 500;

/** Newest first. Undefined: of all integrations. Rejects with `StoreError`. */
export async function* listUnreadableResponses(
  config: Config,
  log: Logger,
  integration: string | undefined,
): AsyncIterable<UnreadableResponseHead> {
  const store = await openStore(config, log);
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

/**
 * The response with its body in plain text, which may hold tokens. The audit log has that it was read. Undefined: there is
 * none with this id, or it was deleted after a day. Rejects with `SetupError` or `StoreError`.
 */
export async function readUnreadableResponse(
  config: Config,
  log: Logger,
  id: string,
): Promise<{ head: UnreadableResponseHead; body: string } | undefined> {
  const ring = await openKeyRing(config, log);
  const store = await openStore(config, log);
  try {
    const clock = { now: () => Date.now(), monotonic: () => performance.now() };
    const { access } = createAudit({ store, clock, log });
    const found = await store.unreadableResponse(id);
    if (found === undefined) return undefined;
    const { body: _, ...head } = found;
    const body = decryptUnreadableResponse(ring, found);
    const { integration, connectionId } = head;
    const subject = { integration, connectionId, detail: id };
    // Before it is shown.
    await store.appendAudit([access.recordSystem('connection.unreadable_response_read', subject)]);
    return { head, body };
  } catch (error) {
    if (error instanceof VaultError)
      throw new SetupError([`VALETKEY_KEYS: ${id} cannot be decrypted: ${error.message}`]);
    throw error;
  } finally {
    await store.close();
  }
}
