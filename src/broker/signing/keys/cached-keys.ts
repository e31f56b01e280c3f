// The keys for JWTs in memory: which one signs, and which are published. What the store says is used until the change feed
// reports another state, or for a minute.
import type { KeyObject } from 'node:crypto';
import { mayReplaceAt, nextIn, type SigningKey, signingIn, stateOf } from '../../../domain/signing-key.ts';
import {
  SIGNING_KEY_LEAD_MS,
  SIGNING_KEY_RETIRED_MS,
  SIGNING_KEYS_CACHE_MS,
  SIGNING_KEYS_RETRY_MS,
} from '../../../domain/time-limits.ts';
import type { Clock, Logger, SigningKeyStore, Vault } from '../../../ports/index.ts';
import { type OpenKey, openKeys, type PublicJwk } from './key-material.ts';

/** A JWK set (RFC 7517 5). The same object for as long as the keys are the same. */
export interface PublicKeySet {
  keys: PublicJwk[];
}

export interface CachedKeys {
  /** The key that signs. Makes the first one of the deployment. Rejects with `StoreError`, and when it cannot be decrypted. */
  current(): Promise<{ privateKey: KeyObject; jwk: PublicJwk }>;
  /** The keys by which verifiers may find what was signed: the one that signs first. As `current`. */
  published(): Promise<PublicKeySet>;
  /** Whether the next key has been published for long enough. */
  isNextDue(keys: readonly SigningKey[]): boolean;
  /** Whether it is published: all that are not retired, and those that have been for less than tokens live. */
  isPublished(key: SigningKey): boolean;
  /** To be called with what was read from the store, or written to it. */
  take(keys: readonly SigningKey[]): void;
  /** Forgets what was read. */
  changed(): void;
}

export interface CachedKeysParts {
  store: Pick<SigningKeyStore, 'signingKeys'>;
  vault: Pick<Vault, 'decrypt'>;
  clock: Clock;
  log: Pick<Logger, 'error' | 'warn'>;
}

interface Known {
  open: OpenKey[];
  set: PublicKeySet;
  /** By the monotonic clock. */
  until: number;
}

/** `makeFirst`: stores a key that signs, unless there is one, and returns what is stored then. */
export function createCachedKeys(
  { store, vault, clock, log }: CachedKeysParts,
  makeFirst: () => Promise<readonly SigningKey[]>,
): CachedKeys {
  let known: Known | undefined;
  let reading: Promise<Known> | undefined;
  /** Counts the calls of `changed`: what was read before one of them is not kept. */
  let version = 0;
  /**
   * By the monotonic clock, until when a key keeps its state at least: a wall clock that is set neither publishes a key for less
   * time than it should be, nor lets one sign too early. By key and state, as this process has come to know it.
   */
  const keptUntil = new Map<string, number>();
  let hasObserved = false;
  const placeOf = (key: SigningKey) => `${key.id} ${stateOf(key)}`;

  function observe(keys: readonly SigningKey[]): void {
    const places = new Set(keys.map(placeOf));
    for (const place of keptUntil.keys()) if (!places.has(place)) keptUntil.delete(place);
    for (const key of keys) {
      const place = placeOf(key);
      if (keptUntil.has(place)) continue;
      const [since, length] =
        key.retiredAt === null ? [key.createdAt, SIGNING_KEY_LEAD_MS] : [key.retiredAt, SIGNING_KEY_RETIRED_MS];
      // Of what this process has seen to begin, the wall clock need not be asked.
      const left = hasObserved ? length : Math.min(length, since + length - clock.now());
      keptUntil.set(place, clock.monotonic() + left);
    }
    hasObserved = true;
  }

  const isKept = (key: SigningKey): boolean =>
    clock.monotonic() < (keptUntil.get(placeOf(key)) ?? Number.NEGATIVE_INFINITY);

  const isPublished = (key: SigningKey): boolean =>
    key.retiredAt === null || isKept(key) || clock.now() < key.retiredAt + SIGNING_KEY_RETIRED_MS;

  /** Ciphertexts: of each, the log says it once. */
  const reported = new Set<string>();
  const ORDER = { signing: 0, published: 1, retired: 2 };

  function opened(keys: readonly SigningKey[]): Known {
    observe(keys);
    const sorted = keys.toSorted((a, b) => ORDER[stateOf(a)] - ORDER[stateOf(b)]);
    const open = openKeys(sorted.filter(isPublished), vault, ({ id, privateKey }, error) => {
      if (reported.has(privateKey)) return;
      reported.add(privateKey);
      log.error({ err: error, key: id }, 'signing key: cannot be decrypted, it neither signs nor is published');
    });
    const jwks = open.map(({ jwk }) => jwk);
    const isSame = known && JSON.stringify(known.set.keys) === JSON.stringify(jwks);
    return {
      open,
      set: isSame && known ? known.set : { keys: jwks },
      until: clock.monotonic() + SIGNING_KEYS_CACHE_MS,
    };
  }

  async function read(): Promise<Known> {
    const begun = version;
    const stored = await store.signingKeys('jwt');
    const found = opened(signingIn(stored) ? stored : await makeFirst());
    if (begun === version) known = found;
    return found;
  }

  /** While the store is away, what is known goes on being used. */
  async function keys(): Promise<Known> {
    if (known && clock.monotonic() < known.until) return known;
    reading ??= read().finally(() => {
      reading = undefined;
    });
    const stale = known;
    if (!stale) return reading;
    return reading.catch((error: unknown) => {
      log.warn({ err: error }, 'signing keys: cannot be read, those in memory are used');
      stale.until = clock.monotonic() + SIGNING_KEYS_RETRY_MS;
      return stale;
    });
  }

  return {
    async current() {
      const { open } = await keys();
      const found = open.find(({ key }) => stateOf(key) === 'signing');
      if (!found) throw new Error('the key that signs JWTs cannot be decrypted: withdraw it');
      return found;
    },
    published: async () => (await keys()).set,
    isNextDue(stored) {
      observe(stored);
      const next = nextIn(stored);
      return next !== undefined && !isKept(next) && clock.now() >= mayReplaceAt(next);
    },
    isPublished,
    take(stored) {
      version++;
      const found = opened(stored);
      // Without one that signs there is none yet: it is made when it is asked for.
      known = signingIn(stored) ? found : undefined;
    },
    changed() {
      version++;
      if (known) known.until = Number.NEGATIVE_INFINITY;
    },
  };
}
