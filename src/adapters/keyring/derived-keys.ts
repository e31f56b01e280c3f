// The keys that are derived from one key of the ring: HKDF-SHA-256 (RFC 5869).
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

const KEY_BYTES = 32;
/** HKDF's block counter. */
const FIRST_BLOCK = Buffer.from([1]);

/**
 * By their `info`: a row, or a purpose without a slash. The extract step is the same for all and done once (2.2, without a
 * salt); the expand step is one HMAC, for a key of one block (2.3). That costs less than a cache, so only the last key is
 * cached, since the secrets of a row are encrypted one after the other.
 */
export function derivedKeys(key: KeyObject): (info: string) => KeyObject {
  const secret = key.export();
  const extracted = createHmac('sha256', Buffer.alloc(KEY_BYTES)).update(secret).digest();
  const prk = createSecretKey(extracted);
  secret.fill(0);
  extracted.fill(0);
  let last: { info: string; key: KeyObject } | undefined;
  return (info) => {
    if (last?.info === info) return last.key;
    const expanded = createHmac('sha256', prk).update(info).update(FIRST_BLOCK).digest();
    last = { info, key: createSecretKey(expanded) };
    expanded.fill(0);
    return last.key;
  };
}
