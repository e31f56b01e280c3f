// What a token endpoint answered with a 2xx, and no token was found in: kept encrypted for a day, for an operator to read. A
// rotated refresh token may be in it, and nowhere else.
import type { Clock, Logger, Store, UnreadableBody, UnreadableResponse, Vault } from '../../ports/index.ts';
import { newId } from './ids.ts';

/** Of each connection or session; retries get the same answer again. */
const MAX_OF_ONE = 3;
const MAX_OF_INTEGRATION = 100;
/** Characters. Tokens come first in a response of any form. */
const MAX_LENGTH = 64 * 1024;

interface Parts {
  store: Pick<Store, 'addUnreadableResponse'>;
  vault: Pick<Vault, 'encrypt'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

/** Never rejects: it is for diagnosis only. Undefined: there is nothing to keep. */
export async function keepUnreadableResponse(
  { store, vault, clock, log }: Parts,
  of: { integration: string; connectionId: string } | { integration: string; sessionId: string },
  unreadable: UnreadableBody | undefined,
): Promise<void> {
  if (unreadable === undefined) return;
  const now = clock.now();
  const id = newId('unr', now);
  const { status, contentType } = unreadable;
  try {
    const body = await unreadable.read();
    const extent = unreadable.isPartial || body.length > MAX_LENGTH ? 'partial' : 'whole';
    const encrypted = vault.encrypt(body.slice(0, MAX_LENGTH), contextOf(id));
    const response = { connectionId: null, sessionId: null, ...of, id, status, contentType, extent } as const;
    const limits = { ofOne: MAX_OF_ONE, ofIntegration: MAX_OF_INTEGRATION };
    await store.addUnreadableResponse({ ...response, receivedAt: now, body: encrypted }, limits);
    log.warn({ ...of, response: id, status }, 'no token found in a response, kept encrypted for a day');
  } catch (error) {
    log.error({ ...of, err: error }, 'no token found in a response, and it could not be kept');
  }
}

const contextOf = (id: string) => ({ row: `unreadable_responses/${id}`, column: 'body' });

/** The body in plain text: it may hold tokens. Throws `VaultError`. */
export const decryptUnreadableResponse = (
  vault: Pick<Vault, 'decrypt'>,
  { id, body }: Pick<UnreadableResponse, 'id' | 'body'>,
): string => vault.decrypt(body, contextOf(id));
