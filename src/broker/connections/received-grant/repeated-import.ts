// An import that is made once more: its caller has lost the answer, or a script runs again. The refresh token that it brings may
// have been spent since, and the connection has its successor.
import type { Connection, EncryptedCredentials, WrittenCredentials } from '../../../domain/connection.ts';
import type { RenewedCredentials, Store, Vault } from '../../../ports/index.ts';
import { decryptRefreshToken, importedTokenDigests } from '../../secrets/index.ts';

interface Parts {
  store: Pick<Store, 'connectionsByValue'>;
  vault: Pick<Vault, 'digests'>;
}

/** One refresh token may have been imported under several labels. */
const MOST = 100;

/** With what the import is known by when it is repeated. Without a refresh token, nothing could be spent. */
export function withImportedToken(
  vault: Parts['vault'],
  encrypted: WrittenCredentials,
  refreshToken: string | null,
): WrittenCredentials {
  if (refreshToken === null) return encrypted;
  const { key, values } = importedTokenDigests(vault, refreshToken);
  return { ...encrypted, tokenDigests: { ...encrypted.tokenDigests, [key]: values[0]! } };
}

/** Whether the refresh token that the connection has is this one, or a successor of it. Rejects with `StoreError`. */
export async function wasImported(
  { store, vault }: Parts,
  { id, integration }: Connection,
  refreshToken: string,
): Promise<boolean> {
  const { key, values } = importedTokenDigests(vault, refreshToken);
  for (const value of values) {
    const found = await store.connectionsByValue(integration, key, value, MOST);
    if (found.some((one) => one.id === id)) return true;
  }
  return false;
}

/** Whether its tokens are those of a refresh, or of a renewal after one: the import brings none that is newer. Throws `VaultError`. */
export const hasNewerTokens = (
  vault: Pick<Vault, 'decrypt'>,
  connection: Connection,
  stored: EncryptedCredentials,
  refreshToken: string,
): boolean =>
  connection.lastRefreshedAt !== null || decryptRefreshToken(vault, connection, stored.refreshToken) !== refreshToken;

/** What the connection has is newer than all that was imported. If its grant had been found dead, a refresh tells. */
export const repeated = (
  before: Connection,
  place: Pick<Connection, 'params' | 'metadata'>,
  now: number,
): { connection: Connection; credentials: RenewedCredentials } => ({
  connection: {
    ...before,
    ...place,
    status: 'active',
    reason: null,
    failures: 0,
    lastRefreshError: null,
    nextRefreshAt: before.status === 'active' ? before.nextRefreshAt : now,
    updatedAt: now,
  },
  credentials: { accessToken: undefined, refreshToken: undefined, idToken: undefined, credentials: undefined },
});
