// What of a connection's credentials a refresh decrypts.
import { expect, test } from 'vitest';
import { createKeyRing, generateKey, parseKeyRing } from '../../../src/adapters/keyring/keyring.ts';
import { decryptRenewalSecrets, encryptCredentials } from '../../../src/broker/secrets/index.ts';
import type { Ciphertext } from '../../../src/domain/connection.ts';
import { VaultError } from '../../../src/ports/index.ts';
import { createTarget } from '../../support/oauth.ts';

const parsed = parseKeyRing(generateKey('k'));
if (!parsed.ok) throw new Error(parsed.issues.join());
const ring = createKeyRing(parsed.keys);
const place = { id: 'con_1', integration: 'acme', owner: 'ada', label: '' };
const secrets = { accessToken: 'at', refreshToken: 'rt', idToken: 'id', credentials: null };
const encrypted = encryptCredentials(ring, place, secrets);
const urls = { authorization_url: 'https://id.example.com/authorize', token_url: 'https://id.example.com/token' };
const authOf = (refresh: object) => createTarget({ auth: [{ mode: 'oauth2_code', ...urls, refresh }] }).auth;
const auth = authOf({});
const spendingAccess = authOf({ spends: 'access_token' });

test('a refresh decrypts the access token where it spends it, or where more is asked with it', () => {
  const none = { idToken: null, credentials: null };
  const without = { ...none, accessToken: null, refreshToken: 'rt' };
  expect(decryptRenewalSecrets(ring, place, encrypted, auth, false)).toEqual(without);
  const all = { ...none, accessToken: 'at', refreshToken: 'rt' };
  expect(decryptRenewalSecrets(ring, place, encrypted, auth, true)).toEqual(all);
  expect(decryptRenewalSecrets(ring, place, encrypted, spendingAccess, false)).toEqual(all);
});

test('a damaged access token does not keep a refresh from replacing it', () => {
  const damaged = { ...encrypted, accessToken: `${encrypted.accessToken}AAAA` as Ciphertext };
  expect(decryptRenewalSecrets(ring, place, damaged, auth, false)).toMatchObject({ refreshToken: 'rt' });
  expect(() => decryptRenewalSecrets(ring, place, damaged, auth, true)).toThrow(VaultError);
});
