// RSA signatures by node:crypto, in half of the processor time that WebCrypto and what jose does around it take. jose decides
// which key may be used for what, and about every signature that is not valid.
import { KeyObject, verify } from 'node:crypto';
import { promisify } from 'node:util';
import type { CryptoKey } from 'jose';

export interface KnownKeys {
  /** jose has verified a signature with this key: it is of the right kind for the algorithm, and strong enough. */
  add(key: CryptoKey, alg: string): void;
  /** Whether the signature of a compact JWS is certainly valid (RFC 7518 3.3). False says nothing. Never rejects. */
  verifies(key: CryptoKey, alg: string, token: string): Promise<boolean>;
}

/** In the pool of threads, as WebCrypto does it. */
const verifyInPool = promisify<string, Buffer, KeyObject, Buffer, boolean>(verify);

const DIGESTS: Readonly<Record<string, string>> = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' };

export function createKnownKeys(): KnownKeys {
  /** jose imports a key once for each algorithm. */
  const known = new WeakMap<CryptoKey, { alg: string; key: KeyObject }>();
  return {
    add(key, alg) {
      if (Object.hasOwn(DIGESTS, alg) && !known.has(key)) known.set(key, { alg, key: KeyObject.from(key) });
    },
    async verifies(key, alg, token) {
      const found = known.get(key);
      if (found?.alg !== alg) return false;
      const end = token.lastIndexOf('.');
      const written = token.slice(end + 1);
      const signature = Buffer.from(written, 'base64url');
      // Node ignores what is no base64url.
      if (signature.toString('base64url') !== written) return false;
      return verifyInPool(DIGESTS[alg]!, Buffer.from(token.slice(0, end), 'latin1'), found.key, signature).catch(
        () => false,
      );
    },
  };
}
