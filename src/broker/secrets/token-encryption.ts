// Encrypts and decrypts the credentials of a connection, each column bound to its row and to whose connection it is.
import type { AuthMode } from '../../domain/auth-modes.ts';
import type {
  Ciphertext,
  Connection,
  Credentials,
  EncryptedCredentials,
  WrittenCredentials,
} from '../../domain/connection.ts';
import { renewalSecrets } from '../../domain/refresh-schedule.ts';
import type { EncryptionContext, Vault } from '../../ports/index.ts';
import { tokenDigests } from './token-digests.ts';

const COLUMNS = {
  accessToken: 'access_token',
  refreshToken: 'refresh_token',
  idToken: 'id_token',
  credentials: 'credentials',
} as const satisfies Record<keyof Credentials, string>;

/** What the credentials of a connection are bound to. Null: a row of a release that did not know it. */
export interface CredentialsPlace extends Pick<Connection, 'id' | 'integration'> {
  owner: string | null;
  label: string | null;
}

const contextOf = (
  { id, integration, owner, label }: CredentialsPlace,
  secret: keyof Credentials,
): EncryptionContext => ({
  row: `connections/${id}`,
  column: COLUMNS[secret],
  bound: [integration, owner, label],
});

/** For this connection. Null stays null. `namesTokens`: the provider's signals name refresh tokens by digests. */
export function encryptCredentials(
  vault: Pick<Vault, 'encrypt' | 'digests'>,
  place: CredentialsPlace,
  credentials: Credentials,
  namesTokens = false,
): WrittenCredentials {
  const encrypt = (secret: keyof Credentials) => {
    const text = credentials[secret];
    return text === null ? null : vault.encrypt(text, contextOf(place, secret));
  };
  return {
    accessToken: encrypt('accessToken'),
    refreshToken: encrypt('refreshToken'),
    idToken: encrypt('idToken'),
    credentials: encrypt('credentials'),
    ...(namesTokens && { tokenDigests: tokenDigests(vault, credentials.refreshToken) }),
  };
}

type Decrypt = (vault: Pick<Vault, 'decrypt'>, place: CredentialsPlace, ciphertext: Ciphertext | null) => string | null;

const decryptOf =
  (secret: keyof Credentials): Decrypt =>
  (vault, place, ciphertext) =>
    ciphertext === null ? null : vault.decrypt(ciphertext, contextOf(place, secret));

/** These throw `VaultError` when the ciphertext is damaged, or its key is not in the ring. */
export const decryptAccessToken = decryptOf('accessToken');
export const decryptRefreshToken = decryptOf('refreshToken');
export const decryptIdToken = decryptOf('idToken');
/** Imported credentials, and the DPoP key that tokens are bound to. */
export const decryptKeyMaterial = decryptOf('credentials');

/**
 * What a refresh sends, and what it keeps if the token response leaves it out. `withAccessToken`: it is needed for more than that.
 * Throws `VaultError`.
 */
export function decryptRenewalSecrets(
  vault: Pick<Vault, 'decrypt'>,
  place: CredentialsPlace,
  encrypted: EncryptedCredentials,
  auth: AuthMode,
  withAccessToken: boolean,
): Credentials {
  return {
    accessToken:
      withAccessToken || renewalSecrets(auth).includes('accessToken')
        ? decryptAccessToken(vault, place, encrypted.accessToken)
        : null,
    refreshToken: decryptRefreshToken(vault, place, encrypted.refreshToken),
    idToken: null,
    credentials: decryptKeyMaterial(vault, place, encrypted.credentials),
  };
}

/** The same credentials, as this release writes them: for a response that this process, or an earlier one, has received. */
export function reencryptCredentials(
  vault: Pick<Vault, 'reencrypt'>,
  place: CredentialsPlace,
  encrypted: WrittenCredentials,
): WrittenCredentials {
  const reencrypted = (secret: keyof Credentials) => {
    const ciphertext = encrypted[secret];
    return ciphertext === null ? null : vault.reencrypt(ciphertext, contextOf(place, secret));
  };
  return {
    accessToken: reencrypted('accessToken'),
    refreshToken: reencrypted('refreshToken'),
    idToken: reencrypted('idToken'),
    credentials: reencrypted('credentials'),
    tokenDigests: encrypted.tokenDigests,
  };
}
