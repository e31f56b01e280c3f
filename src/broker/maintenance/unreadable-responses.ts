// Reading what token endpoints answered and no token was found in, for an operator who has the database and the keys.
import type { Store, UnreadableResponse, Vault } from '../../ports/index.ts';
import type { Access } from '../audit/index.ts';
import { decryptUnreadableResponse } from '../secrets/index.ts';

interface Parts {
  store: Pick<Store, 'unreadableResponse' | 'appendAudit'>;
  vault: Pick<Vault, 'decrypt'>;
  access: Pick<Access, 'recordSystem'>;
}

/**
 * The response with its body in plain text, which may hold tokens; the audit log has first that it was read. Undefined:
 * there is none with this id, or it was deleted after a day. Rejects with `StoreError` or `VaultError`.
 */
export async function readUnreadableResponse(
  { store, vault, access }: Parts,
  id: string,
): Promise<(Omit<UnreadableResponse, 'body'> & { text: string }) | undefined> {
  const found = await store.unreadableResponse(id);
  if (found === undefined) return undefined;
  const { body, ...head } = found;
  const text = decryptUnreadableResponse(vault, { id, body });
  const { integration, connectionId } = head;
  const subject = { integration, connectionId, detail: id };
  await store.appendAudit([access.recordSystem('connection.unreadable_response_read', subject)]);
  return { ...head, text };
}
