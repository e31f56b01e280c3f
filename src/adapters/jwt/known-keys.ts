// RSA signatures by node:crypto, in less than half of the processor time that WebCrypto and what jose does around it take. jose
// decides which key may be used for what, and about every signature that is not valid.
import { KeyObject, verify } from 'node:crypto';
import type { CryptoKey } from 'jose';

export interface KnownKeys {
  /** jose has verified a signature with this key: it is of the right kind for the algorithm, and strong enough. */
  add(key: CryptoKey, alg: string): void;
  /**
   * Whether the signature of a compact JWS is certainly valid (RFC 7518 3.3). False says nothing. Never throws. Not in the pool
   * of threads: to hand a signature over and back costs as much as to verify it.
   */
  verifies(key: CryptoKey, alg: string, token: string): boolean;
}

const DIGESTS: Readonly<Record<string, string>> = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' };

/** Bits. The event loop waits for 70 µs at the most; of 16,384, it would be a millisecond. */
const MAX_MODULUS = 4_096;
/** The one that everyone uses. With a longer one, a signature takes up to a hundred times as long. */
const MAX_EXPONENT = 65_537n;

export function createKnownKeys(): KnownKeys {
  /** jose imports a key once for each algorithm. */
  const known = new WeakMap<CryptoKey, { alg: string; key: KeyObject }>();
  return {
    add(key, alg) {
      if (!Object.hasOwn(DIGESTS, alg) || known.has(key)) return;
      const found = KeyObject.from(key);
      if (isQuick(found)) known.set(key, { alg, key: found });
    },
    verifies(key, alg, token) {
      const found = known.get(key);
      if (found?.alg !== alg) return false;
      const end = token.lastIndexOf('.');
      const written = token.slice(end + 1);
      const signature = Buffer.from(written, 'base64url');
      // Node ignores what is no base64url.
      if (signature.toString('base64url') !== written) return false;
      try {
        return verify(DIGESTS[alg]!, Buffer.from(token.slice(0, end), 'latin1'), found.key, signature);
      } catch {
        return false;
      }
    },
  };
}

function isQuick({ asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength, publicExponent } = asymmetricKeyDetails ?? {};
  return modulusLength! <= MAX_MODULUS && publicExponent! <= MAX_EXPONENT;
}
