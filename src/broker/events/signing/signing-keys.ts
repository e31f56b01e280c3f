// The Ed25519 keys that the deployment signs deliveries with (`v1a`): made once for all replicas, and rotated.
import type { KeyObject } from 'node:crypto';
import type { SigningKey } from '../../../domain/signing-key.ts';
import {
  SIGNING_KEY_OVERLAP_MS,
  SIGNING_KEY_PUBLISHED_MS,
  SIGNING_KEYS_CACHE_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, SigningKeyStore, Vault } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import { newSigningKey, type OpenKey, openKeys } from '../../signing/index.ts';

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
  store: SigningKeyStore;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  access: Pick<Access, 'recordSystem'>;
  clock: Clock;
  log: { error(fields: object, message: string): void };
}

const PURPOSE = 'webhook';

const signsIn = (keys: readonly SigningKey[]): boolean => keys.some(({ retiredAt }) => retiredAt === null);

/** Adds a key that signs, and retires the others; `unlessAny`: only if none signs. Returns all keys. */
async function addKey(
  { store, vault, access, clock }: Pick<WebhookKeysParts, 'store' | 'vault' | 'access' | 'clock'>,
  unlessAny: boolean,
): Promise<readonly SigningKey[]> {
  const key = { ...(await newSigningKey({ vault, clock }, PURPOSE, 'EdDSA')), signingSince: clock.now() };
  for (;;) {
    const stored = await store.signingKeys(PURPOSE);
    // Of several replicas that do this at once, one has added its key.
    if (unlessAny && signsIn(stored)) return stored;
    const next = [key, ...stored.map((one) => ({ ...one, retiredAt: one.retiredAt ?? key.createdAt }))];
    const audit = [access.recordSystem('signing_key.added', { detail: key.id })];
    if (await store.swapSigningKeys(PURPOSE, stored, next, audit)) return next;
  }
}

/** Adds a key that signs from now on; the one before signs as well for a day. Returns its `kid`. */
export async function rotateSigningKey(
  parts: Pick<WebhookKeysParts, 'store' | 'vault' | 'access' | 'clock'>,
): Promise<string> {
  const [added] = await addKey(parts, false);
  return added!.id;
}

export function createWebhookKeys(parts: WebhookKeysParts): WebhookKeys {
  const { store, vault, clock, log } = parts;
  let known: { keys: readonly KeyObject[]; until: number } | undefined;
  let reading: Promise<readonly KeyObject[]> | undefined;

  const opened = (keys: readonly SigningKey[], retiredWithinMs: number): OpenKey[] =>
    openKeys(
      keys.filter(({ retiredAt }) => retiredAt === null || retiredAt >= clock.now() - retiredWithinMs),
      vault,
      ({ id }, error) =>
        log.error({ err: error, key: id }, 'signing key: cannot be decrypted, deliveries are signed without it'),
    );

  async function stored(): Promise<readonly SigningKey[]> {
    const keys = await store.signingKeys(PURPOSE);
    return signsIn(keys) ? keys : addKey(parts, true);
  }

  async function signing(): Promise<readonly KeyObject[]> {
    if (known && clock.monotonic() < known.until) return known.keys;
    reading ??= stored()
      .then((found) => {
        const keys = opened(found, SIGNING_KEY_OVERLAP_MS).map(({ privateKey }) => privateKey);
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
    published: async () => opened(await stored(), SIGNING_KEY_PUBLISHED_MS).map(({ jwk }) => jwk),
  };
}
