// The keys for JWTs, as admins see and rotate them.
import { type Refusal, refuse } from '../../domain/errors.ts';
import { mayReplaceAt, type SigningKey, type SigningKeyState, stateOf } from '../../domain/signing-key.ts';
import { SIGNING_KEY_RETIRED_MS } from '../../domain/time-limits.ts';
import type { SigningKeyStore } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { CachedKeys } from './keys/cached-keys.ts';
import type { RecordStep, Rotation } from './keys/rotation.ts';

export interface SigningKeyView {
  id: string;
  algorithm: string;
  state: SigningKeyState;
  /** Whether verifiers find it at `/oauth2/jwks`. */
  isPublished: boolean;
  createdAt: number;
  /** When it began to sign, or will at the earliest. */
  signsAt: number;
  retiredAt: number | null;
  /** Until when a retired key is published; null: it is not retired. */
  publishedUntil: number | null;
}

export interface SigningKeyAdmin {
  /** For those who may read everything. The newest first. Rejects with `StoreError`. */
  list(call: Call): Promise<SigningKeyView[] | Refusal>;
  /**
   * For admins. Publishes the next key; with `withdraw`, deletes that key at once instead. Returns all keys. Rejects with
   * `StoreError`.
   */
  rotate(call: Call, request: { withdraw?: string | undefined }): Promise<SigningKeyView[] | Refusal>;
}

interface Parts {
  store: Pick<SigningKeyStore, 'signingKeys'>;
  rotation: Pick<Rotation, 'publishNext' | 'withdraw'>;
  cache: Pick<CachedKeys, 'isPublished'>;
  access: Pick<Access, 'denied' | 'record'>;
  /** Waits until other replicas have applied what was committed. */
  untilApplied: () => Promise<number>;
}

export function createSigningKeyAdmin({ store, rotation, cache, access, untilApplied }: Parts): SigningKeyAdmin {
  const present = presentKeys(cache);

  return {
    async list(call) {
      return access.denied(call, 'admin:read', '*', '*') ?? present(await store.signingKeys('jwt'));
    },

    async rotate(call, { withdraw }) {
      const denied = access.denied(call, 'admin', '*', '*');
      if (denied) return denied;
      const record: RecordStep = (action, id) => access.record(call, action, { detail: id });
      const keys =
        withdraw === undefined ? await rotation.publishNext(record) : await rotation.withdraw(withdraw, record);
      if (!keys) return refuse({ code: 'not_found', what: 'signing key', id: withdraw! });
      await untilApplied();
      return present(keys);
    },
  };
}

export const presentKeys =
  ({ isPublished }: Pick<CachedKeys, 'isPublished'>) =>
  (keys: readonly SigningKey[]): SigningKeyView[] =>
    keys.map((key) => view(key, isPublished(key)));

const view = (key: SigningKey, isPublished: boolean): SigningKeyView => ({
  id: key.id,
  algorithm: String(key.publicKey.alg),
  state: stateOf(key),
  isPublished,
  createdAt: key.createdAt,
  signsAt: key.signingSince ?? mayReplaceAt(key),
  retiredAt: key.retiredAt,
  publishedUntil: key.retiredAt === null ? null : key.retiredAt + SIGNING_KEY_RETIRED_MS,
});
