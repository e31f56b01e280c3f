// The Ed25519 keys that the deployment signs deliveries with (`v1a`): made once for all replicas, and rotated.
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { SigningKey } from '../../../domain/signing-key.ts';
import {
  SIGNING_KEY_OVERLAP_MS,
  SIGNING_KEY_PUBLISHED_MS,
  SIGNING_KEYS_CACHE_MS,
} from '../../../domain/time-limits.ts';
import { type Clock, type EncryptionContext, type Store, type Vault, VaultError } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import { newId } from '../../secrets/index.ts';

export interface WebhookKeys {
  /**
   * The private keys that sign now: one, and after a rotation for a day the one before, for receivers that know only that.
   * One that does not decrypt is left out. Makes the first one of the deployment. Rejects with `StoreError`.
   */
  signing(): Promise<readonly KeyObject[]>;
  /** The public keys of those that sign, and of those that signed within a week, as JWKs. Rejects with `StoreError`. */
  published(): Promise<Record<string, unknown>[]>;
}

export interface WebhookKeysParts {
  store: Pick<Store, 'signingKeys' | 'addSigningKey'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Clock;
  log: { error(fields: object, message: string): void };
}

const PURPOSE = 'webhook';

const contextOf = (id: string): EncryptionContext => ({ row: `signing_keys/${id}`, column: 'private_key' });

function newSigningKey({ vault, clock }: Pick<WebhookKeysParts, 'vault' | 'clock'>): SigningKey {
  const now = clock.now();
  const id = newId('sgk', now);
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return {
    id,
    purpose: PURPOSE,
    privateKey: vault.encrypt(pem, contextOf(id)),
    publicKey: { ...publicKey.export({ format: 'jwk' }), kid: id, use: 'sig', alg: 'EdDSA' },
    createdAt: now,
    retiredAt: null,
  };
}

/** Adds a key that signs from now on; the one before signs as well for a day. Returns its `kid`. */
export async function rotateSigningKey(
  parts: Pick<WebhookKeysParts, 'store' | 'vault' | 'access' | 'clock'>,
): Promise<string> {
  const key = newSigningKey(parts);
  await parts.store.addSigningKey(key, false, parts.access.recordSystem('signing_key.added', { detail: key.id }));
  return key.id;
}

export function createWebhookKeys(parts: WebhookKeysParts): WebhookKeys {
  const { store, vault, access, clock, log } = parts;
  let known: { keys: readonly KeyObject[]; until: number } | undefined;
  let reading: Promise<readonly KeyObject[]> | undefined;

  const stored = () => store.signingKeys(PURPOSE, clock.now() - SIGNING_KEY_PUBLISHED_MS);

  async function read(): Promise<readonly KeyObject[]> {
    const all = await stored();
    if (all.some(({ retiredAt }) => retiredAt === null))
      return decrypted(
        all.filter(({ retiredAt }) => retiredAt === null || retiredAt > clock.now() - SIGNING_KEY_OVERLAP_MS),
      );
    const key = newSigningKey(parts);
    // Of several replicas that do this at once, one has added its key.
    return decrypted(
      await store.addSigningKey(key, true, access.recordSystem('signing_key.added', { detail: key.id })),
    );
  }

  function decrypted(keys: readonly SigningKey[]): readonly KeyObject[] {
    return keys.flatMap(({ id, privateKey }) => {
      try {
        return [createPrivateKey(vault.decrypt(privateKey, contextOf(id)))];
      } catch (error) {
        if (!(error instanceof VaultError)) throw error;
        log.error({ err: error, key: id }, 'signing key: cannot be decrypted, deliveries are signed without it');
        return [];
      }
    });
  }

  async function signing(): Promise<readonly KeyObject[]> {
    if (known && clock.monotonic() < known.until) return known.keys;
    reading ??= read()
      .then((keys) => {
        known = { keys, until: clock.monotonic() + SIGNING_KEYS_CACHE_MS };
        return keys;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  return {
    signing,

    async published() {
      const keys = await stored();
      if (keys.some(({ retiredAt }) => retiredAt === null)) return keys.map(({ publicKey }) => publicKey);
      await signing();
      return (await stored()).map(({ publicKey }) => publicKey);
    },
  };
}
