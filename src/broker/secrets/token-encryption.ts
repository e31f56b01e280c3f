// Encrypts and decrypts the credentials of a connection, each column bound to its row.
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

const contextOf = (id: string, secret: keyof Credentials): EncryptionContext => ({
  row: `connections/${id}`,
  column: COLUMNS[secret],
});

/** For the connection `id`. Null stays null. */
export function encryptCredentials(
  vault: Pick<Vault, 'encrypt'>,
  id: string,
  credentials: Credentials,
): EncryptedCredentials {
  const encrypt = (secret: keyof Credentials) => {
    const text = credentials[secret];
    return text === null ? null : vault.encrypt(text, contextOf(id, secret));
  };
  return {
    accessToken: encrypt('accessToken'),
    refreshToken: encrypt('refreshToken'),
    idToken: encrypt('idToken'),
    credentials: encrypt('credentials'),
  };
}

type Decrypt = (vault: Pick<Vault, 'decrypt'>, id: string, ciphertext: Ciphertext | null) => string | null;

const decryptOf =
  (secret: keyof Credentials): Decrypt =>
  (vault, id, ciphertext) =>
    ciphertext === null ? null : vault.decrypt(ciphertext, contextOf(id, secret));

/** These throw `VaultError` when the ciphertext is damaged, or its key is not in the ring. */
export const decryptAccessToken = decryptOf('accessToken');
export const decryptRefreshToken = decryptOf('refreshToken');
/** Imported credentials, and the DPoP key that tokens are bound to. */
export const decryptKeyMaterial = decryptOf('credentials');

/** What a refresh sends, and what it keeps if the token response leaves it out. Throws `VaultError`. */
export function decryptRenewalSecrets(
  vault: Pick<Vault, 'decrypt'>,
  id: string,
  encrypted: EncryptedCredentials,
  auth: AuthMode,
): Credentials {
  // Lookups need the access token too.
  const usesAccessToken = renewalSecrets(auth).includes('accessToken') || (isCode(auth) && auth.lookups.length > 0);
  return {
    accessToken: usesAccessToken ? decryptAccessToken(vault, id, encrypted.accessToken) : null,
    refreshToken: decryptRefreshToken(vault, id, encrypted.refreshToken),
    idToken: null,
    credentials: decryptKeyMaterial(vault, id, encrypted.credentials),
  };
}
