// Sealing and opening the secrets of a connection: each column bound to its row.

import { type AuthMode, isCode } from '../../domain/auth-modes.ts';
import type { Ciphertext, Credentials, EncryptedCredentials } from '../../domain/connection.ts';
import { renewalSecrets } from '../../domain/refresh-schedule.ts';
import type { EncryptionContext, Vault } from '../../ports/index.ts';

const COLUMNS = {
  accessToken: 'access_token',
  refreshToken: 'refresh_token',
  idToken: 'id_token',
  credentials: 'credentials',
} as const satisfies Record<keyof Credentials, string>;

const at = (id: string, secret: keyof Credentials): EncryptionContext => ({
  row: `connections/${id}`,
  column: COLUMNS[secret],
});

export function encryptCredentials(
  vault: Pick<Vault, 'encrypt'>,
  id: string,
  grant: Credentials,
): EncryptedCredentials {
  const seal = (secret: keyof Credentials) => {
    const text = grant[secret];
    return text === null ? null : vault.encrypt(text, at(id, secret));
  };
  return {
    accessToken: seal('accessToken'),
    refreshToken: seal('refreshToken'),
    idToken: seal('idToken'),
    credentials: seal('credentials'),
  };
}

const open = (
  vault: Pick<Vault, 'decrypt'>,
  id: string,
  secret: keyof Credentials,
  sealed: Ciphertext | null,
): string | null => (sealed === null ? null : vault.decrypt(sealed, at(id, secret)));

export const decryptAccessToken = (
  vault: Pick<Vault, 'decrypt'>,
  id: string,
  sealed: Ciphertext | null,
): string | null => open(vault, id, 'accessToken', sealed);

export const decryptRefreshToken = (
  vault: Pick<Vault, 'decrypt'>,
  id: string,
  sealed: Ciphertext | null,
): string | null => open(vault, id, 'refreshToken', sealed);

/** What an import brought, and the key that tokens are bound to. */
export const decryptKeyMaterial = (
  vault: Pick<Vault, 'decrypt'>,
  id: string,
  sealed: Ciphertext | null,
): string | null => open(vault, id, 'credentials', sealed);

/** What renews it, and what is kept when an answer leaves it out. */
export function decryptRenewalSecrets(
  vault: Pick<Vault, 'decrypt'>,
  id: string,
  grant: EncryptedCredentials,
  auth: AuthMode,
): Credentials {
  // Look-ups want it too.
  const used = renewalSecrets(auth).includes('accessToken') || (isCode(auth) && auth.lookups.length > 0);
  return {
    accessToken: used ? decryptAccessToken(vault, id, grant.accessToken) : null,
    refreshToken: decryptRefreshToken(vault, id, grant.refreshToken),
    idToken: null,
    credentials: decryptKeyMaterial(vault, id, grant.credentials),
  };
}
