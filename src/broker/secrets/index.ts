// The secrets room: ids, randomness, digests, caller keys, and the encryption of credentials and of unreadable responses.
// Functions without state.
export { isMistyped, newCallerKey } from './caller-keys.ts';
export { digest, firstId, newId, newSecret } from './ids.ts';
export {
  decryptAccessToken,
  decryptKeyMaterial,
  decryptRefreshToken,
  decryptRenewalSecrets,
  encryptCredentials,
} from './token-encryption.ts';
export { decryptUnreadableResponse, keepUnreadableResponse } from './unreadable-responses.ts';
