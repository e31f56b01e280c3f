// The signing room: the keys that the deployment signs with, their rotation, and the JWTs that are signed with them.
import type { ClientAssertions } from '../../ports/index.ts';
import { createClientAssertions } from './client-assertions.ts';
import { createSigningHousekeeping, type SigningHousekeeping } from './housekeeping.ts';
import { createJwtSigner, type JwtSigner, type SignJwt } from './jwt-signer.ts';
import { type CachedKeys, type CachedKeysParts, createCachedKeys, type PublicKeySet } from './keys/cached-keys.ts';
import { createRotation, type RecordStep, type RotationParts } from './keys/rotation.ts';
import { createSigningKeyAdmin, presentKeys, type SigningKeyAdmin, type SigningKeyView } from './signing-key-admin.ts';

export type { SigningHousekeeping } from './housekeeping.ts';
export type { JwtSigner } from './jwt-signer.ts';
export type { PublicKeySet } from './keys/cached-keys.ts';
export { newSigningKey, type OpenKey, openKeys } from './keys/key-material.ts';
export type { SigningKeyAdmin, SigningKeyView } from './signing-key-admin.ts';

export interface Signing {
  signer: JwtSigner;
  clientAssertions: ClientAssertions;
  admin: SigningKeyAdmin;
  /** The keys as verifiers find them. Makes the first one of the deployment. Rejects with `StoreError`. */
  published(): Promise<PublicKeySet>;
  /** To be called when another process has changed the keys. */
  keysChanged(): void;
  housekeeping: SigningHousekeeping;
}

type Parts = CachedKeysParts &
  RotationParts &
  Pick<Parameters<typeof createSigningKeyAdmin>[0], 'access' | 'untilApplied'> &
  Omit<Parameters<typeof createJwtSigner>[0], 'cache' | 'signJwt'> & {
    signJwt: SignJwt;
    everyMs?: number | undefined;
  };

export function createSigning(parts: Parts): Signing {
  const rotation = createRotation(parts, () => cache);
  const cache: CachedKeys = createCachedKeys(parts, rotation.first);
  return {
    signer: createJwtSigner({ ...parts, cache }),
    clientAssertions: createClientAssertions({ ...parts, cache }),
    admin: createSigningKeyAdmin({ ...parts, rotation, cache }),
    published: cache.published,
    keysChanged: cache.changed,
    housekeeping: createSigningHousekeeping({ ...parts, rotation }),
  };
}

/** What an operator does who has the database and the keys, without a broker. */
export interface OfflineKeys {
  list(): Promise<SigningKeyView[]>;
  /** Publishes the next key. Brokers follow the change feed. */
  rotate(): Promise<SigningKeyView[]>;
  /** Deletes a key at once. Undefined: there is no such key. */
  withdraw(id: string): Promise<SigningKeyView[] | undefined>;
}

export function offlineKeys(parts: CachedKeysParts & RotationParts): OfflineKeys {
  const rotation = createRotation(parts, () => cache);
  const cache: CachedKeys = createCachedKeys(parts, rotation.first);
  const record: RecordStep = (action, id) => parts.access.recordSystem(action, { detail: id });
  const present = presentKeys(cache);
  return {
    list: async () => present(await parts.store.signingKeys('jwt')),
    rotate: async () => present(await rotation.publishNext(record)),
    async withdraw(id) {
      const keys = await rotation.withdraw(id, record);
      return keys && present(keys);
    },
  };
}
