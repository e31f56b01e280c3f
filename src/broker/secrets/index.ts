// The secrets room: ids, randomness, digests, caller keys, and the encryption of credentials and of unreadable responses.
// Functions without state.

export { isMistyped, isSessionToken, newCallerKey, newSessionToken } from './caller-keys.ts';
export { derivedSecret, digest, firstId, isSameSecret, newId, newIdAt, newSecret } from './ids.ts';
export {
  callerKeyRow,
  callerRow,
  integrationRow,
  jobRow,
  sessionRow,
} from './row-authentication/authenticated-rows.ts';
export { authenticateStore } from './row-authentication/authenticated-store.ts';
export { reportRefusals } from './row-authentication/reporting-vault.ts';
export { importedTokenDigests, lookUpDigests } from './token-digests.ts';
export {
  decryptAccessToken,
  decryptIdToken,
  decryptKeyMaterial,
  decryptRefreshToken,
  decryptRenewalSecrets,
  encryptCredentials,
  reencryptCredentials,
} from './token-encryption.ts';
export { decryptUnreadableResponse, keepUnreadableResponse } from './unreadable-responses.ts';
