// DPoP for proxied calls (RFC 9449): the key that a token is bound to, a proof for each request, and the nonces of APIs.
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import type { Connection } from '../../../domain/connection.ts';
import { parseStoredCredentials } from '../../../domain/imported-credentials.ts';
import { SIGNING_CREDENTIALS_TTL_MS } from '../../../domain/time-limits.ts';
import type { Clock, SignProof, Store, Vault } from '../../../ports/index.ts';
import type { ServedToken } from '../../cache/index.ts';
import { decryptKeyMaterial } from '../../secrets/index.ts';

const MAX_KEYS = 5_000;
const MAX_NONCES = 1_000;

export interface DpopSigner {
  /** A proof for one request; undefined: the connection has no key any more, or another one. Rejects with `StoreError`. */
  prove(served: ServedToken, method: string, url: string): Promise<string | undefined>;
  /** Notes the nonce that a response has brought, for the next proof at its origin. */
  noteNonce(origin: string, nonce: string): void;
}

export interface DpopSignerParts {
  store: Pick<Store, 'dpopBoundRow'>;
  vault: Pick<Vault, 'decrypt'>;
  signProof: SignProof;
  clock: Clock;
}

export function createDpopSigner({ store, vault, signProof, clock }: DpopSignerParts): DpopSigner {
  /** By connection and generation: a reconnect brings another key. */
  const keys = new LRUCache<string, string>({
    ...upTo(MAX_KEYS),
    ttl: SIGNING_CREDENTIALS_TTL_MS,
    perf: { now: clock.monotonic },
  });
  const nonces = new LRUCache<string, string>(upTo(MAX_NONCES));

  async function keyOf({ id, generation }: Connection): Promise<string | undefined> {
    const known = keys.get(`${id} ${generation}`);
    if (known !== undefined) return known;
    const row = await store.dpopBoundRow(id);
    if (!row || row.connection.generation !== generation) return undefined;
    const { dpopKey } = parseStoredCredentials(decryptKeyMaterial(vault, row.connection, row.credentials));
    if (dpopKey !== undefined) keys.set(`${id} ${generation}`, dpopKey);
    return dpopKey;
  }

  return {
    async prove({ connection, accessToken }, method, url) {
      const key = await keyOf(connection);
      if (key === undefined) return undefined;
      const nonce = nonces.get(new URL(url).origin);
      return signProof(key, { method, url, accessToken, nonce, issuedAt: Math.floor(clock.now() / 1_000) });
    },
    noteNonce: (origin, nonce) => {
      nonces.set(origin, nonce);
    },
  };
}
