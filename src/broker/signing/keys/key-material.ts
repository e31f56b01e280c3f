// The material of signing keys: made, encrypted, and opened again. The private key leaves the process only encrypted.
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { SigningAlgorithm, SigningKey } from '../../../domain/signing-key.ts';
import { type Clock, type EncryptionContext, type Vault, VaultError } from '../../../ports/index.ts';
import { newId } from '../../secrets/index.ts';

/** A public key as it is published (RFC 7517 4, RFC 7518 6, RFC 8037 2). */
export type PublicJwk = Record<string, unknown> & { kid: string; alg: SigningAlgorithm };

/** A key whose private part has been decrypted. */
export interface OpenKey {
  key: SigningKey;
  privateKey: KeyObject;
  /** Derived from the private key: what a database says of a public key is not believed. */
  jwk: PublicJwk;
}

/** The purpose is in the id, to which the private key is bound: a key is not made one for another purpose in the database. */
const PREFIXES = { webhook: 'sgk', jwt: 'jwk' } as const satisfies Record<SigningKey['purpose'], string>;
const RSA_BITS = 2_048;

const generate = promisify(generateKeyPair);

const contextOf = (id: string): EncryptionContext => ({ row: `signing_keys/${id}`, column: 'private_key' });

function generated(alg: SigningAlgorithm): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> {
  switch (alg) {
    case 'ES256':
      return generate('ec', { namedCurve: 'P-256' });
    case 'RS256':
      return generate('rsa', { modulusLength: RSA_BITS });
    default:
      return generate('ed25519');
  }
}

/** Of a key of this form. `stored`: which of two names the algorithm of an Ed25519 key goes by. Undefined: of no form of ours. */
function algorithmOf({ asymmetricKeyType: type }: KeyObject, stored: unknown): SigningAlgorithm | undefined {
  if (type === 'ed25519') return stored === 'Ed25519' ? stored : 'EdDSA';
  if (type === 'ec') return 'ES256';
  return type === 'rsa' ? 'RS256' : undefined;
}

const publicJwk = (publicKey: KeyObject, kid: string, alg: SigningAlgorithm): PublicJwk => ({
  ...publicKey.export({ format: 'jwk' }),
  kid,
  use: 'sig',
  alg,
});

/** A new key, which is stored nowhere yet and does not sign. */
export async function newSigningKey(
  { vault, clock }: { vault: Pick<Vault, 'encrypt'>; clock: Pick<Clock, 'now'> },
  purpose: SigningKey['purpose'],
  alg: SigningAlgorithm,
): Promise<SigningKey> {
  const { privateKey, publicKey } = await generated(alg);
  const now = clock.now();
  const id = newId(PREFIXES[purpose], now);
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return {
    id,
    purpose,
    privateKey: vault.encrypt(pem, contextOf(id)),
    publicKey: publicJwk(publicKey, id, alg),
    createdAt: now,
    signingSince: null,
    retiredAt: null,
  };
}

/** Of those that decrypt. `onFault` is told of the others, which are left out. */
export function openKeys(
  keys: readonly SigningKey[],
  vault: Pick<Vault, 'decrypt'>,
  onFault: (key: SigningKey, error: VaultError) => void,
): OpenKey[] {
  return keys.flatMap((key) => {
    const { id, purpose, publicKey } = key;
    try {
      if (!id.startsWith(`${PREFIXES[purpose]}_`))
        throw new VaultError('not_openable', `the key ${id} is of another purpose`);
      const privateKey = createPrivateKey(vault.decrypt(key.privateKey, contextOf(id)));
      const alg = algorithmOf(privateKey, publicKey.alg);
      return alg ? [{ key, privateKey, jwk: publicJwk(createPublicKey(privateKey), id, alg) }] : [];
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      onFault(key, error);
      return [];
    }
  });
}
